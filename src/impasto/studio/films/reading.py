"""An uploaded film, read in a process with limits: see `studio.reading`, whose child this runs in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from impasto.errors import ImageError
from impasto.images.size import Size
from impasto.images.writing import to_pil
from impasto.jobs.video import flow
from impasto.jobs.video.clip import Clip, Kind, is_film, library, opened, probe
from impasto.jobs.video.painter import source_image
from impasto.jobs.video.reading import FilmFrame, frames
from impasto.storage.files import quoted
from impasto.studio.films.files import write_shown
from impasto.studio.films.models import FilmFacts

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class FilmLimits:
    """How much of a film the studio takes: frames, and pixels of each."""

    frames: int
    pixels: int


def read(file: Path, still: Path, limits: FilmLimits) -> FilmFacts | None:
    """What a film has, and its first frame as a PNG file `still`; None for what is no film.

    Raises `ImageError` for one that is damaged or more than `limits`, `SettingsError` where the extra isn't installed.
    """
    if not is_film(str(file)):
        return None
    for needed in (library, flow.library):
        needed()  # each says what isn't installed
    clip = probe(str(file))
    height, width = clip.size
    if height * width > limits.pixels:
        raise ImageError(
            f"{clip.name} is {width}×{height}, {height * width / 1e6:.0f} megapixels a frame, "
            f"and the studio takes films of up to {limits.pixels / 1e6:.0f}",
            "scale it down, to 4K or less",
        )
    count = _count(clip)
    if count > limits.frames:
        raise ImageError(
            f"{clip.name} has {count:,} frames, and the studio takes films of up to {limits.frames:,}",
            "cut it, or paint it with 'impasto video'",
        )
    first = next(iter(frames(clip, clip.size)), None)
    if not isinstance(first, FilmFrame):
        raise ImageError(f"{clip.name} has no frame that can be read", "use another copy")
    _picture(first).save(still, "PNG", compress_level=1)
    seconds = clip.seconds if math.isfinite(clip.seconds) and clip.seconds > 0 else float(count / clip.rate)
    sound = any(stream.startswith("audio") for stream in clip.sound)
    return FilmFacts(frames=count, rate=round(float(clip.rate), 3), seconds=round(seconds, 3), sound=sound)


def write_original(file: Path, size: Size, time: Fraction, target: Path) -> None:
    """The frame of a film that is shown at a time, as a page shows it, at the (h, w) at which it is painted."""
    first = next(iter(frames(probe(str(file)), size, time)), None)
    if not isinstance(first, FilmFrame):
        raise ImageError(f"{quoted(file)} has no frame at {float(time):g} s", "use another copy")
    write_shown(_picture(first), target)


def _picture(frame: FilmFrame) -> Image.Image:
    alpha = None if frame.alpha is None else torch.from_numpy(frame.alpha)[None, None]
    return to_pil(source_image(frame.pixels).pixels, alpha)


def _count(clip: Clip) -> int:
    """How many frames there are at most: what a film says of itself may be wrong."""
    if clip.kind is not Kind.CONTAINER:
        return clip.frames
    with opened(clip.path) as film:
        return sum(1 for packet in film.demux(video=0) if packet.size)
