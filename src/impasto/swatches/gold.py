"""Gold leaf with raised spirals, eyes and a robe of coloured patches, after the Viennese fashion of 1908."""

from __future__ import annotations

import numpy as np

from impasto.swatches.brush import Points, scatter
from impasto.swatches.canvas import Canvas, Field, chance, colours, light, mix, noise_at, ramp, smooth

LEAF = colours("4a3210", "8a641c", "c29a36", "e6c766", "fbeeb0")
BROWN = colours("2a180c", "4f3016", "7a5222")
GEMS = colours("14120f", "f4ead2", "8a1f1c", "1f4a7a", "2f6f5a", "d9762a", "6a3a72", "e8c04a")
CLOTH = colours("10100f", "f2ead6", "c9962e", "3a3a3c", "8c8a80", "e9cf7a", "7a4a1c", "a62b24")


def robe_edges(canvas: Canvas) -> tuple[Field, Field]:
    """The robe's left and right edge at each height, (h, 1)."""
    y = canvas.v / canvas.bottom
    left = 0.30 + 0.07 * np.sin(y * 5 + 0.5) - 0.10 * y
    right = 0.62 + 0.08 * np.sin(y * 4 + 2.2) + 0.14 * y
    return (left * canvas.right).astype(np.float32), (right * canvas.right).astype(np.float32)


