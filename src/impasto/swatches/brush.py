"""Strokes by the thousand: paths are traced, rasterised as (stroke, along, across), then shaded pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impasto.swatches.canvas import Canvas, Field, chance

CHUNK = 400_000
"""Samples rasterised at once: few enough to stay in the cache."""

OVERLAP = 1.3
"""Samples per pixel along and across a stroke: fewer leave holes in slanted ones."""


@dataclass(frozen=True)
class Points:
    """Places on a jittered grid in random order; each has its own random numbers, whatever the picture's size."""

    u: Field
    v: Field
    i: NDArray
    j: NDArray
    seed: int

    def chance(self, salt: int) -> Field:
        """One uniform number in [0, 1) per point."""
        return chance(self.i, self.j, self.seed * 1009 + salt)

    def spread(self, salt: int) -> Field:
        """One number in [-1, 1] per point, more often near 0."""
        return self.chance(salt) + self.chance(salt + 500) - 1

    def where(self, keep: NDArray) -> Points:
        """Only the points for which `keep` is true."""
        return Points(self.u[keep], self.v[keep], self.i[keep], self.j[keep], self.seed)

    def __len__(self) -> int:
        return len(self.u)


def scatter(canvas: Canvas, spacing: float, seed: int, margin: float = 0.06) -> Points:
    """Points about `spacing` apart all over the canvas and a little beyond."""
    first, columns = -int(margin / spacing) - 1, int((canvas.right + margin) / spacing) + 1
    rows = int((canvas.bottom + margin) / spacing) + 1
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(first, columns), np.arange(first, rows)))
    order = np.argsort(chance(i, j, seed + 7), kind="stable")
    i, j = i[order], j[order]
    u = (i + chance(i, j, seed + 1)) * spacing
    v = (j + chance(i, j, seed + 2)) * spacing
    return Points(u.astype(np.float32), v.astype(np.float32), i, j, seed)


def trace(points: Points, angle: Callable[[Field, Field], Field], length: Field, steps: int = 8) -> NDArray:
    """Paths that follow a field of angles in both directions from the points, (2, n, 2·steps+1)."""
    half = (length / (2 * steps)).astype(np.float32)
    paths = []
    for sign in (-1, 1):
        u, v, path = points.u, points.v, []
        for _ in range(steps):
            way = angle(u, v)
            u, v = u + sign * half * np.cos(way), v + sign * half * np.sin(way)
            path.append(np.stack([u, v]))
        paths.append(path)
    return np.stack([*paths[0][::-1], np.stack([points.u, points.v]), *paths[1]], axis=-1).astype(np.float32)


@dataclass(frozen=True)
class Marks:
    """The pixels covered by strokes: which pixel, which stroke, and where in it (along 0…1, across -1…1)."""

    pixel: NDArray
    stroke: NDArray
    along: Field
    across: Field


