"""Slabs of paint dragged with a palette knife: half-mixed colours, thick rims, scraped ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impasto.swatches.brush import Points, blank, jitter, scatter, trace
from impasto.swatches.canvas import Canvas, Field, colours, light, noise_at, smooth, weave

GROUND = colours("efe4cf", "d8cbb2", "b9b1a4", "f7f1e4")
WARM = colours("8c1c13", "c8321f", "e2622b", "f0a13a", "f4d58a")
COOL = colours("0f1c24", "15414f", "1f7a80", "7bb5ab", "23305c")
DARK = colours("0b0b0e", "1a1a20", "2c2326", "3d2a22")


def slab(flat: Field) -> Field:
    """A knife's mark: square ends, slightly waisted."""
    return (0.9 + 0.1 * np.cos(flat * 6.3)).astype(np.float32)


class Composition:
    """A red mass against cool blocks on a pale ground, held by a dark diagonal."""

    def __init__(self, canvas: Canvas) -> None:
        self.right, self.bottom = canvas.right, canvas.bottom

    def angle(self, u: Field, v: Field) -> Field:
        """The way the knife is drawn: blocks of like direction, mostly steep or level."""
        block = noise_at(u, v, 2.6, 4) + 0.3 * noise_at(u, v, 7, 5)
        return np.where(block > 0.05, 0.15, np.where(block > -0.5, 1.35, -0.75)) + 0.3 * noise_at(u, v, 5, 6)

    def pots(self, points: Points) -> tuple[Field, Field]:
        """Two paints on the knife at each point, (n, 3) each."""
        u, v = points.u / self.right, points.v / self.bottom
        rough = noise_at(points.u, points.v, 4, 7)
        red = smooth(0.36, 0.20, np.hypot((u - 0.60) * 0.9, v - 0.40) + 0.12 * rough)
        cool = np.maximum(
            smooth(0.30, 0.16, np.hypot(u - 0.20, (v - 0.72) * 0.8) + 0.1 * rough),
            smooth(0.17, 0.08, np.hypot(u - 0.88, v - 0.12) + 0.07 * rough),
        )
        dark = np.maximum(
            smooth(0.12, 0.04, np.abs(v - 0.98 + 0.62 * u + 0.10 * rough)),
            smooth(0.10, 0.04, np.abs(u - 0.34 - 0.1 * v + 0.05 * rough)) * smooth(0.75, 0.55, v),
        )
        weight = np.stack([0.34 + 0 * u, 1.4 * red, 1.5 * cool, 1.6 * dark])
        families = np.stack(
            [_pick(GROUND, points, 1), _pick(WARM, points, 2), _pick(COOL, points, 3), _pick(DARK, points, 4)]
        )
        first = _draw(weight, points.chance(30))
        other = _draw(weight**0.5 + 0.12, points.chance(31))
        index = np.arange(len(points))
        return families[first, index], families[other, index]


def _pick(family: Field, points: Points, salt: int) -> Field:
    return family[(points.chance(60 + salt) * len(family)).astype(np.intp)]


def _draw(weight: Field, number: Field) -> NDArray[np.intp]:
    share = np.cumsum(weight / weight.sum(0), axis=0)
    return np.minimum((number > share).sum(0), len(weight) - 1)


LAYERS = (
    (0.10, 0.50, 0.085, 4.0),
    (0.085, 0.32, 0.052, 6.0),
    (0.085, 0.18, 0.024, 7.0),
    (0.11, 0.12, 0.0042, 6.0),
)
"""Spacing, length, half width, thickness of paint."""


def paint(canvas: Canvas) -> Field:
    """Knife slabs, (h, w, 3)."""
    composition = Composition(canvas)
    picture = blank(canvas, GROUND[1])
    linen = weave(canvas, 6)
    picture.height += linen
    scrape = canvas.clouds(20, 12, 4, (4, 1)) * 0.55 + 0.95 + 0.25 * linen
    for number, (spacing, length, half_width, body) in enumerate(LAYERS):
        points = scatter(canvas, spacing, 700 + number, margin=0.15)
        drawn = composition.angle(points.u, points.v) + 0.3 * points.spread(20)
        bend = 0.5 * points.spread(21)
        paths = trace(
            points,
            lambda u, v, drawn=drawn, bend=bend, start=points.u: drawn + bend * 9 * (u - start),
            length * (0.45 + points.chance(1)),
            steps=4,
        )
        first, second = composition.pots(points)
        picture.stroke(
            paths,
            half_width * (0.45 + 0.9 * points.chance(2)),
            jitter(first, points, 0.14, 0.03),
            taper=slab,
            seed=20 + number,
            bristles=26 - 6 * number,
            streak=0.07,
            body=body,
            second=jitter(second, points, 0.2, 0.04, 50),
            tooth=scrape,
            swell=0.9,
        )
    return light(picture.colour, picture.height + linen * 0.3, canvas.short, depth=0.5, gloss=0.25)