class Ornament:
    """Colour and height of the leaf, onto which discs are set one by one."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        u, v = canvas.u + canvas.noise(6, 1) * 0.006, canvas.v + canvas.noise(6, 2) * 0.006
        column, row = np.floor(u * 9.5), np.floor(v * 9.5)
        sheet = chance(column.astype(np.int32), row.astype(np.int32), 3)
        seam = np.minimum(np.abs(u * 9.5 - column), np.abs(v * 9.5 - row))
        worn = canvas.clouds(9, 4, 5)
        tone = 0.52 + 0.24 * worn + 0.22 * (sheet - 0.5) - 0.22 * smooth(0.035, 0.0, seam) + 0.10 * canvas.noise(190, 5)
        tone -= 0.45 * smooth(0.45, 0.95, canvas.noise(75, 6) * 0.6 + worn * 0.5)
        self.colour = ramp(LEAF, tone)
        self.height = worn * 2.5 + canvas.noise(190, 7) * 0.6

    def lay(self, rows: slice, columns: slice, colour: Field, cover: Field, rise: Field | float) -> None:
        """Colour (h, w, 3) or (3,) over part of the picture, raised by `rise`."""
        window = self.colour[rows, columns]
        window += (colour - window) * cover[..., None]
        self.height[rows, columns] += rise * cover

    def disc(self, u: float, v: float, radius: float, luck: list[float], dark: bool) -> None:
        """A spiral, or an eye of rings, at (u, v)."""
        short, reach = self.canvas.short, radius * 1.12
        rows = slice(max(0, int((v - reach) * short)), max(0, int((v + reach) * short) + 1))
        columns = slice(max(0, int((u - reach) * short)), max(0, int((u + reach) * short) + 1))
        x, y = self.canvas.u[:, columns] - np.float32(u), self.canvas.v[rows] - np.float32(v)
        if x.size == 0 or y.size == 0:
            return
        away = np.hypot(x, y * (1 + 0.2 * (luck[0] - 0.5)))
        turn = np.arctan2(y, x) * (1 if luck[1] < 0.5 else -1) / np.float32(2 * np.pi)
        inside = smooth(radius, radius * 0.96, away)
        if radius < 0.013 or luck[2] < 0.30:
            self._eye(rows, columns, away, radius, inside, luck, turn)
            return
        pitch = 0.019 if radius > 0.05 else 0.012
        place = away / np.float32(pitch) - turn + luck[3]
        wire = np.abs(place - np.floor(place) - 0.5) * 2
        thick = 0.50 + 0.22 * np.clip(away / radius, 0, 1)
        line = smooth(thick + 0.14, thick - 0.14, wire) * inside
        ink = ramp(LEAF, 0.72 + 0.2 * luck[4] + 0 * line) if dark else ramp(BROWN, 0.35 + 0.5 * luck[4] + 0 * line)
        if luck[5] < 0.5:
            self.lay(
                rows,
                columns,
                GEMS[int(luck[6] * 7)] * 0.75 + LEAF[3] * 0.25,
                0.62 * inside * (luck[5] < 0.25),
                0,
            )
        self.lay(rows, columns, ink, line * 0.93, 6 * (1 - wire) + 1)

    def _eye(
        self, rows: slice, columns: slice, away: Field, radius: float, inside: Field, luck: list[float], turn: Field
    ) -> None:
        bands = 2 + int(3 * luck[7]) + int(radius * 50) if radius > 0.012 else 2
        ring = np.clip((away / radius * bands), 0, bands - 0.001)
        index = ring.astype(np.intp)
        choice = np.array([int(luck[8] * 8) + k * (3 if k % 2 else 1) for k in range(bands)]) % len(GEMS)
        colour = GEMS[choice][index]
        if radius > 0.03:
            dash = (np.floor(turn * (bands * 14)) % 2 == 0) & (index == bands - 2)
            colour = np.where(dash[..., None], LEAF[3], colour)
        gap = smooth(0.0, 0.10, np.abs(ring - np.round(ring)) * radius / bands * 60)
        colour = mix(np.broadcast_to(LEAF[2], colour.shape), colour, gap)
        grain = 1 + 0.16 * self.height[rows, columns] / 3
        self.lay(
            rows,
            columns,
            colour * grain[..., None],
            inside * 0.95,
            4 * np.sqrt(np.clip(1 - away / radius, 0, 1)),
        )


def _cloth(canvas: Canvas, picture: Ornament) -> None:
    """The robe: upright patches in columns of their own rhythm, each with a line of gold around it."""
    left, right = robe_edges(canvas)
    ragged = canvas.noise(14, 11) * 0.004
    edge = np.minimum(canvas.u - left, right - canvas.u) + ragged
    inside = smooth(-0.001, 0.001, edge)
    flow = ((canvas.u - left) / (right - left) * 15 + canvas.noise(3, 12) * 0.3).astype(np.float32)
    column = np.floor(flow).astype(np.int32)
    rhythm = 9 + np.floor(17 * chance(column, 5, 13))
    rows = canvas.v * rhythm + 7 * chance(column, 6, 14) + canvas.noise(8, 15) * 0.08
    row = np.floor(rows).astype(np.int32)
    luck, other = chance(column, row, 16), chance(column, row, 17)
    x, y = flow - column - 0.5, rows - row - 0.5
    split = (other < 0.35) & (x * np.sign(luck - 0.5) + y > 0)
    dots = (other > 0.72) & (np.hypot(x, y * 15 / rhythm) < 0.24)
    pick = np.where(split | dots, np.mod(luck * 61, 1), luck)
    colour = CLOTH[(pick * len(CLOTH)).astype(np.intp)]
    patch = smooth(0.49, 0.43, np.maximum(np.abs(x), 0.5 - (0.5 - np.abs(y)) * 15 / rhythm))
    brush = canvas.noise(60, 18, (1, 4)) * 0.18 + canvas.noise(190, 19) * 0.12
    colour = colour * (1 + brush)[..., None] + 0.02
    picture.lay(slice(None), slice(None), colour, patch * inside * 0.94, 2.5 + brush * 4)
    line = smooth(0.006, 0.003, np.abs(edge))
    picture.lay(slice(None), slice(None), BROWN[0], line, 5)


def _free(points: Points, radius: Field, taken: list[tuple[float, float, float]]) -> list[int]:
    """Which discs find room between those already taken; they are added to `taken`."""
    kept = []
    for index, (u, v, r) in enumerate(zip(points.u.tolist(), points.v.tolist(), radius.tolist(), strict=True)):
        if all((u - a) ** 2 + (v - b) ** 2 > (r + c) ** 2 for a, b, c in taken):
            taken.append((u, v, r * 1.04))
            kept.append(index)
    return kept


def paint(canvas: Canvas) -> Field:
    """Gold and ornament, (h, w, 3)."""
    picture = Ornament(canvas)
    _cloth(canvas, picture)
    left, right = robe_edges(canvas)
    taken: list[tuple[float, float, float]] = []
    for spacing, size, seed, share in (
        (0.17, 0.105, 800, 0.8),
        (0.085, 0.052, 801, 0.8),
        (0.042, 0.024, 802, 0.75),
        (0.024, 0.010, 803, 0.6),
    ):
        points = scatter(canvas, spacing, seed)
        points = points.where((points.chance(1) < share) & (noise_at(points.u, points.v, 3, seed) > -0.75))
        radius = (size * (0.68 + 0.5 * points.chance(2))).astype(np.float32)
        lucks = np.stack([points.chance(salt) for salt in range(3, 13)], axis=-1).tolist()
        for index in _free(points, radius, taken):
            u, v = float(points.u[index]), float(points.v[index])
            row = int(np.clip(v * canvas.short, 0, canvas.height - 1))
            within = float(left[row, 0]) < u < float(right[row, 0])
            if within and (size > 0.1 or lucks[index][9] < 0.5):
                continue
            picture.disc(u, v, float(radius[index]), lucks[index], dark=within)
    shade = 1.04 - 0.30 * smooth(
        0.45, 1.0, np.hypot(canvas.u / canvas.right - 0.5, canvas.v / canvas.bottom - 0.5) * 1.5
    )
    return light(picture.colour * shade[..., None], picture.height, canvas.short, depth=0.5, gloss=0.40)
