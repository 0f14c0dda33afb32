"""GIF, APNG and animated WebP, which Pillow reads and writes frame by frame."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from impasto.images.decoding import check_size
from impasto.images.pillow import errors_as_image_errors
from impasto.images.size import Size, resize
from impasto.jobs.video.clip import USUAL_RATE, Clip, Kind
from impasto.jobs.video.flow import Frame
from impasto.storage.files import quoted, write_atomically

NEVER = (0, 10)
"""Milliseconds that browsers don't believe in: they show such frames for 100."""

MOST_PIXELS = 10_000_000_000


def probe_animation(path: str) -> Clip:
    """What an animation is; raises `ImageError`."""
    with _opened(path) as image:
        with errors_as_image_errors(quoted(Path(path))):
            count = getattr(image, "n_frames", 1)
            milliseconds = [_duration(image, number) for number in range(min(count, 2))]
        rate = Fraction(1000, milliseconds[0]) if milliseconds else USUAL_RATE
        size = image.height, image.width
    return Clip(path, Kind.ANIMATION, (path,), size, rate, count, float(count / rate), alpha=True, range=2)


def animation_frames(
    clip: Clip, size: Size, begin: Fraction
) -> Iterator[tuple[Frame, Frame | None, Fraction, Fraction | None]]:
    """The frames from `begin` on as samples: see `reading.frames`."""
    time = Fraction(0)
    with _opened(clip.path) as image:
        with errors_as_image_errors(clip.name):
            count = getattr(image, "n_frames", 1)
        for number in range(count):
            with errors_as_image_errors(clip.name):
                seconds = Fraction(_duration(image, number), 1000)
                levels = np.asarray(image.convert("RGBA"), np.float32) / np.float32(255) if time >= begin else None
            if levels is not None:
                yield *_resized(levels, size), time, seconds
            time += seconds


def write_animation(path: Path, pictures: Sequence[Path], seconds: Sequence[Fraction], *, overwrite: bool) -> None:
    """Pictures, each shown so long, as one file that is repeated for ever; raises `ImageError` or `OSError`.

    What is shown for less than a hundredth of a second in a GIF, or a thousandth elsewhere, can't be told.
    """
    kind = {".gif": "GIF", ".apng": "PNG", ".png": "PNG", ".webp": "WEBP"}[path.suffix.lower()]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    unit = 10 if kind == "GIF" else 1
    milliseconds = _rounded(seconds, unit)

    def write(file: Any) -> None:
        first = _loaded(pictures[0])
        if kind == "GIF" and first.mode == "RGBA":
            options["disposal"] = 2
        if kind == "PNG":
            options["blend"] = 0
        with errors_as_image_errors(quoted(path), "written", "choose another format"):
            rest = {"save_all": True, "append_images": _Rest(pictures[1:]), "duration": milliseconds, "loop": 0}
            first.save(file, kind, **options, **rest)

    write_atomically(path, write, overwrite=overwrite)


class _Rest:
    """Pictures that are loaded one at a time, as often as they are asked for: Pillow goes through them twice."""

    def __init__(self, pictures: Sequence[Path]) -> None:
        self._pictures = pictures

    def __iter__(self) -> Iterator[Image.Image]:
        return map(_loaded, self._pictures)


def _loaded(picture: Path) -> Image.Image:
    with Image.open(picture) as image:
        image.load()
        return image.copy()


def _rounded(seconds: Sequence[Fraction], unit: int) -> list[int]:
    """Milliseconds in whole units, so that no error adds up."""
    found: list[int] = []
    end = Fraction(0)
    for length in seconds:
        begun, end = round(end * 1000 / unit), end + length
        found.append(max(1, round(end * 1000 / unit) - begun) * unit)
    return found


def _duration(image: Image.Image, number: int) -> int:
    image.seek(number)
    image.load()
    milliseconds = int(image.info.get("duration", 0) or 0)
    return 100 if milliseconds in NEVER or milliseconds < 0 else milliseconds


def _resized(levels: Frame, size: Size) -> tuple[Frame, Frame | None]:
    planes = torch.from_numpy(np.ascontiguousarray(levels)).permute(2, 0, 1)[None]
    opaque = bool((planes[:, 3] == 1).all())
    resized = torch.cat([resize(planes[:, :3], size), resize(planes[:, 3:].expand(-1, 3, -1, -1), size)[:, :1]], dim=1)
    found = np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())
    return np.ascontiguousarray(found[..., :3]), None if opaque else np.ascontiguousarray(found[..., 3])


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    name = quoted(Path(path))
    with errors_as_image_errors(name):  # whose lock isn't held while frames are used
        image = Image.open(path, formats=("GIF", "PNG", "WEBP"))
    with image:
        check_size(image.size, name, MOST_PIXELS)
        yield image
