"""Marbled paper: inks dropped on size, drawn into waves with a comb, lifted off on paper."""

from __future__ import annotations

import numpy as np

from impasto.swatches.canvas import Canvas, Field, chance, colours, mix, ramp, smooth
from impasto.swatches.glass import voronoi

INKS = colours("14203c", "f1e6cf", "9c2f26", "d99a3c", "2f5f6b", "f1e6cf", "14203c", "7fa39a", "5a1f2c", "e8c98a")


def paint(canvas: Canvas) -> Field:
    """Combed inks, (h, w, 3)."""
    u = canvas.u + 0.014 * canvas.clouds(3, 1, 3)
    v = canvas.v + 0.014 * canvas.clouds(3, 2, 3)
    # Read backwards: the swirls came last, the comb before them, the rake first.
    for x, y, radius, spin in (
        (0.27, 0.30, 0.23, 2.6),
        (0.74, 0.62, 0.27, -2.9),
        (0.20, 0.84, 0.15, -2.2),
        (0.82, 0.15, 0.14, 2.3),
        (0.50, 0.98, 0.12, 2.0),
    ):
        du, dv = u - x * canvas.right, v - y * canvas.bottom
        turn = spin * np.exp(-((du * du + dv * dv) / (radius * radius)) * 2.2)
        u = x * canvas.right + du * np.cos(turn) - dv * np.sin(turn)
        v = y * canvas.bottom + du * np.sin(turn) + dv * np.cos(turn)
    tooth = np.abs(u * 19 - np.floor(u * 19) - 0.5) * 2
    v = v + 0.055 * tooth ** np.float32(1.5) + 0.02 * np.sin(u * 9)
    tooth = np.abs(v * 5 - np.floor(v * 5) - 0.5) * 2
    u = u + 0.09 * (1 - tooth) ** 2
    place = v * 34 + 0.55 * np.sin(u * 21) + 0.3 * np.sin(u * 57 + v * 30)
    place = place + 0.9 * canvas.noise(5, 4) * 0.4
    band = np.floor(place).astype(np.int32)
    inner = place - band
    share = 0.25 + 0.5 * chance(band, 3, 5)
    ink = INKS[np.mod(band * 7 + (inner > share) * 3, len(INKS))]
    edge = np.minimum(np.minimum(inner, 1 - inner), np.abs(inner - share))
    crowd = ramp(np.stack([INKS[0] * 0.6, INKS[0]]), canvas.noise(20, 6) * 0.5 + 0.5)
    picture = mix(ink, crowd, 0.55 * smooth(0.055, 0.0, edge))
    # Drops that fell after the comb float whole, ringed where they pushed the ink aside.
    i, j, away, _ = voronoi(canvas, 15, 50, bend=0.3)
    size = 0.016 * chance(i, j, 8) ** 2.2 * (chance(i, j, 9) < 0.7)
    rim = away - size
    drop = INKS[np.where(chance(i, j, 10) < 0.6, 1, 3)]
    picture = mix(picture, np.broadcast_to(INKS[0], picture.shape), smooth(0.0028, 0.0008, rim) * (size > 0.002) * 0.8)
    picture = mix(picture, drop, smooth(0.0008, -0.0008, rim) * (size > 0.002))
    thin = 0.09 * canvas.clouds(6, 11, 4) + 0.05 * canvas.noise(230, 12) + 0.05 * canvas.noise(120, 13, (3, 1))
    gap = 0.75 * smooth(0.78, 0.98, canvas.noise(160, 14))
    picture = mix(picture * (1 + thin)[..., None], np.broadcast_to(INKS[1], picture.shape), gap * 0.6)
    return picture * (1 + 0.025 * canvas.noise(320, 15, (2, 1)))[..., None]
