"""Huge images made smaller while they are decoded, where a run needs far fewer of their pixels.

Smaller ones come as they are, to the bit: what a run takes of them is made by one antialiased resizing. So do those
of 16 bits a channel and in Lab.
"""

from __future__ import annotations

import re

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from impasto.errors import ImageError

HUGE = 30_000_000
"""Pixels from which on an image may be shrunk: most cameras' and all phones' usual photos have fewer."""

SPARE = 2
"""How much larger than needed a shrunk image stays, so that resizing it is what shapes the result."""

LEAST_SIDE = 64
"""Pixels that the shorter side keeps: a thin style is enlarged for its layers."""

WHOLE, SHRUNK = 20, 8
"""Bytes that a pixel takes while it is decoded: in Pillow, and as float32 too unless the image is shrunk before."""

TURNED, WITH_ALPHA = 4, 12
"""Further bytes a pixel: a copy the right way up, as EXIF may ask for; and alpha, with the copies made of it."""

COEFFICIENTS = 6
"""Bytes a pixel that a progressive JPEG takes at its full size, whatever of it is decoded."""

FEW_BYTES = 64_000_000
"""What is always read: with so little a picture isn't what a budget is too small for."""

UNSHRUNK = re.compile(r"[IF].*|LAB")
"""Pillow's modes that aren't shrunk."""


def factor_of(size: tuple[int, int], needed: int | None) -> int:
    """By how much to shrink an image of (width, height) of which `needed` pixels of the longest side count; 1: not."""
    if needed is None or size[0] * size[1] < HUGE:
        return 1
    return max(1, min(max(size) // (SPARE * needed), min(size) // LEAST_SIDE))


def draft(image: Image.Image, factor: int) -> int:
    """Have a JPEG decoded at a half, a quarter or an eighth of its size; by how much it is still to be shrunk."""
    if factor == 1 or not isinstance(image, JpegImageFile):
        return factor
    scale = _scale(factor)
    image.draft(None, (image.width // scale, image.height // scale))
    return factor // scale


def _scale(factor: int) -> int:
    """By how much libjpeg shrinks where `factor` is asked for."""
    return max(scale for scale in (1, 2, 4, 8) if scale <= factor)


def reduced(image: Image.Image, factor: int) -> Image.Image:
    """An image of 8 bits a channel, each of its pixels the mean of `factor` by `factor`; one in Lab as it is."""
    return image if factor == 1 or image.mode == "LAB" else image.reduce(factor)


def check_room(image: Image.Image, factor: int, name: str, room: int | None) -> None:
    """Refuse an image that takes more than `room` bytes to read, None for any number."""
    width, height = image.size
    jpeg = isinstance(image, JpegImageFile)
    a_pixel = WHOLE if factor == 1 or UNSHRUNK.fullmatch(image.mode) else SHRUNK
    a_pixel += TURNED * ("exif" in image.info) + WITH_ALPHA * image.has_transparency_data
    kept = COEFFICIENTS if jpeg and "progressive" in image.info else 0
    taken = width * height * a_pixel // (_scale(factor) ** 2 if jpeg else 1) + width * height * kept
    if room is not None and taken > max(room, FEW_BYTES):
        raise ImageError(
            f"{name} is {width}×{height}, and to read it takes about {taken // 10**6:,} MB, but `max_memory` leaves "
            f"{max(0, room) // 10**6:,} MB",
            "make it smaller" + ("" if jpeg else ", save it as JPEG") + " or raise `max_memory`",
            knob="max_memory",
        )
