"""A sun over the sea in glass tesserae, laid along the contours with gold between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impasto.swatches.canvas import Canvas, Field, chance, colours, light, mix, ramp, smooth

TILE = 0.0185
"""The side of a tessera in short sides."""

GOLD = colours("6e4a12", "b07d1f", "dcae3c", "f6dc86")
SUN = colours("fff1c0", "f8cf4a", "ee9a25", "cf4d1e", "8e1f1c")
SKY = colours("10234f", "1d4c8c", "3a86b4", "86bfc4", "d8dfc0")
SEA = colours("071d35", "0c3f5f", "13707f", "4eaaa0", "c5dcc0", "f4efdc")
FOAM = colours("f4efdc", "cfe0d2", "e6c766")
GROUT = colours("3a332c", "5a5046")


@dataclass
class Rings:
    """Polar coordinates in tiles around each region's own centre, and which region a pixel belongs to."""

    distance: Field
    turn: Field
    region: NDArray
    edge: Field


def rings(canvas: Canvas) -> Rings:
    """The sun with its halo, and below it rows of fish-scale waves, each in front of the one behind."""
    u = canvas.u + canvas.noise(16, 41) * np.float32(0.0035)
    v = canvas.v + canvas.noise(16, 42) * np.float32(0.0035)
    du, dv = u - 0.62 * canvas.right, v - 0.34 * canvas.bottom
    found = Rings(np.hypot(du, dv), np.arctan2(dv, du), np.zeros(du.shape, np.int32), np.full(du.shape, 9, np.float32))
    found.edge = np.abs(found.distance - 0.165)
    row, top = 0, 0.60 * canvas.bottom
    while top < canvas.bottom + 0.02:
        radius = 0.085 + 0.016 * row
        width = 1.72 * radius
        place = u / width + 0.5 * (row % 2) + 0.13 * row
        scale = np.floor(place)
        du = (place - scale - 0.5) * width
        dv = v - np.float32(top + radius)
        away = np.hypot(du, dv)
        inside = away < radius
        turn = np.arctan2(dv, du)
        region = (1 + row * 64 + scale).astype(np.int32)
        low = top + radius * 1.25
        inside |= v > low
        found.distance = np.where(inside, away, found.distance)
        found.turn = np.where(inside, turn, found.turn)
        found.region = np.where(inside, region, found.region)
        rim = np.where(v > low, 9, np.abs(away - radius))
        found.edge = np.where(inside, rim, np.minimum(found.edge, np.where(v > low, 9, away - radius)))
        top += 0.58 * radius
        row += 1
    return found


def pigment(canvas: Canvas, found: Rings, ring: NDArray, turn: Field, luck: Field, other: Field) -> Field:
    """The glass of each tessera from the ring and direction of its middle, (h, w, 3)."""
    away = (ring + 0.5) * TILE
    ray = np.sin(turn * 16 + 2.2 * np.sin(away * 9))
    sun = ramp(SUN, away / 0.165 * 0.85 + 0.12 * np.sin(turn * 8) * (away > 0.05) + 0.22 * (luck - 0.5))
    reach = np.clip((away - 0.165) / 0.62, 0, 1)
    sky = ramp(SKY, 0.92 - 1.02 * reach**0.75 + 0.34 * (luck - 0.5))
    gold = ramp(GOLD, 0.25 + 0.7 * luck)
    beam = smooth(0.15, 0.45, ray - 1.1 * reach + 0.5) * (reach > 0)
    sky = mix(sky, gold, beam * (other < 0.92))
    sky = np.where(((other > 0.93) & (reach > 0.35))[..., None], gold, sky)
    sky = np.where((np.abs(away - 0.165 - TILE) < TILE)[..., None], ramp(SUN, 0.72 + 0.3 * luck), sky)
    air = np.where((away < 0.165)[..., None], sun, sky)
    row = (found.region - 1) // 64
    radius = 0.085 + 0.016 * row
    depth = np.clip(1 - away / radius, 0, 1)
    sea = ramp(SEA, 0.78 - 1.05 * depth - 0.025 * row + 0.36 * (luck - 0.5))
    sea = np.where((depth < 1.1 * TILE / radius)[..., None], FOAM[(luck * 3).astype(np.intp)], sea)
    band = (ring == 2) & (chance(found.region, 3, 5) < 0.6)
    sea = np.where(band[..., None], ramp(GOLD, 0.35 + 0.6 * luck), sea)
    return np.where((found.region == 0)[..., None], air, sea)


def paint(canvas: Canvas) -> Field:
    """Tesserae, (h, w, 3)."""
    found = rings(canvas)
    ring = np.floor(found.distance / TILE).astype(np.int32)
    around = np.maximum(np.round(2 * np.pi * (ring + 0.5)), 3)
    shift = chance(ring, found.region, 1)
    place = found.turn / np.float32(2 * np.pi) * around + shift
    tile = np.floor(place)
    key = found.region * 131 + ring
    luck, other, tilt_x, tilt_y = (chance(tile, key, seed) for seed in (2, 3, 4, 5))
    x = (place - tile - 0.5).astype(np.float32)
    y = found.distance / np.float32(TILE) - ring - np.float32(0.5)
    skew = (tilt_x - 0.5) * 0.16
    edge_x = np.abs(x + skew * y * 1.5) + 0.05 * other
    edge_y = np.abs(y - skew * x * 1.5) + 0.05 * luck
    corner = (edge_x**6 + edge_y**6) ** np.float32(1 / 6) + canvas.noise(170, 8) * 0.02
    glass = smooth(0.475, 0.40, corner) * smooth(0.0008, 0.0022, found.edge)
    turn = ((tile + 0.5 - shift) / around * (2 * np.pi)).astype(np.float32)
    colour = pigment(canvas, found, ring, turn, luck, other)
    slant = (x * (tilt_x - 0.5) + y * (tilt_y - 0.5)) * 0.9
    glint = smooth(0.90, 1.0, tilt_x) * smooth(0.35, -0.2, x + y)
    streak = canvas.noise(150, 9, (1, 3)) * 0.07 + canvas.noise(60, 10) * 0.06
    colour = colour * (0.86 + 0.36 * (tilt_y - 0.5) + slant + streak)[..., None] + (0.34 * glint)[..., None]
    grout = ramp(GROUT, 0.5 + 0.5 * canvas.noise(240, 11)) * (1 + 0.12 * canvas.noise(7, 12))[..., None]
    relief = glass * (6 + 2.5 * (x * (tilt_x - 0.5) + y * (tilt_y - 0.5))) + canvas.noise(220, 13) * 0.5
    return light(mix(grout, colour, glass), relief, canvas.short, depth=0.35, gloss=0.30)