def rasterise(canvas: Canvas, paths: NDArray, half_width: Field, taper: Callable[[Field], Field]) -> Marks:
    """The topmost stroke at every pixel, later strokes over earlier ones; paths (2, n, k), half_width (n,)."""
    count = paths.shape[1]
    longest = float(np.hypot(*np.diff(paths, axis=-1)).sum(-1).max(initial=1e-6))
    samples = max(4, int(longest * canvas.short * OVERLAP) + 1)
    lanes = max(3, int(2 * float(half_width.max(initial=1e-6)) * canvas.short * OVERLAP) + 1)
    centre, normal = _resample(paths * np.float32(canvas.short) + 1, samples)
    along = np.linspace(0, 1, samples, dtype=np.float32)
    across = np.linspace(-1, 1, lanes, dtype=np.float32)
    reach = taper(along)[None, :] * (half_width * canvas.short)[:, None].astype(np.float32)
    normal = normal * reach
    # A frame one pixel wide takes whatever falls outside; clipping into it is cheaper than masking.
    row = canvas.width + 2
    total = count * samples * lanes
    topmost = np.full((canvas.height + 2, row), -1, np.int32 if total < 2**31 else np.int64)
    per_chunk = max(1, CHUNK // (samples * lanes))
    for start in range(0, count, per_chunk):
        part = slice(start, min(start + per_chunk, count))
        x = centre[0, part, :, None] + normal[0, part, :, None] * across
        y = centre[1, part, :, None] + normal[1, part, :, None] * across
        where = np.clip(y, 0, canvas.height + 1, out=y).astype(np.int32)
        where *= row
        where += np.clip(x, 0, canvas.width + 1, out=x).astype(np.int32)
        first = start * samples * lanes
        topmost.reshape(-1)[where.ravel()] = np.arange(first, first + where.size, dtype=topmost.dtype)
    topmost = topmost[1:-1, 1:-1].ravel()
    pixel = np.flatnonzero(topmost >= 0)
    top = topmost[pixel]
    rest = top // lanes
    stroke = rest // samples
    lane, step = top - rest * lanes, rest - stroke * samples
    return Marks(pixel, stroke, along[step], across[lane])


def _resample(paths: NDArray, samples: int) -> tuple[NDArray, NDArray]:
    """Paths (2, n, k) at `samples` even steps, and their unit normals."""
    place = np.linspace(0, paths.shape[-1] - 1, samples)
    index = np.minimum(place.astype(np.intp), paths.shape[-1] - 2)
    part = (place - index).astype(np.float32)
    centre = paths[..., index] * (1 - part) + paths[..., index + 1] * part
    way = np.gradient(paths, axis=-1)
    way = way[..., index] * (1 - part) + way[..., index + 1] * part
    size = np.maximum(np.hypot(way[0], way[1]), 1e-9)
    return centre, np.stack([-way[1], way[0]]).astype(np.float32) / size.astype(np.float32)


def round_ends(along: Field) -> Field:
    """A stroke of even width whose ends are blunt: relative half width along it."""
    edge = np.clip(np.minimum(along, 1 - along) / 0.12, 0, 1)
    return np.sqrt(edge * (2 - edge)) * 0.97 + 0.03


def disc(along: Field) -> Field:
    """A round dab: as wide as it is long."""
    return np.sqrt(np.maximum(1 - (2 * along - 1) ** 2, 0)).astype(np.float32)


def pointed(along: Field) -> Field:
    """A stroke that lands softly and lifts to a point."""
    return (smooth_rise(along / 0.18) * (1 - along**3) * 0.97 + 0.03).astype(np.float32)


def smooth_rise(x: Field) -> Field:
    """A half sine from 0 to 1, then 1."""
    return np.sin(np.clip(x, 0, 1) * (np.pi / 2))


BRISTLES = 256


def bristle_table(seed: int, run: int = 14) -> Field:
    """Noise that is long one way and fine the other, (256, 256) in about [-1, 1]: what bristles leave."""
    grain = np.random.default_rng(seed).standard_normal((BRISTLES, BRISTLES)).astype(np.float32)
    kernel = np.exp(-0.5 * (np.minimum(np.arange(BRISTLES), BRISTLES - np.arange(BRISTLES)) / run) ** 2)
    along = np.fft.irfft(np.fft.rfft(grain, axis=0) * np.fft.rfft(kernel)[:, None], n=BRISTLES, axis=0)
    along = along + 0.5 * np.roll(along, 1, axis=1)
    return (along / (2.2 * along.std())).astype(np.float32)


@dataclass
class Paint:
    """A picture in the making: colour (h, w, 3) and how high the paint stands (h, w), in thousandths."""

    canvas: Canvas
    colour: Field
    height: Field

    def stroke(
        self,
        paths: NDArray,
        half_width: Field,
        pigment: Field,
        *,
        taper: Callable[[Field], Field] = round_ends,
        seed: int = 0,
        bristles: float = 9,
        streak: float = 0.10,
        body: float = 3.0,
        second: Field | None = None,
        tooth: Field | None = None,
        swell: float = 0.6,
    ) -> None:
        """Lay strokes of `pigment` (n, 3), later ones on top.

        `second` streaks through it; `body` is the thickness of the paint and `swell` that of its rim;
        `tooth` (h, w) is the paper: above 0 it takes the colour, below 0 it doesn't.
        """
        marks = rasterise(self.canvas, paths, half_width, taper)
        table = bristle_table(seed)
        rows = (marks.stroke * 37 + (marks.along * 60).astype(np.int64)) % BRISTLES
        lane = (marks.across + 1) * np.float32(bristles)
        column = lane.astype(np.int64)
        part = lane - column
        column = column + marks.stroke * 101
        hair = table[rows, column % BRISTLES] * (1 - part) + table[rows, (column + 1) % BRISTLES] * part
        colour = pigment[marks.stroke]
        if second is not None:
            colour = mix_rows(colour, second[marks.stroke], np.clip(hair * 0.9 + 0.25, 0, 1))
        colour = colour * (1 + streak * hair)[:, None]
        ridge = 0.55 + swell * np.abs(marks.across) ** 3 + 0.5 * marks.along**6
        below, flat = self.colour.reshape(-1, 3), self.height.reshape(-1)
        if tooth is not None:
            lifting = np.maximum(marks.along - 0.65, 0) * 2
            grip = np.clip((tooth.reshape(-1)[marks.pixel] + 0.35 * hair - lifting) * 1.8, 0, 0.95)
            colour = mix_rows(below[marks.pixel], colour, grip)
        below[marks.pixel] = colour
        flat[marks.pixel] = flat[marks.pixel] * 0.35 + body * (ridge + 0.45 * hair)


def mix_rows(first: Field, second: Field, part: Field) -> Field:
    """Two lists of colours (n, 3), blended by a number each."""
    return first + (second - first) * part[:, None]


def jitter(pigment: Field, points: Points, value: float, hue: float, salt: int = 40) -> Field:
    """Colours (n, 3) made lighter, darker, warmer or cooler at random, as a loaded brush does."""
    tone = 1 + value * points.spread(salt)
    warm = hue * points.spread(salt + 1)
    green = hue * points.spread(salt + 2)
    shift = np.stack([warm, green * 0.7, -warm], axis=-1)
    return np.clip(pigment * tone[:, None] + shift, 0, 1).astype(np.float32)


def blank(canvas: Canvas, colour: Field) -> Paint:
    """A canvas primed with one colour (3,)."""
    shape = (canvas.height, canvas.width)
    return Paint(canvas, np.broadcast_to(colour, (*shape, 3)).astype(np.float32), np.zeros(shape, np.float32))
