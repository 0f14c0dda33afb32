"""A river on a summer afternoon in dots of pure colour that mix in the eye."""

from __future__ import annotations

import numpy as np

from impasto.swatches.brush import Points, blank, disc, jitter, scatter, trace
from impasto.swatches.canvas import Canvas, Field, colours, light, mix, noise_at, ramp, smooth, weave

SKY = colours("6f9fd0", "a9c6e0", "e3e0c8", "f7d9a4", "f4b98a")
TREES = colours("14233f", "1f4a4a", "3b7a3f", "86a83a", "d9c94f")
WATER = colours("22417c", "3f74b2", "7fb0cf", "cfe0d4", "f6dca6")
GRASS = colours("1c3a4c", "2f6b3f", "6fa53c", "bccb45", "f5e27a")
SAIL = colours("fff4dc", "f3d2b0", "b6a3c8")
TRUNK = colours("1d1530", "4a2a3c", "8f4b36", "d98a4a")
SPARKS = colours("e8622c", "2b3f9e", "f5c62f", "8a3f96", "2f9a6a", "f3a9b6")
"""The pure colours a divisionist sets against the local one."""

SAILS = ((0.30, 0.50, 0.13), (0.44, 0.47, 0.07), (0.57, 0.46, 0.045))
"""x in the frame, foot in the frame, height in short sides."""


class River:
    """The colours of the landscape at any place."""

    def __init__(self, canvas: Canvas) -> None:
        self.right, self.bottom = canvas.right, canvas.bottom

    def colour(self, points: Points) -> Field:
        """The local colour at each point, (n, 3), with the edges softened by chance."""
        u, v = points.u + 0.006 * points.spread(1), points.v + 0.006 * points.spread(2)
        y = v / self.bottom
        rough = noise_at(u, v, 11, 1) * 0.6 + noise_at(u, v, 27, 2) * 0.4
        cloud = noise_at(u * np.float32(0.8), v * np.float32(2.2), 4, 3)
        picture = ramp(SKY, y * 2.2 + 0.22 * cloud)
        shore = 0.40 + 0.012 * np.sin(u * 9)
        crown = 0.30 - 0.10 * np.abs(np.sin(u * 4.1 + 0.8)) - 0.03 * np.sin(u * 15) + 0.03 * rough
        wood = ramp(TREES, 0.42 + 0.38 * rough + 0.9 * (shore - y - 0.08))
        picture = np.where(((y > crown) & (y < shore + 0.01))[:, None], wood, picture)
        ripple = noise_at(u, v * np.float32(6), 6, 4)
        water = ramp(WATER, 0.66 - 1.3 * (y - shore) + 0.30 * ripple)
        mirror = smooth(0.13, 0.0, y - shore) * smooth(-0.5, 0.3, ripple + 0.25)
        water = mix(water, ramp(TREES, 0.34 + 0.3 * rough), mirror * 0.85)
        picture = np.where((y > shore)[:, None], water, picture)
        for x, foot, tall in SAILS:
            for sign, reach in ((1, 1.0), (-1, 0.45)):
                up = (foot * self.bottom - v) / (tall * sign)
                side = np.abs(u - x * self.right) / (0.5 * tall)
                inside = (up > 0) & (up < reach) & (side < 1 - up / reach) & (u > x * self.right - 0.15 * tall)
                white = ramp(SAIL, 0.2 + 0.8 * side + (0.25 if sign < 0 else 0))
                picture = np.where(inside[:, None], white if sign > 0 else white * 0.88 + 0.06, picture)
        bank = 0.80 - 0.30 * (u / self.right) ** 2 + 0.02 * np.sin(u * 8)
        shade = smooth(-0.15, 0.15, noise_at(u * np.float32(0.6), v * np.float32(1.7), 5, 8) + 0.1)
        grass = ramp(GRASS, 0.22 + 0.58 * shade + 0.22 * rough)
        picture = np.where((y > bank)[:, None], grass, picture)
        return self._tree(u, v, rough, picture)

    def _tree(self, u: Field, v: Field, rough: Field, picture: Field) -> Field:
        lean = self.right * 0.86 + 0.03 * np.sin(v * 4)
        trunk = (np.abs(u - lean) < 0.022 + 0.03 * smooth(0.55, 0.8, v / self.bottom)) & (v < self.bottom * 0.8)
        bark = ramp(TRUNK, 0.5 - (u - lean) * 14 + 0.3 * rough)
        picture = np.where(trunk[:, None], bark, picture)
        crown = np.hypot((u - self.right * 0.88) / 0.36, (v - self.bottom * 0.10) / 0.26)
        leaves = ramp(TREES, 0.50 + 0.45 * rough - 0.6 * (v - self.bottom * 0.10) + 0.35 * (self.right * 0.8 - u))
        return np.where((crown + 0.28 * rough < 1)[:, None], leaves, picture)


LAYERS = (
    (0.0165, 0.0135, 0.10, 0.0, 1.2),
    (0.0098, 0.0066, 0.22, 0.16, 2.0),
    (0.0125, 0.0047, 0.30, 0.36, 2.6),
)
"""Spacing, radius, how far values stray, share of pure colours, thickness of paint."""


def paint(canvas: Canvas) -> Field:
    """Layered dots, (h, w, 3)."""
    river = River(canvas)
    picture = blank(canvas, colours("d8c7a0")[0])
    for number, (spacing, radius, stray, share, body) in enumerate(LAYERS):
        points = scatter(canvas, spacing, 300 + number)
        size = (radius * (0.72 + 0.5 * points.chance(11))).astype(np.float32)
        turn = np.pi * points.chance(12)
        paths = trace(points, lambda u, v, turn=turn: turn, size * (1.9 + 0.8 * points.chance(13)), steps=1)
        local = jitter(river.colour(points), points, stray, 0.09)
        spark = SPARKS[(points.chance(14) * len(SPARKS)).astype(np.intp)]
        tone = (local.mean(-1) / spark.mean(-1))[:, None]
        pure = np.clip(spark * (0.35 + 0.65 * tone), 0, 1) * 0.7 + local * 0.3
        pigment = np.where((points.chance(15) < share)[:, None], pure, local).astype(np.float32)
        picture.stroke(paths, size, pigment, taper=disc, seed=number, bristles=4, streak=0.06, body=body, swell=0.2)
    relief = picture.height + weave(canvas, 5) * 0.35
    return light(picture.colour, relief, canvas.short, depth=0.5, gloss=0.12)
