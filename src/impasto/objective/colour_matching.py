"""A style's colours brought to the content's, by the statistics of both in Oklab. Gatys et al. 2016."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.images.colour import ROWS, grey_of, map_rows, mix_channels, oklab, to_gamut
from impasto.losses.linalg import symmetric_powers
from impasto.losses.moments import mean_and_covariance

FAINT = 0.02
"""Contrast, a standard deviation of lightness, below which an image counts as flat: a tenth of a usual photo's."""

GRAIN = 0.005
"""Standard deviation in Oklab of what is taken for noise: one to two 8-bit levels."""


def colour_statistics(image: Tensor, mask: Tensor | None = None) -> Tensor:
    """Σ [x; 1] [x; 1]ᵀ of the colours x in Oklab of (1, 3, h, w), as `losses.moments.moments`: (1, 4, 4), float64.

    A mask (1, 1, h, w) in [0, 1] says how much each pixel counts.
    """
    statistics = torch.zeros(1, 4, 4, dtype=torch.float64)
    for top in range(0, image.shape[2], ROWS):
        pixels = oklab(image[:, :, top : top + ROWS].cpu().double()).flatten(2)[0]
        weighted = pixels if mask is None else pixels * mask[:, :, top : top + ROWS].to(pixels).flatten(2)[0]
        statistics[0, :3, 3] += weighted.sum(dim=1)
        statistics[0, :3, :3] += weighted @ pixels.T
    statistics[0, 3, :3] = statistics[0, :3, 3]
    statistics[0, 3, 3] = image.shape[-2] * image.shape[-1] if mask is None else mask.double().sum()
    return statistics


def grey_like(style: Tensor, content: Tensor) -> Tensor:
    """The style in grey, (1, 3, h, w) -> (1, 1, h, w), its lightness brought to the content's mean and contrast.

    L ← (L − μ_S) σ_C / σ_S + μ_C (Gatys et al. 2016, section 4), in Oklab. Both σ count as at least `FAINT`, so that
    a flat content gets strokes too and a flat style's grain isn't blown up.
    """
    (mean, covariance), (wanted, wanted_covariance) = _mean_and_covariance(style), _mean_and_covariance(content)
    contrast, wanted_contrast = (c[0, 0].clamp(min=FAINT**2).sqrt() for c in (covariance, wanted_covariance))
    factor = (wanted_contrast / contrast).item()
    shift = (wanted[0] - factor * mean[0]).item()
    return map_rows(lambda rows: grey_of(factor * oklab(rows)[:, :1] + shift), style)


def matched(style: Tensor, content: Tensor) -> Tensor:
    """The style with the mean and covariance of the content's colours in Oklab, (1, 3, h, w) sRGB in [0, 1].

    x ← A (x − μ_S) + μ_C with A = Σ_C^½ Σ_S^−½ (Gatys et al. 2016, section 3). The roots are symmetric: Cholesky's
    depend on the order of the channels. A direction in which the style varies by less than `GRAIN` is scaled as if it
    varied by that, since what a grey or flat style has there is noise.
    """
    (mean, covariance), (wanted, wanted_covariance) = _mean_and_covariance(style), _mean_and_covariance(content)
    (root,), (inverse,) = symmetric_powers(wanted_covariance, 0.5), symmetric_powers(covariance, -0.5, least=GRAIN**2)
    a = root @ inverse
    shift = (wanted - a @ mean).to(style).view(1, 3, 1, 1)
    return map_rows(lambda rows: to_gamut(mix_channels(a, oklab(rows)) + shift), style)


def _mean_and_covariance(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3,) and covariance (3, 3) of an image's colours in Oklab, float64."""
    mean, covariance = mean_and_covariance(colour_statistics(image))
    return mean[0].contiguous(), covariance[0]
