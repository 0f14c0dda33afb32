"""A film gone through once before it is painted: its times, its shots, and what its settings leave open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from impasto.errors import ImageError
from impasto.images.size import Size, fit
from impasto.jobs.network import KeptNetwork
from impasto.jobs.stylization import Stylization
from impasto.jobs.video.clip import Clip
from impasto.jobs.video.order import listed
from impasto.jobs.video.painter import source_image
from impasto.jobs.video.part import Part
from impasto.jobs.video.reading import Broken, FilmFrame, frames
from impasto.jobs.video.shots import LONGEST, Cuts
from impasto.settings.settings import Settings

HELD_BYTES = 400
"""Of a pixel in memory, besides what a photo takes: frames before it, flows, masks."""


@dataclass(frozen=True)
class Analysis:
    """What there is to paint: see `Order`."""

    settings: Settings
    times: tuple[Fraction, ...]
    seconds: tuple[Fraction, ...]
    shots: tuple[tuple[int, int], ...]
    broken: str | None
    peak: int


def analyse(
    clip: Clip, size: Size, part: Part, styles: Sequence[str], settings: Settings, threads: Callable[[int], int]
) -> Analysis:
    """Decode all that is to be painted, small, and plan the first frame at its size; raises `ImpastoError`."""
    times, shots, seconds, broken = times_and_shots(clip, part)
    first = next(frame for frame in frames(clip, size, times[0]))
    assert isinstance(first, FilmFrame), "it was decoded before"
    decided, peak = settled(first, styles, settings, threads(len(shots)))
    return Analysis(decided, times, seconds, shots, broken, peak + HELD_BYTES * size[0] * size[1])


Frames = tuple[tuple[Fraction, ...], tuple[tuple[int, int], ...], tuple[Fraction, ...], str | None]
"""See `times_and_shots`."""


def times_and_shots(clip: Clip, part: Part) -> Frames:
    """When each frame that is to be painted is shown, its shots, how long each is shown, and why it breaks off.

    Raises `ImageError` for a part that shows nothing.
    """
    cuts, times = Cuts(), list[Fraction]()
    broken: str | None = None
    small = fit(clip.size, min(2 * LONGEST, max(clip.size)))
    end: Fraction | None = None
    for count, frame in enumerate(frames(clip, small, part.begin or Fraction(0))):
        if isinstance(frame, Broken):
            broken = frame.reason
            break
        if part.end is not None and frame.time >= part.end:
            end = part.end
            break
        if count % part.every == 0:
            times.append(frame.time)
            cuts.add(frame.pixels)
        end = frame.time + (frame.seconds or 1 / clip.rate)
    if not times or end is None:
        raise ImageError(f"{clip.name} shows nothing in that part", "choose another with `from` and `to`")
    lengths = listed(times, max(end - times[-1], Fraction(1, 1000)))
    return tuple(times), tuple(cuts.shots()), lengths, broken


def settled(first: FilmFrame, styles: Sequence[str], settings: Settings, threads: int) -> tuple[Settings, int]:
    """The settings with all that they leave open decided by the first frame, so that frames share it; its peak."""
    if settings.threads == "auto":
        settings = settings.model_copy(update={"threads": threads})
    kept = KeptNetwork()
    job = Stylization(
        source_image(first.pixels), styles, settings, network=kept.network(settings), speed=kept.speed(settings)
    )
    return job.settings, job.plan.memory.peak
