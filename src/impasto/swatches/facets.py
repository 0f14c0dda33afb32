"""A still life broken into shaded planes, ochre and grey with cold blues, as the cubists built them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from impasto.swatches.brush import Points, blank, scatter, trace
from impasto.swatches.canvas import Canvas, Field, colours, light, noise_at, ramp, smooth, weave

OCHRES = colours("2a2018", "6a4a26", "a87a3a", "d2aa66", "eddbb0")
GREYS = colours("191b1e", "454744", "7d7b70", "b5af9e", "e2dccb")
BLUES = colours("101a2a", "263f5c", "54758c", "9fb4b6", "dfe3d8")
RUSTS = colours("2a100c", "6d2a1a", "a8492a", "d08a55", "efd0a4")
FAMILIES = (OCHRES, GREYS, OCHRES, BLUES, GREYS, RUSTS)


class Planes:
    """A picture of overlapping planes, each shaded from one of its edges and left open at another."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.dabs = [_dabs(canvas, turn, seed) for seed, turn in enumerate((0.25, -0.8), start=20)]
        drift = canvas.clouds(2.5, 3, 3)
        self.colour = ramp(OCHRES, 0.50 + 0.30 * drift + 0.17 * self.dabs[0])
        self.height = self.dabs[0] * 3
        self.wobble = canvas.noise(14, 5) * 0.0035 + canvas.noise(50, 6) * 0.0012

    def add(self, u: float, v: float, size: float, luck: list[float], mass: float) -> None:
        """One plane of about `size` at (u, v); `mass` is 1 in the middle of the composition, 0 at its fringe."""
        normals = list(_sides(size, luck))
        rows, columns = self._window(u, v, normals)
        x, y = self.canvas.u[:, columns] - np.float32(u), self.canvas.v[rows] - np.float32(v)
        if x.size == 0 or y.size == 0:
            return
        bend = self.wobble[rows, columns]
        sides = [x * nx + y * ny + bend - np.float32(away) for nx, ny, away in normals]
        if luck[9] < 0.22:
            sides.append(np.hypot(x + size * 0.5, y) - np.float32(size * 1.1) + bend)
        beyond = np.maximum.reduce(sides)
        cover = smooth(0.0012, -0.0012, beyond)
        dabs = self.dabs[int(luck[6] * 2)][rows, columns]
        inward = np.clip(-sides[0] / np.float32(size * (0.7 + 0.8 * luck[5])), 0, 1)
        tone = 0.10 + 0.80 * inward**0.8 if luck[7] < 0.6 else 0.92 - 0.75 * inward**0.7
        tone = tone * (0.55 + 0.45 * mass) + 0.20 * (1 - mass) + 0.16 * dabs + 0.25 * (luck[8] - 0.5)
        paint = ramp(FAMILIES[int(luck[10] * len(FAMILIES))], tone)
        # "Passage": a plane dissolves into the next at the edge opposite to its shading.
        open_edge = smooth(0.0, size * 0.6, -sides[2] + size * 0.45 * dabs)
        alpha = cover * (0.30 + 0.66 * open_edge)
        window = self.colour[rows, columns]
        window += (paint - window) * alpha[..., None]
        line = np.exp(-((beyond / np.float32(0.0022 + 0.0025 * luck[11])) ** 2)) * (0.25 + 0.75 * open_edge)
        line *= np.clip(0.55 + 0.75 * dabs + 0.5 * mass, 0, 1) * (0.45 + 0.5 * luck[4])
        window *= (1 - 0.88 * line)[..., None]
        relief = self.height[rows, columns]
        relief += (dabs * 3.0 + 1.5 - relief * 0.6) * alpha

    def _window(self, u: float, v: float, normals: list[tuple[float, float, float]]) -> tuple[slice, slice]:
        """The rows and columns that hold the polygon: its corners are where neighbouring sides meet."""
        corners = []
        for (ax, ay, a), (bx, by, b) in zip(normals, normals[1:] + normals[:1], strict=True):
            turn = ax * by - ay * bx
            corners.append(((a * by - b * ay) / turn + u, (ax * b - bx * a) / turn + v))
        across, down = zip(*corners, strict=True)
        margin, short = 0.012, self.canvas.short
        return (
            slice(max(0, int((min(down) - margin) * short)), max(0, int((max(down) + margin) * short) + 1)),
            slice(max(0, int((min(across) - margin) * short)), max(0, int((max(across) + margin) * short) + 1)),
        )


def _sides(size: float, luck: list[float]) -> Iterator[tuple[float, float, float]]:
    """Outward normals and distances of a quadrilateral's sides."""
    turn = (0.10, 0.62, 1.05, -0.45)[int(luck[0] * 4)] + 0.3 * (luck[1] - 0.5)
    for number in range(4):
        way = turn + number * 1.5708 + 0.55 * (luck[2 + number] - 0.5)
        yield (
            np.cos(way),
            np.sin(way),
            size * (0.35 + 0.75 * luck[(number * 3 + 1) % 12]) * (0.7 if number % 2 else 1.1),
        )


def _dabs(canvas: Canvas, turn: float, seed: int) -> Field:
    """Short parallel touches of a flat brush, about [-1, 1], (h, w)."""
    points = scatter(canvas, 0.019, seed)
    touches = blank(canvas, np.full(3, 0.5, np.float32))
    value = np.repeat((0.5 + 0.30 * points.spread(1))[:, None], 3, axis=1).astype(np.float32)
    way = turn + 0.5 * noise_at(points.u, points.v, 4, seed) + 0.25 * points.spread(2)
    paths = trace(points, lambda u, v: way, 0.045 * (0.6 + 0.8 * points.chance(3)), steps=1)
    touches.stroke(paths, 0.0085 * (0.6 + 0.7 * points.chance(4)), value, seed=seed, bristles=7, streak=0.22)
    return (touches.colour[..., 0] - 0.5) * 2.2 + (touches.height - touches.height.mean()) * 0.06


def paint(canvas: Canvas) -> Field:
    """Shaded planes, (h, w, 3)."""
    planes = Planes(canvas)
    for spacing, size, seed, share in (
        (0.22, 0.24, 60, 1.0),
        (0.125, 0.13, 61, 0.85),
        (0.085, 0.072, 62, 0.55),
        (0.08, 0.036, 63, 0.42),
    ):
        points: Points = scatter(canvas, spacing, seed, margin=0.1)
        lucks = np.stack([points.chance(salt) for salt in range(14)], axis=-1).tolist()
        for u, v, luck in zip(points.u.tolist(), points.v.tolist(), lucks, strict=True):
            away = np.hypot((u / canvas.right - 0.5) * 1.5, (v / canvas.bottom - 0.52) * 1.05)
            mass = float(np.clip(1.25 - 1.9 * away, 0, 1))
            if luck[12] < share * (0.25 + 0.75 * mass) or spacing > 0.2:
                planes.add(u, v, size * (0.7 + 0.6 * luck[13]), luck, mass)
    linen = weave(canvas, 8)
    edge = np.hypot((canvas.u / canvas.right - 0.5) * 1.3, (canvas.v / canvas.bottom - 0.5) * 1.1)
    colour = planes.colour * (1.14 - 0.44 * smooth(0.35, 0.85, edge))[..., None]
    return light(colour, planes.height + linen * 0.8, canvas.short, depth=0.55, gloss=0.12)
