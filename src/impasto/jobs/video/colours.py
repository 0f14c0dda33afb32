"""A decoded frame's samples as sRGB, and back: colour spaces, ranges, depth, HDR."""

from __future__ import annotations

from typing import Any

import numpy as np

from impasto.images.size import Size
from impasto.jobs.video.clip import PQ, Clip, library
from impasto.jobs.video.flow import Frame

HIGH_DEFINITION = 720
"""Lines from which on a film that doesn't tell its colour space has BT.709, not BT.601."""

REFERENCE_WHITE, PEAK = 203.0, 1000.0
"""cd/m² of diffuse white in HDR (ITU-R BT.2408), and of the brightest that is kept apart from it."""

BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
"""Linear light, ITU-R BT.2087."""


def matrix_of(clip: Clip) -> int:
    """The matrix of a film's colours, by the number that ITU-T H.273 and swscale have for it."""
    if clip.space in (1, 4, 5, 6, 7, 9, 10):
        return {6: 5, 10: 9}.get(clip.space, clip.space)
    return 1 if clip.size[0] * clip.size[1] >= HIGH_DEFINITION * 960 else 5


def to_srgb(frame: Any, clip: Clip, size: Size, reformatter: Any) -> tuple[Frame, Frame | None]:
    """A frame of PyAV's, upright, of (h, w), as sRGB (h, w, 3) in [0, 1], and its opacity (h, w), None for opaque."""
    turns = round(frame.rotation / 90) % 4
    height, width = size if turns % 2 == 0 else (size[1], size[0])
    deep = clip.deep or clip.hdr
    alpha = (clip.alpha and len(frame.format.components) in (2, 4)) or frame.format.has_palette
    kind = ("rgba64le" if alpha else "rgb48le") if deep else ("rgba" if alpha else "rgb24")
    plain = reformatter.reformat(
        frame,
        width=width,
        height=height,
        format=kind,
        src_colorspace=matrix_of(clip),
        dst_colorspace=matrix_of(clip),
        src_color_range=clip.range,
        dst_color_range=2,
        interpolation="BICUBIC",
    )
    levels = plain.to_ndarray().astype(np.float32) / np.float32(65535 if deep else 255)
    levels = np.ascontiguousarray(np.rot90(levels, turns))  # counterclockwise, as the display matrix is read
    colours = levels[..., :3] if not clip.hdr else from_hdr(levels[..., :3], int(frame.color_trc))
    opaque = not alpha or bool((levels[..., 3] == 1).all())
    return np.ascontiguousarray(colours), None if opaque else np.ascontiguousarray(levels[..., 3])


def from_hdr(colours: Frame, transfer: int) -> Frame:
    """BT.2020 colours of HDR, (h, w, 3) as they are coded, as sRGB: what is brighter than white is rolled off.

    SMPTE ST 2084 (PQ) and ITU-R BT.2100 (HLG, with its system gamma), BT.2087 for the primaries, and Reinhard et al.
    2002, eq. 4, on luminance.
    """
    light = _pq(colours) if transfer == PQ else _hlg(colours)
    light = np.maximum((light / REFERENCE_WHITE) @ BT2020_TO_BT709.T, 0)
    luminance = (light @ np.array([0.2126, 0.7152, 0.0722], np.float32))[..., None]
    white = PEAK / REFERENCE_WHITE
    shown = luminance * (1 + luminance / white**2) / (1 + luminance)
    light = np.clip(light * shown / np.maximum(luminance, 1e-6), 0, 1)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    return coded.astype(np.float32)


def _pq(coded: Frame) -> Frame:
    """cd/m² of a PQ signal: SMPTE ST 2084, eq. 4.1."""
    m1, m2, c1, c2, c3 = 1305 / 8192, 2523 / 32, 107 / 128, 2413 / 128, 2392 / 128
    power = np.power(np.clip(coded, 0, 1), 1 / m2)
    light = 10_000 * np.power(np.maximum(power - c1, 0) / (c2 - c3 * power), 1 / m1)
    return light.astype(np.float32)


def _hlg(coded: Frame) -> Frame:
    """cd/m² of an HLG signal on a display of 1,000 cd/m²: BT.2100, table 5."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12).astype(np.float32)
    luminance = (scene @ np.array([0.2627, 0.6780, 0.0593], np.float32))[..., None]
    return (PEAK * np.power(np.maximum(luminance, 1e-6), 0.2) * scene).astype(np.float32)


def from_srgb(levels: np.ndarray[Any, np.dtype[np.uint8]], clip: Clip, pixels: str, reformatter: Any) -> Any:
    """8-bit sRGB (h, w, 3), or with opacity (h, w, 4), as a frame to be encoded in the film's colours."""
    av = library()
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(levels), format="rgb24" if levels.shape[2] == 3 else "rgba")
    if pixels in ("rgb24", "rgba", "argb", "bgr24"):
        return frame.reformat(format=pixels)
    matrix = 1 if clip.hdr else matrix_of(clip)
    out = reformatter.reformat(
        frame,
        format=pixels,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=2,
        dst_color_range=1 if clip.hdr else clip.range,
    )
    out.colorspace, out.color_range = matrix, 1 if clip.hdr else clip.range
    return out
