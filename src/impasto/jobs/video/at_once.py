"""How many shots of a film are painted at once on this machine, and by how many threads each."""

from __future__ import annotations

from impasto.jobs.batch.estimates import SPARE, free_memory, on_gpu, processors
from impasto.jobs.video.order import Order
from impasto.settings.settings import Settings


def threads_for(shots: int, wanted: int | None, settings: Settings) -> int:
    """The threads of each shot, where settings don't say."""
    return max(1, processors() // at_once_at_most(shots, wanted, settings))


def shots_at_once(order: Order, wanted: int | None = None) -> int:
    """As many as are `wanted`, one a processor otherwise; fewer where the memory that is free lets no more."""
    room = max(1, int(SPARE * free_memory() / max(order.peak, 1)))
    return min(at_once_at_most(len(order.shots), wanted, order.settings), room)


def at_once_at_most(shots: int, wanted: int | None, settings: Settings) -> int:
    """How many of so many shots are painted at once as long as memory has room for them; one on a GPU."""
    return max(1, min(wanted or (1 if on_gpu(settings) else processors()), shots))
