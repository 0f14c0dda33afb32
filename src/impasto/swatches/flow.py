"""A windy night in thick oil: every stroke follows the swirling air, the hills or the flame of a cypress."""

from __future__ import annotations

import numpy as np

from impasto.swatches.brush import Paint, Points, blank, jitter, scatter, trace
from impasto.swatches.canvas import Canvas, Field, colours, light, mix, noise_at, ramp, smooth, weave

SKY = colours("0b1638", "14306e", "1f54a4", "3f83c4", "7fb3cf", "c9d9b4")
STAR = colours("fff6cf", "f7d860", "e7a72c", "8fb08c", "3a74b0")
WHEAT = colours("3d2a12", "8a5a17", "c98a1e", "e9bd48", "f6e29a")
HILL = colours("0a1428", "12304a", "1f5560", "4b7f6c", "93a866")
CYPRESS = colours("060b0d", "0d1f18", "1d3a20", "49501f", "7a5a22")

STARS = (
    (0.79, 0.20, 0.125),
    (0.30, 0.13, 0.055),
    (0.55, 0.09, 0.04),
    (0.93, 0.49, 0.045),
    (0.08, 0.33, 0.05),
    (0.60, 0.47, 0.04),
)
"""x and y in the frame, radius in short sides; the first is the moon."""
SWIRLS = (
    (0.40, 0.36, 0.17, 1.5),
    (0.66, 0.53, 0.09, -1.6),
    (0.12, 0.52, 0.10, 1.3),
    (0.98, 0.28, 0.12, -1.0),
)
"""x, y, radius and spin."""


class Landscape:
    """Where things are on this canvas: the ground's edge, the tree, the way of the wind, the colours."""

    def __init__(self, canvas: Canvas) -> None:
        self.right, self.bottom = canvas.right, canvas.bottom

    def hills(self, u: Field) -> Field:
        """v of the hills' edge."""
        return self.bottom * 0.70 + 0.055 * np.sin(u * 4.3 + 0.6) + 0.025 * np.sin(u * 11 + 2)

    def wheat(self, u: Field) -> Field:
        """v of the field's edge, in front of the hills."""
        return self.bottom * 0.80 + 0.03 * np.sin(u * 3.1 + 2.4) + 0.012 * np.sin(u * 9)

    def tree(self, u: Field, v: Field) -> Field:
        """Positive inside the cypress, in short sides."""
        up = (self.bottom * 0.97 - v) / (self.bottom * 0.80)
        lean = self.right * 0.17 + 0.025 * np.sin(v * 9) * up
        wide = 0.085 * np.clip(1 - up, 0, 1) ** 0.75 * (1 + 0.3 * np.sin(v * 31 + 8 * u))
        return np.where((up > -0.1) & (up < 1), wide - np.abs(u - lean), -1.0)

    def angle(self, u: Field, v: Field) -> Field:
        """The way a stroke takes here."""
        x, y = 1 + 0 * u, 0.30 * np.sin(u * 5 + v * 3) + 0.2 * noise_at(u, v, 3, 5)
        for cx, cy, radius, spin in SWIRLS + tuple((*star[:2], star[2] * 1.15, 4.0) for star in STARS):
            du, dv = u - cx * self.right, v - cy * self.bottom
            power = spin * 2.2 / radius * np.exp(-(du * du + dv * dv) / (radius * radius) * 0.8)
            x, y = x - power * dv + 0.12 * power * du, y + power * du + 0.12 * power * dv
        sky = np.arctan2(y, x)
        slope = np.arctan2(self.hills(u + 0.01) - self.hills(u - 0.01), 0.02)
        hill = slope + 0.7 * np.sin(u * 9 + v * 14)
        depth = np.clip((v - self.wheat(u)) / (self.bottom * 0.2), 0, 1)
        field = np.where(depth < 0.15, slope, np.arctan2(0.5 + depth, (u - self.right * 0.55) * 2.2))
        field = field + 0.35 * np.sin(u * 17 + v * 8)
        tree = -np.pi / 2 + 0.55 * np.sin(v * 13 + u * 9)
        way = np.where(v > self.hills(u), hill, sky)
        way = np.where(v > self.wheat(u), field, way)
        return np.where(self.tree(u, v) > 0, tree, way)

    def colour(self, points: Points) -> Field:
        """The colour of a stroke begun here, (n, 3)."""
        u, v = points.u, points.v
        way = self.angle(u, v)
        band = noise_at(u * np.float32(0.7), v * np.float32(2), 4, 11) * 0.33 + 0.14 * np.sin(way * 2 + 1)
        sky = ramp(SKY, 0.22 + 0.33 * v / self.bottom + band + 0.2 * points.spread(3))
        for cx, cy, radius, spin in SWIRLS:
            away = np.hypot(u - cx * self.right, v - cy * self.bottom) / radius
            arms = np.sin(away * 7 - spin * np.arctan2(v - cy * self.bottom, u - cx * self.right))
            sky = mix(sky, ramp(SKY, 0.5 + 0.42 * arms + 0.2 * points.spread(4)), smooth(1.5, 0.5, away) * 0.85)
        for cx, cy, radius in STARS:
            away = np.hypot(u - cx * self.right, v - cy * self.bottom) / radius
            glow = ramp(STAR, away * 0.55 + 0.16 * points.spread(5))
            sky = mix(sky, glow, smooth(1.9, 1.0, away + 0.35 * points.spread(6)))
        hill = ramp(HILL, 0.35 + 0.4 * noise_at(u, v, 7, 21) + 0.3 * points.spread(7))
        deep = (v - self.wheat(u)) / (self.bottom * 0.2)
        field = ramp(WHEAT, 0.72 - 0.35 * deep + 0.28 * noise_at(u, v, 9, 22) + 0.35 * points.spread(8))
        field = np.where((points.chance(9) < 0.13)[:, None], ramp(HILL, points.chance(10)), field)
        tree = ramp(CYPRESS, 0.30 + 0.35 * noise_at(u * np.float32(2), v, 11, 23) + 0.4 * points.spread(12))
        picture = np.where((v > self.hills(u))[:, None], hill, sky)
        picture = np.where((v > self.wheat(u))[:, None], field, picture)
        return np.where((self.tree(u, v) > 0)[:, None], tree, picture)


LAYERS = (
    (0.024, 0.15, 0.0125, 0.10, 2.2),
    (0.0135, 0.095, 0.0062, 0.20, 3.2),
    (0.021, 0.065, 0.0038, 0.38, 4.2),
)
"""Spacing, length, half width, how far values stray, thickness of paint: broad strokes first."""


def paint(canvas: Canvas) -> Field:
    """Flowing strokes, (h, w, 3)."""
    landscape = Landscape(canvas)
    picture: Paint = blank(canvas, SKY[0])
    picture.height += weave(canvas, 3) * 0.5
    for number, (spacing, length, half_width, stray, body) in enumerate(LAYERS):
        points = scatter(canvas, spacing, 100 + number)
        paths = trace(points, landscape.angle, length * (0.6 + 0.8 * points.chance(1)))
        pigment = jitter(landscape.colour(points), points, stray, 0.05)
        second = np.clip(pigment * (1 + 0.45 * points.spread(15))[:, None] + 0.03, 0, 1).astype(np.float32)
        picture.stroke(
            paths,
            half_width * (0.65 + 0.6 * points.chance(2)),
            pigment,
            seed=number,
            body=body,
            second=second,
            streak=0.13,
        )
    return light(picture.colour, picture.height, canvas.short, depth=0.55, gloss=0.22)
