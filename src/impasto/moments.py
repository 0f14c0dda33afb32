"""Statistics of features. They are sums over positions, so they add up over tiles, regions, machines and styles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def gram(features: Tensor) -> Tensor:
    """Channel correlations summed over positions, G = F Fᵀ: (n, c, h, w) -> (n, c, c). Gatys et al. 2015, eq. 3."""
    return _Gram.apply(features.flatten(2))  # pyright: ignore[reportReturnType]


class _Gram(torch.autograd.Function):
    """F Fᵀ, whose gradient (D + Dᵀ) F is one product for any D; autograd by itself makes it two."""

    @staticmethod
    def forward(ctx: Any, f: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(f)
        return f @ f.mT

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (f,) = ctx.saved_tensors
        symmetric = d + d.mT
        if f.stride(1) == 1:  # (h, w, c) in memory: the gradient comes out likewise, and needs no reordering
            return (f.mT @ symmetric).mT
        return symmetric @ f
