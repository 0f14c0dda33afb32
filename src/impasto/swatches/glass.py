"""A rose window: streaked glass in lead, light falling through it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impasto.swatches.canvas import Canvas, Field, chance, colours, light, mix, ramp, smooth

RUBY = colours("3d0312", "8f0b1f", "d3202a", "f2643c")
COBALT = colours("050b36", "10298c", "2a5fd0", "7fb4ee")
AMBER = colours("6b2f05", "c9720f", "f4b52c", "fff0a8")
GREEN = colours("03251a", "0b5a36", "3a9a4a", "b6dc6a")
VIOLET = colours("1d0838", "4a1c7c", "8a4fb8", "d6a8e2")
CLEAR = colours("7fa8a4", "b9d4c4", "e6efd2", "fffdf0")
POTS = np.stack([RUBY, COBALT, AMBER, GREEN, VIOLET, CLEAR])
LEAD = colours("0a0a0c", "2a2a2e", "6a6a70")


def voronoi(canvas: Canvas, cells: float, seed: int, bend: float = 0.0) -> tuple[NDArray, NDArray, Field, Field]:
    """The nearest of jittered grid points at each pixel (i, j), and the distances to it and to the border."""
    x = canvas.u * cells + canvas.noise(cells * 0.7, seed + 5) * bend
    y = canvas.v * cells + canvas.noise(cells * 0.7, seed + 6) * bend
    column, row = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    nearest = np.full(x.shape, 9, np.float32)
    second = nearest.copy()
    best_i, best_j = column.copy(), row.copy()
    for j in (-1, 0, 1):
        for i in (-1, 0, 1):
            away = np.hypot(
                column + i + 0.12 + 0.76 * chance(column + i, row + j, seed) - x,
                row + j + 0.12 + 0.76 * chance(column + i, row + j, seed + 1) - y,
            )
            closer = away < nearest
            second = np.where(closer, nearest, np.minimum(second, away))
            nearest = np.where(closer, away, nearest)
            best_i, best_j = np.where(closer, column + i, best_i), np.where(closer, row + j, best_j)
    return best_i, best_j, nearest / cells, (second - nearest) / (2 * cells)


RING = (
    (0.0, 0.055, 1, 2),
    (0.055, 0.135, 8, 0),
    (0.135, 0.155, 24, 5),
    (0.155, 0.30, 12, 1),
    (0.30, 0.325, 36, 2),
    (0.325, 0.455, 24, 0),
    (0.455, 0.485, 48, 5),
)
"""Inner and outer radius of the rose's rings, panes in each, and the pot of most of them."""


def paint(canvas: Canvas) -> Field:
    """Leaded glass, (h, w, 3)."""
    i, j, away, border = voronoi(canvas, 9, 31, bend=0.35)
    warm = 0.5 + 0.5 * np.sin(i * 0.45 + j * 0.55 + 1)
    pick = chance(i, j, 12)
    pot = np.where(pick < 0.52, 1, np.where(pick < 0.72, 3, np.where(pick < 0.82, 4, np.where(pick < 0.92, 5, 0))))
    pot = np.where((warm > 0.85) & (pick > 0.45), 2, pot)
    luck, centre = chance(i, j, 13), 1 - away * 7

    du = canvas.u - 0.5 * canvas.right + canvas.noise(11, 8) * 0.002
    dv = canvas.v - 0.5 * canvas.bottom + canvas.noise(11, 9) * 0.002
    radius, turn = np.hypot(du, dv), np.arctan2(dv, du) / np.float32(2 * np.pi)
    for number, (inner, outer, count, main) in enumerate(RING):
        place = turn * count + 0.5 * (number % 2)
        pane = np.floor(place)
        side = np.abs(place - pane - 0.5)
        middle = (inner + outer) / 2
        # The wide rings hold petals: arches that narrow to the outside, with small panes in the spandrels.
        petal = outer - inner > 0.07
        wide = 0.5 * (1 - 0.75 * np.clip((radius - middle) / (outer - middle), 0, 1) ** 2.2) if petal else 0.5
        arc = (wide - side) * (2 * np.pi / count) * np.maximum(radius, 0.01)
        spandrel = arc < 0
        ring = (radius >= inner) & (radius < outer)
        edge = np.minimum(radius - inner, outer - radius) if inner else outer - radius
        edge = np.minimum(
            edge, np.minimum(np.abs(arc), np.where(spandrel, (0.5 - side) * 9 + 1, 1)) if count > 1 else 1
        )
        wrapped = np.mod(pane, count)
        key = (500 + number * 8 + spandrel).astype(np.int32)
        choice = chance(wrapped, key, 14)
        here = np.where(spandrel, (main + 2) % 3, np.where(choice < 0.62, main, np.where(wrapped % 2 == 0, 4, 3)))
        pot = np.where(ring, here, pot)
        luck = np.where(ring, choice, luck)
        border = np.where(ring, edge, np.where(radius >= outer, np.minimum(border, np.abs(radius - outer)), border))
        centre = np.where(ring, 1 - np.abs(radius - middle) / max(outer - inner, 0.04) - side * 0.8, centre)

    streak = canvas.clouds(7, 15, 5, (1, 3)) * 0.62 + canvas.noise(55, 16, (1, 6)) * 0.22
    seeds = smooth(0.80, 0.97, canvas.noise(120, 17))
    tone = 0.30 + 0.36 * np.clip(centre, 0, 1) + 0.42 * (luck - 0.5) + 0.50 * streak + 0.22 * seeds
    place = np.clip(tone, 0, 1) * 2.999
    step = place.astype(np.intp)
    part = (place - step)[..., None].astype(np.float32)
    colour = POTS[pot, step] * (1 - part) + POTS[pot, np.minimum(step + 1, 3)] * part
    # Vitreous paint: a thin matt shadow along the lead, stippled.
    stipple = 0.6 + 0.4 * canvas.noise(150, 18) + 0.35 * canvas.noise(40, 25)
    colour *= (1 - np.clip(0.62 * smooth(0.022, 0.002, border) * stipple, 0, 0.8))[..., None]
    day = 1.22 - 0.42 * np.hypot((canvas.u / canvas.right - 0.46) * 1.1, canvas.v / canvas.bottom - 0.40)
    colour *= (day + 0.05 * canvas.clouds(3, 19))[..., None]

    came = 0.0046 + 0.0008 * canvas.noise(30, 20)
    lead = smooth(came + 0.0006, came - 0.0006, border)
    bar = np.sqrt(np.clip(1 - (border / 0.0052) ** 2, 0, 1)) * lead
    metal = ramp(LEAD, 0.25 + 0.3 * canvas.noise(80, 21) + 0.25 * canvas.noise(220, 22))
    relief = bar * 7 + canvas.noise(26, 23) * 2.2 * (1 - lead) + canvas.noise(220, 24) * 0.3
    return light(mix(colour, metal, lead), relief, canvas.short, depth=0.5, gloss=0.35)
