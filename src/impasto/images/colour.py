"""Colour: Oklab, what of it sRGB can show, and lightness without or with another image's chroma."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TO_LMS = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=torch.float64,
)
TO_LAB = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=torch.float64,
)
"""Linear sRGB to the eye's cones, and the cube roots of these to Oklab (Ottosson 2020)."""

FROM_LMS, FROM_LAB = torch.linalg.inv(TO_LMS), torch.linalg.inv(TO_LAB)
"""Their inverses: those that Ottosson prints are rounded."""

KNEE = 0.04045
"""Coded value below which sRGB is linear (IEC 61966-2-1)."""

ROUNDING = 1e-4
"""How far outside [0, 1] a channel still counts as inside: a fortieth of an 8-bit level."""

BISECTIONS = 12
"""Halvings in the search for the greatest chroma that can be shown: to 1/4096 of what was asked for."""

ROWS = 256
"""Of an image worked on at a time, so that a large one takes little memory beside itself."""


def oklab(image: Tensor) -> Tensor:
    """Oklab of sRGB in [0, 1], both (n, 3, h, w): distances are about as large as they look. Ottosson 2020."""
    linear = torch.where(image <= KNEE, image / 12.92, ((image.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    return mix_channels(TO_LAB, mix_channels(TO_LMS, linear).clamp(min=0) ** (1 / 3))


def srgb(lab: Tensor) -> Tensor:
    """The inverse of `oklab`, (n, 3, h, w); a colour that sRGB hasn't got comes out beyond [0, 1]."""
    return _coded(mix_channels(FROM_LMS, mix_channels(FROM_LAB, lab) ** 3))


def to_gamut(lab: Tensor) -> Tensor:
    """sRGB in [0, 1] for any Oklab, both (n, 3, h, w): what can't be shown loses chroma, not lightness or hue."""
    lab = torch.cat([lab[:, :1].clamp(0, 1), lab[:, 1:]], dim=1)
    image = srgb(lab)
    outside = _outside(image)
    if outside.any():
        colours = lab.movedim(1, -1)[outside].T[None, :, :, None]  # (1, 3, k, 1)
        image.movedim(1, -1)[outside] = _less_chroma(colours)[0, :, :, 0].T
    return image.clamp(0, 1)


def grey(image: Tensor) -> Tensor:
    """The image without chroma, (1, 3, h, w) -> (1, 1, h, w) sRGB in [0, 1]: Oklab's lightness is unchanged."""
    return map_rows(lambda rows: grey_of(oklab(rows)[:, :1]), image)


def recoloured(image: Tensor, content: Tensor) -> Tensor:
    """The lightness of one with the chroma of the other, both (1, 3, h, w) sRGB in [0, 1].

    Gatys et al. 2016, section 4. Where a lightness and a chroma don't go together in sRGB, chroma gives way.
    """

    def combined(both: Tensor) -> Tensor:
        lightness, chroma = oklab(both[:1])[:, :1], oklab(both[1:])[:, 1:]
        return to_gamut(torch.cat([lightness, chroma], dim=1))

    return map_rows(combined, torch.cat([image, content]))


def grey_of(lightness: Tensor) -> Tensor:
    """sRGB's value in [0, 1] for greys of this lightness in Oklab: the cones of a grey give its cube."""
    return _coded(lightness.clamp(0, 1) ** 3).clamp(0, 1)


def mix_channels(matrix: Tensor, image: Tensor) -> Tensor:
    """A matrix (3, 3) times the channels of (n, 3, h, w)."""
    return torch.einsum("ij,njhw->nihw", matrix.to(image.dtype).to(image.device), image)  # no float64 on MPS


def map_rows(change: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """`change`, which takes each pixel for itself, of an image (n, c, h, w), `ROWS` rows at a time."""
    return torch.cat([change(rows) for rows in image.split(ROWS, dim=2)], dim=2)


def _outside(image: Tensor) -> Tensor:
    return ((image < -ROUNDING) | (image > 1 + ROUNDING)).any(dim=1)


def _less_chroma(lab: Tensor) -> Tensor:
    """sRGB with the greatest share of the chroma that can be shown, by bisection from grey."""
    least, most = torch.zeros_like(lab[:, :1]), torch.ones_like(lab[:, :1])
    for _ in range(BISECTIONS):
        share = (least + most) / 2
        outside = _outside(srgb(_faded(lab, share)))[:, None]
        least, most = torch.where(outside, least, share), torch.where(outside, share, most)
    return srgb(_faded(lab, least))


def _faded(lab: Tensor, share: Tensor) -> Tensor:
    return torch.cat([lab[:, :1], share * lab[:, 1:]], dim=1)


def _coded(linear: Tensor) -> Tensor:
    return torch.where(linear <= KNEE / 12.92, linear * 12.92, 1.055 * linear.clamp(min=0) ** (1 / 2.4) - 0.055)
