"""Soft pastel on rough toned paper: hatched chalk over a red evening above a dark fjord."""

from __future__ import annotations

import numpy as np

from impasto.swatches.brush import Points, blank, jitter, pointed, scatter, trace
from impasto.swatches.canvas import Canvas, Field, colours, light, mix, noise_at, ramp, smooth

EVENING = colours("7a1f1a", "c63d1e", "ee7a2a", "f7b85a", "f9e3b0", "8fb0a8")
WATER = colours("0d1a26", "1d3d4f", "3c7480", "8bb0a0", "f0c47a")
SHORE = colours("12100f", "2c2322", "4d3a35", "6f5a55")
PATH = colours("2b1712", "6b3320", "a9623a", "d9a06a", "f2d9b0")
BEADS = colours("e94f2a", "2f8f8a", "f4c54a", "b86a8a", "f2efe2")


class Fjord:
    """Bands of evening sky over a bay, with a bank running into the foreground."""

    def __init__(self, canvas: Canvas) -> None:
        self.right, self.bottom = canvas.right, canvas.bottom

    def regions(self, u: Field, v: Field) -> tuple[Field, Field, Field]:
        """How far v lies below the far shore, the near water and the bank, in short sides."""
        far = self.bottom * 0.43 + 0.035 * np.sin(u * 5 + 1) + 0.012 * np.sin(u * 17)
        near = self.bottom * 0.50 + 0.02 * np.sin(u * 6 + 4)
        bank = self.bottom * (1.02 - 0.42 * u / self.right) + 0.04 * np.sin(u * 7)
        return v - far, v - near, v - bank

    def angle(self, u: Field, v: Field) -> Field:
        """The way of the chalk here."""
        far, near, bank = self.regions(u, v)
        sky = 0.42 * np.sin(u * 5.2 + v * 9) + 0.25 * noise_at(u, v, 4, 2)
        bay = 0.25 * np.sin(u * 8 - v * 16) + 0.9 * smooth(0.35, 0, np.hypot(u - self.right * 0.30, (near - 0.13) * 2))
        way = np.where(far > 0, -0.9 + 0.4 * np.sin(u * 9), sky)
        way = np.where(near > 0, bay, way)
        return np.where(bank > 0, -0.62 + 0.25 * np.sin(v * 8), way)

    def colour(self, points: Points) -> Field:
        """The chalk picked for a stroke here, (n, 3)."""
        u, v = points.u, points.v
        far, near, bank = self.regions(u, v)
        wave = np.sin(v * 30 + 2.6 * np.sin(u * 4.3 + 0.7) + 1.5 * noise_at(u, v, 3, 4))
        sky = ramp(EVENING, 0.44 + 0.34 * wave + 0.22 * points.spread(3) + 0.1 * noise_at(u, v, 7, 5))
        shore = ramp(SHORE, 0.4 + 0.5 * noise_at(u, v, 13, 6) + 0.3 * points.spread(4))
        glint = smooth(0.22, 0.02, np.abs(u - self.right * 0.62) - 0.25 * near) * smooth(0.3, 0.0, near)
        bay = ramp(WATER, 0.34 + 0.3 * np.sin(near * 55 + 3 * np.sin(u * 5)) + 0.5 * glint + 0.2 * points.spread(5))
        path = ramp(PATH, 0.46 + 0.4 * np.sin((v + u * np.float32(0.7)) * 34) + 0.3 * points.spread(6))
        path = mix(path, ramp(WATER, 0.4 + 0.5 * points.spread(7)), 0.9 * (points.chance(8) < 0.16))
        picture = np.where((far > 0)[:, None], shore, sky)
        picture = np.where((near > 0)[:, None], bay, picture)
        picture = np.where((bank > 0)[:, None], path, picture)
        bead = BEADS[(points.chance(9) * len(BEADS)).astype(np.intp)]
        return mix(picture, bead, 0.75 * (points.chance(10) < 0.05))


LAYERS = (
    (0.026, 0.16, 0.0140, 0.10, 0.95),
    (0.0145, 0.13, 0.0068, 0.26, 0.22),
    (0.016, 0.10, 0.0032, 0.45, 0.30),
)
"""Spacing, length, half width, how far values stray, pressure."""


def paint(canvas: Canvas) -> Field:
    """Hatched chalk, (h, w, 3)."""
    fjord = Fjord(canvas)
    tooth = canvas.noise(330, 8) * 0.75 + canvas.noise(190, 9) * 0.35 + canvas.noise(60, 10, (3, 1)) * 0.12
    picture = blank(canvas, colours("5a4034")[0])
    picture.colour *= (1 + 0.07 * canvas.clouds(5, 11))[..., None]
    for number, (spacing, length, half_width, stray, pressure) in enumerate(LAYERS):
        points = scatter(canvas, spacing, 500 + number)
        cross = (0.5 * points.spread(20)).astype(np.float32)
        paths = trace(
            points,
            lambda u, v, cross=cross: fjord.angle(u, v) + cross * 0.5,
            length * (0.5 + points.chance(1)),
        )
        pigment = jitter(fjord.colour(points), points, stray, 0.05)
        picture.stroke(
            paths,
            half_width * (0.6 + 0.8 * points.chance(2)),
            pigment,
            taper=pointed,
            seed=number,
            bristles=7,
            streak=0.08,
            body=0.3,
            tooth=tooth + pressure,
        )
    return light(picture.colour, tooth * 0.8 + picture.height * 0.3, canvas.short, depth=0.8, gloss=0.05)
