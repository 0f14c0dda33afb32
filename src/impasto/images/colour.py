"""Colour: Oklab, the photo's colours kept in a painted picture, and a painting's colours brought to the photo's."""

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

FAINT = 0.02
"""Contrast, a standard deviation of lightness, below which a picture counts as flat: a tenth of a usual photo's."""

GRAIN = 0.005
"""Standard deviation in Oklab of what is taken for noise: one to two 8-bit levels."""

ROUNDING = 1e-4
"""How far outside [0, 1] a channel still counts as inside: a fortieth of an 8-bit level."""

BISECTIONS = 12
"""Halvings in the search for the greatest chroma that can be shown: to 1/4096 of what was asked for."""

ROWS = 256
"""Of a picture worked on at a time, so that a large one takes little memory beside itself."""


def oklab(image: Tensor) -> Tensor:
    """Oklab of sRGB in [0, 1], both (n, 3, h, w): distances are about as large as they look. Ottosson 2020."""
    linear = torch.where(image <= KNEE, image / 12.92, ((image.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    return _mixed(TO_LAB, _mixed(TO_LMS, linear).clamp(min=0) ** (1 / 3))


def srgb(lab: Tensor) -> Tensor:
    """The inverse of `oklab`, (n, 3, h, w); a colour that sRGB hasn't got comes out beyond [0, 1]."""
    return _coded(_mixed(FROM_LMS, _mixed(FROM_LAB, lab) ** 3))


def shown(lab: Tensor) -> Tensor:
    """sRGB in [0, 1] for any Oklab, both (n, 3, h, w): what can't be shown loses chroma, not lightness or hue."""
    lab = torch.cat([lab[:, :1].clamp(0, 1), lab[:, 1:]], dim=1)
    image = srgb(lab)
    outside = _outside(image)
    if outside.any():
        colours = lab.movedim(1, -1)[outside].T[None, :, :, None]  # (1, 3, k, 1)
        image.movedim(1, -1)[outside] = _less_chroma(colours)[0, :, :, 0].T
    return image.clamp(0, 1)


def grey(image: Tensor) -> Tensor:
    """The picture without chroma, (1, 3, h, w) -> (1, 1, h, w) sRGB in [0, 1]: Oklab's lightness is unchanged."""
    return _by_rows(lambda rows: _grey_of(oklab(rows)[:, :1]), image)


def grey_like(painting: Tensor, photo: Tensor) -> Tensor:
    """The painting in grey, (1, 3, h, w) -> (1, 1, h, w), its lightness brought to the photo's mean and contrast.

    L ← (L − μ_S) σ_C / σ_S + μ_C (Gatys et al. 2016, section 4), in Oklab. Both σ count as at least `FAINT`, so that
    a flat photo gets strokes too and a flat painting's grain isn't blown up.
    """
    (mean, covariance), (wanted, wanted_covariance) = moments(painting), moments(photo)
    contrast, wanted_contrast = (c[0, 0].clamp(min=FAINT**2).sqrt() for c in (covariance, wanted_covariance))
    factor = (wanted_contrast / contrast).item()
    shift = (wanted[0] - factor * mean[0]).item()
    return _by_rows(lambda rows: _grey_of(factor * oklab(rows)[:, :1] + shift), painting)


def recoloured(picture: Tensor, photo: Tensor) -> Tensor:
    """The lightness of one with the chroma of the other, both (1, 3, h, w) sRGB in [0, 1].

    Gatys et al. 2016, section 4. Where a lightness and a chroma don't go together in sRGB, chroma gives way.
    """

    def combined(both: Tensor) -> Tensor:
        lightness, chroma = oklab(both[:1])[:, :1], oklab(both[1:])[:, 1:]
        return shown(torch.cat([lightness, chroma], dim=1))

    return _by_rows(combined, torch.cat([picture, photo]))


def matched(painting: Tensor, photo: Tensor) -> Tensor:
    """The painting with the mean and covariance of the photo's colours in Oklab, (1, 3, h, w) sRGB in [0, 1].

    x ← A (x − μ_S) + μ_C with A = Σ_C^½ Σ_S^−½ (Gatys et al. 2016, section 3). The roots are symmetric: Cholesky's
    depend on the order of the channels. A direction in which the painting varies by less than `GRAIN` is scaled as
    if it varied by that, since what a grey or flat painting has there is noise.
    """
    (mean, covariance), (wanted, wanted_covariance) = moments(painting), moments(photo)
    a = _power(wanted_covariance, 0.5) @ _power(covariance, -0.5, least=GRAIN**2)
    shift = (wanted - a @ mean).to(painting).view(1, 3, 1, 1)
    return _by_rows(lambda rows: shown(_mixed(a, oklab(rows)) + shift), painting)


def moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3,) and covariance (3, 3) of the colours of (1, 3, h, w) in Oklab, float64."""
    total, second = torch.zeros(3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
    for rows in image.cpu().split(ROWS, dim=2):
        pixels = oklab(rows.double()).flatten(2)[0]
        total += pixels.sum(dim=1)
        second += pixels @ pixels.T
    count = image.shape[-2] * image.shape[-1]
    mean = total / count
    return mean, second / count - mean.outer(mean)


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


def _grey_of(lightness: Tensor) -> Tensor:
    """sRGB's value for a grey: the cones of a grey give the cube of its lightness."""
    return _coded(lightness.clamp(0, 1) ** 3).clamp(0, 1)


def _coded(linear: Tensor) -> Tensor:
    return torch.where(linear <= KNEE / 12.92, linear * 12.92, 1.055 * linear.clamp(min=0) ** (1 / 2.4) - 0.055)


def _power(covariance: Tensor, exponent: float, least: float = 0.0) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors @ values.clamp(min=least).pow(exponent).diag() @ vectors.T


def _mixed(matrix: Tensor, image: Tensor) -> Tensor:
    return torch.einsum("ij,njhw->nihw", matrix.to(image.dtype).to(image.device), image)  # no float64 on MPS


def _by_rows(change: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    return torch.cat([change(rows) for rows in image.split(ROWS, dim=2)], dim=2)
