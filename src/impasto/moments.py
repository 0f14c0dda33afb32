"""Statistics of features. They are sums over positions, so they add up over tiles, regions, machines and styles."""

from __future__ import annotations

from torch import Tensor


def gram(features: Tensor) -> Tensor:
    """Channel correlations summed over positions, G = F Fᵀ: (n, c, h, w) -> (n, c, c). Gatys et al. 2015, eq. 3."""
    f = features.flatten(2)
    return f @ f.transpose(1, 2)


def channel_sum(features: Tensor) -> Tensor:
    """Features summed over positions, (n, c, h, w) -> (n, c): the raw first moment."""
    return features.sum(dim=(2, 3))
