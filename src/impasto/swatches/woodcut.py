"""A mountain, a pine and the sea cut in wood: a black key block over worn inks on cream paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impasto.swatches.canvas import Canvas, Field, colours, mix, smooth

PAPER, BLACK, RED, INDIGO, OCHRE, TEAL = colours("efe2c6", "17130f", "c63a22", "1f3f66", "dca24a", "6f9d96")


def cut(phase: Field, tone: Field, sharp: Field | float = 0.10) -> Field:
    """Ink left between cuts: a line per unit of phase, as wide as `tone` (0 none, 1 solid)."""
    ridge = np.abs(phase - np.floor(phase) - np.float32(0.5)) * 2
    return smooth(-sharp, sharp, tone - ridge) * smooth(0.02, 0.08, tone)


def ridge_line(canvas: Canvas, x: float, peak: float, steep: float, seed: int) -> Field:
    """v of a mountain's outline, (1, w): a peak with concave flanks and a broken edge."""
    away = np.abs(canvas.u - x * canvas.right)
    jag = canvas.noise(13, seed)[:1] * 0.014 + canvas.noise(37, seed + 1)[:1] * 0.005
    return canvas.bottom * peak + steep * away**0.8 + jag


def paint(canvas: Canvas) -> Field:
    """Carved lines in black and worn flat inks, (h, w, 3)."""
    u, v = canvas.u, canvas.v
    wobble, hand, chip = canvas.clouds(5, 1, 3), canvas.noise(17, 2), canvas.noise(90, 3)
    sun_u, sun_v = u - 0.70 * canvas.right, v - 0.24 * canvas.bottom
    sun = np.hypot(sun_u, sun_v) + 0.002 * hand
    far = ridge_line(canvas, 0.40, 0.20, 0.62, 5)
    near = ridge_line(canvas, 0.95, 0.46, 0.42, 8)
    shore = canvas.bottom * 0.665 + 0.012 * np.sin(u * 11) + 0.004 * hand
    is_sea = v > shore
    is_near = (v > near) & ~is_sea
    is_far = (v > far) & ~is_near & ~is_sea
    is_sky = ~(is_far | is_near | is_sea)

    # The sky is rings of wind around the sun, cut finer and farther apart towards it.
    rings = sun * 34 + 1.1 * wobble + 0.25 * hand
    rays = np.arctan2(sun_v, sun_u) * 26 + 0.35 * hand
    sky_tone = 0.12 + 0.55 * smooth(0.15, 0.75, sun + 0.10 * wobble) + 0.30 * canvas.noise(9, 12, (3, 1))
    key = cut(rings, sky_tone + 0.1 * chip)
    halo = smooth(0.30, 0.24, sun + 0.03 * hand)
    key = np.where(halo > 0.5, cut(rays, 0.34 - 1.0 * (sun - 0.13) + 0.15 * hand), key)
    key = np.where(sun < 0.128, 0, key)

    # Mountains: the lit flank keeps thin cuts, the other is nearly solid.
    flank = u - 0.40 * canvas.right + 0.10 * wobble + 0.05 * hand - 0.05
    slant = (v * np.float32(0.75) + np.abs(flank) * -0.9) * 62 + 0.5 * wobble + 0.3 * hand
    snow = smooth(0.02, -0.02, v - far - 0.13 - 0.05 * hand - 0.03 * canvas.noise(30, 13))
    far_tone = np.where(flank < 0, 0.34, 0.86) + 0.25 * wobble - 0.62 * snow + 0.1 * chip
    key = np.where(is_far, cut(slant, far_tone), key)
    grooves = (v - near) * 44 + u * 14 + 1.6 * wobble + 0.3 * hand
    key = np.where(is_near, cut(grooves, 0.70 + 0.35 * canvas.noise(8, 14) + 0.1 * chip), key)

    # The sea: swelling lines that close up towards the shore.
    deep = np.clip((v - shore) / (canvas.bottom * 0.335), 0, 1)
    swell = 0.030 * np.sin(u * 13 + 9 * deep + 1.2 * wobble) + 0.012 * np.sin(u * 31 - 6 * deep)
    waves = 17 * np.maximum(deep + swell * (0.4 + 2.2 * deep), 0) ** 0.72 + 0.15 * hand
    crest = np.sin(u * 13 + 9 * deep + 1.2 * wobble + 0.9)
    sea_tone = 0.44 + 0.30 * crest + 0.24 * canvas.noise(11, 15, (2.5, 1)) + 0.1 * chip
    glitter = smooth(0.16, 0.02, np.abs(sun_u) - 0.14 * deep)
    key = np.where(is_sea, cut(waves, sea_tone - 0.35 * glitter), key)
    for edge, thick in ((far - v, 0.0045), (near - v, 0.0055), (shore - v, 0.004)):
        shown = is_sky | is_far if thick < 0.005 else ~is_sea
        key = np.maximum(key, np.where(shown, smooth(thick, thick * 0.6, np.abs(edge) + 0.001 * chip), 0))
    key = np.maximum(key, smooth(0.004, 0.002, np.abs(sun - 0.13) + 0.001 * chip))
    key = _pine(canvas, key, hand, chip)
    return _print(canvas, key, sun, is_sky, is_far & (snow < 0.5), is_near, is_sea, glitter)


