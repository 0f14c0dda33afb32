"""What every swatch is painted on: coordinates, noise, colour ramps and light, in units of the short side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.floating]
"""An array of numbers over pixels or points; colours have a last axis of 3, sRGB in [0, 1]."""


@dataclass(frozen=True)
class Canvas:
    """A picture's size in pixels, and the coordinates of its pixels in units of the short side."""

    width: int
    height: int

    @property
    def short(self) -> int:
        """The short side in pixels."""
        return min(self.width, self.height)

    @property
    def right(self) -> float:
        """The largest u: 1, or more for a wide picture."""
        return self.width / self.short

    @property
    def bottom(self) -> float:
        """The largest v: 1, or more for a tall picture."""
        return self.height / self.short

    @cached_property
    def u(self) -> Field:
        """Across, (1, w)."""
        return ((np.arange(self.width, dtype=np.float32) + 0.5) / self.short)[None, :]

    @cached_property
    def v(self) -> Field:
        """Down, (h, 1)."""
        return ((np.arange(self.height, dtype=np.float32) + 0.5) / self.short)[:, None]

    def noise(self, cells: float, seed: int, stretch: tuple[float, float] = (1, 1)) -> Field:
        """Smooth noise in about [-1, 1] with `cells` bumps along the short side, (h, w).

        PIL's bicubic filter averages bumps finer than a pixel, so the same noise at any size looks the same.
        """
        across, down = cells / stretch[0] * self.right, cells / stretch[1] * self.bottom
        columns, rows = np.arange(int(across) + 6), np.arange(int(down) + 6)
        values = chance(columns[None, :], rows[:, None], seed) * 2 - 1
        box = (2.5, 2.5, 2.5 + across, 2.5 + down)
        grid = Image.fromarray(values).resize((self.width, self.height), Image.Resampling.BICUBIC, box=box)
        return np.asarray(grid, dtype=np.float32)

    def clouds(self, cells: float, seed: int, octaves: int = 4, stretch: tuple[float, float] = (1, 1)) -> Field:
        """Octaves of noise, each twice as fine and half as strong, scaled to about [-1, 1], (h, w)."""
        total = np.zeros((self.height, self.width), np.float32)
        for octave in range(octaves):
            total += self.noise(cells * 2**octave, seed + 31 * octave, stretch) * 0.5**octave
        return total / np.float32(1.3)


def chance(i: NDArray, j: NDArray | int, seed: int) -> Field:
    """Uniform numbers in [0, 1) that depend on two integers and a seed alone: the same for any picture size."""
    x = _wrapped(i) * np.uint32(0x9E3779B1)
    y = _wrapped(j) * np.uint32(0x85EBCA77)
    x = x ^ (y + np.uint32((seed * 0xC2B2AE3D + 0x27D4EB2F) & 0xFFFFFFFF))
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return ((x ^ (x >> np.uint32(15))) >> np.uint32(8)).astype(np.float32) / np.float32(2**24)


def _wrapped(number: NDArray | int) -> NDArray[np.uint32]:
    """Integers modulo 2³²; an array even of one, since numpy warns when a lone number overflows."""
    number = np.atleast_1d(number)
    # Casting a negative float to an unsigned integer is undefined, so floats pass through int32.
    return (number if number.dtype.kind in "iu" else number.astype(np.int32)).astype(np.uint32)


def noise_at(u: Field, v: Field, cells: float, seed: int) -> Field:
    """Value noise in [-1, 1] at points: for strokes, which need it at a few thousand places only."""
    x, y = np.asarray(u * cells), np.asarray(v * cells)
    i, j = np.floor(x), np.floor(y)
    s, t = smooth(0, 1, x - i), smooth(0, 1, y - j)
    top = chance(i, j, seed) * (1 - s) + chance(i + 1, j, seed) * s
    low = chance(i, j + 1, seed) * (1 - s) + chance(i + 1, j + 1, seed) * s
    return ((top * (1 - t) + low * t) * 2 - 1).astype(np.float32)


def smooth(low: float | Field, high: float | Field, x: Field) -> Field:
    """Hermite step: 0 below `low`, 1 above `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def colours(*codes: str) -> Field:
    """Hex codes as sRGB, (k, 3)."""
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes], np.float32)


def ramp(stops: Field, t: Field) -> Field:
    """Colours along evenly spaced stops: t in [0, 1] of any shape -> (..., 3)."""
    place = np.clip(t, 0, 1) * (len(stops) - 1)
    index = np.minimum(place.astype(np.intp), len(stops) - 2)
    part = (place - index)[..., None].astype(np.float32)
    return stops[index] * (1 - part) + stops[index + 1] * part


def mix(below: Field, above: Field, cover: Field) -> Field:
    """`above` laid on `below` where `cover` is 1; cover has no colour axis."""
    return below + (above - below) * cover[..., None]


def light(picture: Field, height: Field, short: int, depth: float = 1.0, gloss: float = 0.15) -> Field:
    """Light from the upper left over a relief; height in thousandths of the short side, (h, w)."""
    padded = np.pad(height, 1, mode="edge")
    per_pixel = np.float32(short / 2000)
    slope = (padded[2:, 1:-1] - padded[:-2, 1:-1]) * 0.75 + (padded[1:-1, 2:] - padded[1:-1, :-2]) * 0.6
    lit = np.tanh(slope * per_pixel * depth)
    shade = 1 + 0.42 * np.minimum(lit, 0) + 0.16 * np.maximum(lit, 0)
    return picture * shade[..., None] + (gloss * np.maximum(lit - 0.15, 0))[..., None]


def weave(canvas: Canvas, seed: int, threads: float = 190) -> Field:
    """The height of woven linen, about [-1, 1], (h, w)."""
    wobble = canvas.noise(9, seed) * 2.0
    warp = np.sin(canvas.u * (threads * 2 * np.pi) + wobble)
    weft = np.sin(canvas.v * (threads * 2 * np.pi) - wobble)
    return warp * weft * 0.7 + canvas.noise(threads * 0.8, seed + 1) * 0.5
