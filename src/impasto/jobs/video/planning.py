"""What a film would take: seconds, memory and disk, without painting it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.images.size import Size
from impasto.jobs.batch.estimates import SPARE, free_memory
from impasto.jobs.inputs import Source
from impasto.jobs.network import KeptNetwork
from impasto.jobs.stylization import Stylization
from impasto.jobs.video.analysis import HELD_BYTES, Frames, Part, times_and_shots
from impasto.jobs.video.at_once import at_once_at_most, threads_for
from impasto.jobs.video.clip import Clip
from impasto.jobs.video.painter import following_settings, source_image
from impasto.jobs.video.reading import FilmFrame, frames
from impasto.jobs.video.steadiness import Steadiness
from impasto.settings.settings import Settings

FLOW = 1.2e-6
"""Seconds a pixel that looking for what moves takes, there and back."""

USUALLY_NEW = 0.15
"""Share of a frame that isn't in the one before, as films go."""

STATE_BYTES = 4 * (3 + 3 + 3 + 3 + 1)
"""Of a pixel, of what is kept of a frame for the next ones."""


@dataclass(frozen=True)
class FilmPlan:
    """Sizes and counts, seconds for a shot's first frame and for another, and bytes of memory and on the disk.

    `seconds` are those of all of it on this machine, `workers` shots at once.
    """

    size: Size
    frames: int
    shots: int
    first_seconds: float
    next_seconds: float
    workers: int
    seconds: float
    memory: int
    disk: int
    engine: str
    style_scale: float


def plan_film(
    clip: Clip,
    size: Size,
    part: Part,
    styles: Sequence[Source],
    settings: Settings,
    steadiness: Steadiness,
    workers: int | None = None,
    known: Frames | None = None,
    kept: KeptNetwork | None = None,
) -> FilmPlan:
    """Go through a film and plan it; raises `ImpastoError` for what can't be painted.

    Without a style, one like the first frame is assumed. `known` is what going through it has found, where it was done.
    """
    times, shots, _, _ = known or times_and_shots(clip, part)
    first = next(iter(frames(clip, size, times[0])))
    assert isinstance(first, FilmFrame), "it was decoded before"
    kept = kept or KeptNetwork()
    content = source_image(first.pixels)
    most = at_once_at_most(len(shots), workers, settings)
    if settings.threads == "auto":
        settings = settings.model_copy(update={"threads": threads_for(len(shots), workers, settings)})
    network, speed = kept.network(settings), kept.speed(settings)
    styles = styles or [content]
    whole = Stylization(content, styles, settings, network=network, speed=speed)
    steps = max(1, round(steadiness.steps * (1 + USUALLY_NEW * steadiness.more_where_new)))
    rest = following_settings(whole.settings, steps)
    after = Stylization(content, styles, rest, network=network, speed=speed).plan
    pixels = size[0] * size[1]
    each = (after.seconds + FLOW * pixels * len(steadiness.back)) * steadiness.passes
    memory = whole.plan.memory.peak + HELD_BYTES * pixels
    at_once = max(1, min(most, int(SPARE * free_memory() / memory)))
    seconds = _lasting([whole.plan.seconds + each * (end - begin - 1) for begin, end in shots], at_once)
    states = len(times) if steadiness.passes > 1 else at_once * (max(steadiness.back) + 1)
    disk = 3 * pixels * len(times) + STATE_BYTES * pixels * states
    return FilmPlan(
        size,
        len(times),
        len(shots),
        whole.plan.seconds,
        each,
        at_once,
        seconds,
        at_once * memory,
        disk,
        str(network.engine.name),
        whole.settings.style_factor,
    )


def _lasting(shots: Sequence[float], workers: int) -> float:
    """Seconds until the last of these shots is painted, each by the first that has nothing to do."""
    ends = [0.0] * workers
    for seconds in shots:
        first = ends.index(min(ends))
        ends[first] += seconds
    return max(ends, default=math.nan)
