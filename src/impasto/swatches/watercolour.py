"""Poppies in watercolour: wet washes, translucent petals with dark rims, and granulating pigment."""

from __future__ import annotations

import numpy as np

from impasto.swatches.brush import scatter
from impasto.swatches.canvas import Canvas, Field, colours, light, smooth

PETALS = colours("e2362a", "f0612e", "d81f4c", "f39a3c", "b5286f", "e9574f")
LEAVES = colours("6f9440", "2f6b4f", "a9b54a", "3c7f86")
SKY = colours("6f9fcf", "8f86c4", "e9b8a0", "5aa7b5")
HEARTS = colours("2b1a3a", "1f2a4a")


class Wash:
    """Layers of transparent pigment on paper: each multiplies the light that comes back."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.grain = canvas.noise(280, 1) * 0.6 + canvas.noise(130, 2) * 0.4
        self.slow, self.fine, self.soft = (
            canvas.clouds(5, 3, 3),
            canvas.clouds(22, 4, 3),
            canvas.clouds(2.5, 5, 3),
        )
        self.density = np.zeros((canvas.height, canvas.width, 3), np.float32)

    def bloom(
        self,
        u: float,
        v: float,
        radius: float,
        colour: Field,
        *,
        turn: float = 0,
        squash: float = 1,
        strength: float = 0.8,
        wet: float = 0.03,
        rough: float = 0.3,
        rim: float = 0.5,
    ) -> None:
        """A pool of pigment that dries with a dark rim; `wet` is how far its edge bleeds, in radii."""
        short = self.canvas.short
        reach = radius * (1.25 + rough + wet) / min(squash, 1)
        rows = slice(max(0, int((v - reach) * short)), max(0, min(self.canvas.height, int((v + reach) * short) + 2)))
        columns = slice(max(0, int((u - reach) * short)), max(0, min(self.canvas.width, int((u + reach) * short) + 2)))
        x, y = (self.canvas.u[:, columns] - u) / radius, (self.canvas.v[rows] - v) / radius
        if x.size == 0 or y.size == 0:
            return
        along, across = x * np.cos(turn) + y * np.sin(turn), (y * np.cos(turn) - x * np.sin(turn)) * squash
        slow, fine = self.slow[rows, columns], self.fine[rows, columns]
        away = np.sqrt(along * along + across * across) + rough * slow + rough * 0.30 * fine
        inside = smooth(1 + wet, 1 - wet, away)
        dried = np.exp(-(((away - 1 + wet * 1.2 + 0.015) / (0.022 + 0.4 * wet)) ** 2))
        pool = 0.55 + 0.38 * np.clip(away, 0, 1) ** 3 + 0.40 * self.soft[rows, columns] + 0.20 * fine + 0.25 * along
        amount = strength * (inside * np.clip(pool, 0.08, 2) + rim * dried * inside)
        amount *= 1 + 0.30 * self.grain[rows, columns]
        self.density[rows, columns] -= amount[..., None] * np.log(np.maximum(colour, 0.02))

    def lift(self, u: float, v: float, radius: float) -> None:
        """Blot the damp wash around a place, so that what comes next keeps its own colour."""
        short, reach = self.canvas.short, radius * 1.5
        rows = slice(max(0, int((v - reach) * short)), max(0, int((v + reach) * short)))
        columns = slice(max(0, int((u - reach) * short)), max(0, int((u + reach) * short)))
        away = np.hypot(self.canvas.u[:, columns] - u, self.canvas.v[rows] - v) / radius
        blotted = smooth(1.25, 0.75, away + 0.25 * self.slow[rows, columns])
        self.density[rows, columns] *= (1 - 0.88 * blotted)[..., None]

    def stem(self, path_u: Field, rows: slice, width: float, colour: Field) -> None:
        """A line of pigment: its centre u for each row."""
        away = np.abs(self.canvas.u - path_u[:, None]) / width + 0.25 * self.fine[rows]
        amount = smooth(1.1, 0.85, away) * (0.55 + 0.4 * away + 0.3 * self.soft[rows])
        self.density[rows] -= np.clip(amount, 0, 2)[..., None] * np.log(colour)

    def dry(self) -> Field:
        """The paper seen through the pigment, (h, w, 3)."""
        paper = np.array([0.975, 0.96, 0.925], np.float32)
        picture = paper * np.exp(-self.density)
        return light(picture, self.grain * 1.1 + self.fine * 0.5, self.canvas.short, depth=0.55, gloss=0.0)


def paint(canvas: Canvas) -> Field:
    """Translucent blooms, (h, w, 3)."""
    wash = Wash(canvas)
    right, bottom = canvas.right, canvas.bottom
    ground = scatter(canvas, 0.21, 900, margin=0.1)
    for index in range(len(ground)):
        u, v = float(ground.u[index]), float(ground.v[index])
        one, two, three = (float(ground.chance(k)[index]) for k in (1, 2, 3))
        high = v / bottom < 0.45 + 0.15 * (two - 0.5)
        family = SKY if high else LEAVES
        wash.bloom(
            u,
            v,
            0.11 + 0.13 * one,
            family[int(three * len(family))],
            turn=3 * two,
            squash=1.6 - 0.5 * one,
            strength=0.45 if high else 0.62,
            wet=0.30 if one > 0.45 else 0.05,
            rough=0.45,
            rim=0.35,
        )
    flowers = scatter(canvas, 0.235, 950, margin=0.02)
    order = np.argsort(flowers.v, kind="stable")
    for index in order:
        u, v = float(flowers.u[index]), float(flowers.v[index])
        luck = [float(flowers.chance(k)[index]) for k in range(1, 12)]
        y = v / bottom
        if y < 0.16 or luck[0] < 0.12 or abs(u / right - 0.5) > 0.56:
            continue
        top, foot = int(v * canvas.short), min(canvas.height, int((v + 0.25 + 0.3 * luck[1]) * canvas.short))
        down = np.maximum(canvas.v[top:foot, 0] - v, 0)
        bend = u + (luck[2] - 0.5) * 0.5 * down**1.4 + 0.012 * np.sin(down * 15 + 6 * luck[3])
        if foot > top:
            wash.stem(bend.astype(np.float32), slice(top, foot), 0.0035 + 0.003 * luck[4], LEAVES[1] * 0.75)
        size = (0.050 + 0.075 * luck[5]) * (0.55 + 0.65 * y)
        wash.lift(u, v, size * 1.45)
        for petal in range(4):
            turn = 1.57 * petal + luck[6] * 3 + 0.5 * luck[7 + petal]
            hue = PETALS[int((luck[8] + 0.17 * (petal % 3)) * len(PETALS)) % len(PETALS)]
            wash.bloom(
                u + 0.62 * size * np.cos(turn),
                v + 0.50 * size * np.sin(turn),
                size * (0.72 + 0.35 * luck[7 + petal]),
                hue,
                turn=turn,
                squash=1.15,
                strength=0.50,
                rough=0.26,
                wet=0.025,
                rim=0.75,
            )
        wash.bloom(
            u,
            v + 0.05 * size,
            size * 0.30,
            HEARTS[int(luck[9] * 2)],
            strength=0.75,
            wet=0.35,
            rough=0.5,
            rim=0.2,
        )
    drops = scatter(canvas, 0.045, 990, margin=0)
    for index in np.flatnonzero(drops.chance(1) < 0.20):
        hue = (PETALS if drops.chance(2)[index] < 0.6 else LEAVES)[int(drops.chance(3)[index] * 4)]
        wash.bloom(
            float(drops.u[index]),
            float(drops.v[index]),
            0.0025 + 0.009 * float(drops.chance(4)[index]) ** 3,
            hue,
            rough=0.15,
            wet=0.08,
            strength=0.8,
        )
    return wash.dry()
