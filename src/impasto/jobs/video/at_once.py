"""How many shots of a film are painted at once on this machine, and by how many threads each."""

from __future__ import annotations

from impasto.jobs.batch.estimates import SPARE, free_memory, processors
from impasto.jobs.video.order import Order


def threads_for(shots: int, wanted: int | None = None) -> int:
    """The threads of each shot, where as many are painted at once as are `wanted`, one a processor otherwise."""
    return max(1, processors() // _at_once(shots, wanted))


def shots_at_once(order: Order, wanted: int | None = None) -> int:
    """As many as are `wanted`, one a processor otherwise; fewer where the memory that is free lets no more."""
    return min(_at_once(len(order.shots), wanted), max(1, int(SPARE * free_memory() / max(order.peak, 1))))


def _at_once(shots: int, wanted: int | None) -> int:
    return max(1, min(wanted or processors(), shots))
