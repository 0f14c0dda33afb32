"""Swatches painted at any size, one alone or all of them on a sheet."""

from __future__ import annotations

import difflib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from impasto.errors import SettingsError
from impasto.swatches.canvas import Canvas
from impasto.swatches.registry import SWATCHES

LARGEST_SIDE = 8192
"""Pixels; larger ones would show nothing that 2500 don't."""

MOST_PAINTED = 6_000_000
"""Pixels; larger swatches are painted this large and enlarged, for painting takes 300 bytes a pixel."""

SMALLEST_PAINTED = 384
"""Pixels of the short side; smaller swatches are painted this large and shrunk."""


def names() -> tuple[str, ...]:
    """The names `paint` takes."""
    return tuple(SWATCHES)


def paint(name: str, size: tuple[int, int] = (512, 512)) -> NDArray[np.uint8]:
    """A swatch as sRGB, (width, height) -> (h, w, 3); the same bytes every time.

    Raises `SettingsError` for an unknown name or a size that can't be painted.
    """
    if name not in SWATCHES:
        near = difflib.get_close_matches(name, SWATCHES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(SWATCHES)}"
        raise SettingsError(f"{name!r} is not a swatch", hint)
    width, height = size
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise SettingsError(f"A swatch can't be {width}×{height}", f"use sides from 1 to {LARGEST_SIDE} pixels")
    factor = _oversampling(width, height)
    canvas = Canvas(max(1, round(width * factor)), max(1, round(height * factor)))
    picture = SWATCHES[name].paint(canvas)
    original = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
    resampling = Image.Resampling.BOX if factor >= 1 else Image.Resampling.BICUBIC
    return np.array(original.resize((width, height), resampling))


def _oversampling(width: int, height: int) -> float:
    """How much larger to paint, so that small pictures keep their composition and large ones smooth edges."""
    short, pixels = min(width, height), width * height
    if short >= 1536:
        return min(1.0, (MOST_PAINTED / pixels) ** 0.5)
    small = min(SMALLEST_PAINTED / short, (1_000_000 / pixels) ** 0.5)
    return min(max(1.5, small), (MOST_PAINTED / pixels) ** 0.5)


def sheet(size: int = 256) -> NDArray[np.uint8]:
    """All swatches side by side, `size` pixels each, with their names, (h, w, 3)."""
    if not 16 <= size <= 1024:
        raise SettingsError(f"A sheet can't show swatches {size} pixels wide", "use 16 to 1024")
    columns = 4
    rows = -(-len(SWATCHES) // columns)
    gap, label = max(2, size // 24), max(10, size // 9)
    page = Image.new("RGB", (columns * (size + gap) + gap, rows * (size + label + gap) + gap), (250, 248, 244))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=max(8, label * 0.62))
    for index, name in enumerate(SWATCHES):
        x = gap + index % columns * (size + gap)
        y = gap + index // columns * (size + label + gap)
        page.paste(Image.fromarray(paint(name, (size, size))), (x, y))
        pen.text((x + 1, y + size + label * 0.12), name, fill=(40, 36, 32), font=font)
    return np.array(page)
