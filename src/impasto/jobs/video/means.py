"""By what means a film that goes on is painted: memory, folders, threads, tiles, an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from impasto.errors import ImageError
from impasto.jobs.batch.fingerprint import HOW
from impasto.jobs.video.analysis import HELD_BYTES, settled
from impasto.jobs.video.fingerprint import absolute
from impasto.jobs.video.order import Order
from impasto.jobs.video.reading import FilmFrame, frames
from impasto.settings import roles
from impasto.settings.settings import Settings


def by_other_means(began: Order, asked: Settings, threads: Callable[[int], int]) -> Order:
    """A film that goes on, painted by such means as are asked for now, where that isn't how it was begun.

    Means are what the same film may be painted by: memory, folders, threads, tiles, an engine. What is left open now
    stays as it was, but for tiles, which follow the memory. Raises `ImpastoError` for what can't be.
    """
    before = began.settings
    usual = Settings()
    given = {knob for knob in HOW if getattr(asked, knob) not in (getattr(usual, knob), getattr(before, knob))}
    if not given:
        return began
    network = {knob for knob in roles.settled() if knob in roles.affecting(roles.Affects.NETWORK)}
    kept = set(roles.settled()) - HOW | (set() if given & network else network)
    settings = asked.model_copy(
        update={knob: getattr(before, knob) for knob in kept if getattr(asked, knob) == getattr(usual, knob)}
    )
    first = next(frame for frame in frames(began.clip, began.size, began.times[0]))
    if not isinstance(first, FilmFrame):
        raise ImageError(f"{began.clip.name} shows nothing in that part", "choose another with `from` and `to`")
    decided, peak = settled(first, began.styles, settings, threads(len(began.shots)))
    _, _, decided = absolute(began.styles, began.clip, decided)
    return replace(began, settings=decided, peak=peak + HELD_BYTES * began.size[0] * began.size[1])