def _pine(canvas: Canvas, key: Field, hand: Field, chip: Field) -> Field:
    """A wind-bent pine in solid black at the left, its needles carved out in white."""
    u, v, base = canvas.u, canvas.v, canvas.bottom
    lean = 0.13 * canvas.right + 0.05 * np.sin(v / base * 5.2) + 0.006 * hand
    trunk = np.abs(u - lean) - (0.016 + 0.026 * smooth(0.4, 1.0, v / base))
    body = np.where(v > base * 0.12, -trunk, -1.0)
    bark = cut((u - lean) * 95 + 0.8 * hand + v * 9, 0.80 + 0.25 * hand)
    key = np.where(body > -0.004, np.where(body > 0, bark, 0), key)
    for x, y, wide, tall in (
        (0.15, 0.12, 0.17, 0.062),
        (0.05, 0.25, 0.15, 0.055),
        (0.26, 0.33, 0.15, 0.048),
        (0.06, 0.44, 0.13, 0.045),
    ):
        du, dv = (u - x * canvas.right) / wide, (v - y * base) / tall
        bump = 0.20 * np.cos(du * 17) + 0.10 * chip + 0.12 * hand
        shape = np.where(dv > 0, du * du + dv * dv * 3.5, du * du + dv * dv) + bump
        fan = np.arctan2(dv - 1.1, du * 3) * 17 + 0.5 * hand
        needles = cut(fan, 0.95 - 0.55 * smooth(0.2, -0.9, dv) + 0.25 * hand)
        key = np.where(shape < 1.12, np.where(shape < 1.0, needles, 0), key)
    return key


def _print(
    canvas: Canvas, key: Field, sun: Field, sky: NDArray, far: NDArray, near: NDArray, sea: NDArray, glitter: Field
) -> Field:
    """Colour blocks slightly out of register, each with the grain of its plank, then the key block."""
    grain = canvas.noise(120, 21, (14, 1)) * 0.6 + canvas.noise(45, 22, (9, 1)) * 0.4
    fleck = canvas.noise(300, 23)
    cover = 0.86 + 0.16 * grain + 0.10 * canvas.clouds(4, 24, 2) - 0.5 * smooth(0.72, 1.0, fleck)
    y = canvas.v / canvas.bottom
    paper = PAPER * (1 + 0.035 * canvas.noise(260, 25, (3, 1)) + 0.03 * canvas.clouds(3, 26))[..., None]
    picture = paper
    shift = max(1, round(0.004 * canvas.short))
    blocks = (
        (OCHRE, sky * smooth(0.62, 0.20, y)),
        (TEAL, sky * smooth(0.10, 0.0, y) + near * 0.95 + 0.6 * far * smooth(0.3, 0.66, y)),
        (INDIGO, 0.75 * far + sea * (1 - 0.9 * glitter) * (0.55 + 0.45 * smooth(0.7, 1.0, y))),
        (RED, (sun < 0.125) * 1.0 + 0.75 * sea * glitter),
    )
    for number, (ink, where) in enumerate(blocks):
        # Out of register: down for one block, left for the next.
        place = np.pad(where.astype(np.float32), shift, mode="edge")
        down, left = (shift, 0) if number % 2 else (0, shift)
        moved = place[shift - down : shift - down + canvas.height, shift + left : shift + left + canvas.width]
        picture = picture * mix(
            np.ones_like(picture), np.broadcast_to(ink, picture.shape), np.clip(moved * cover, 0, 1)
        )
    black = key * np.clip(0.95 + 0.10 * grain - 0.75 * smooth(0.70, 1.0, fleck + 0.25 * grain), 0, 1)
    return mix(picture, np.broadcast_to(BLACK, picture.shape), black)
