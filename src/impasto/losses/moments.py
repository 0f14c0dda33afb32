"""Statistics of features. They are sums over positions, so they add up over tiles, regions, machines and styles.

Each carries its own count in its last corner. To blend styles, take `mixture`, which gives each image its share
whatever its size; covariances and deviations don't average, the raw moments here do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses import native_moments
from impasto.losses.gatys import gram
from impasto.storage.devices import queued
from impasto.storage.pool import POOL

TINY = 1e-12
"""Least count that statistics are divided by, for regions that no position lies in: their moments are 0."""


def counted_gram(features: Tensor, weight: Tensor | None = None) -> Tensor:
    """Σ w F Fᵀ, and Σ w in the last corner: (n, c, h, w) -> (n, c + 1, c + 1), for weights (n, 1, h, w) in [0, 1].

    The guided Gram matrix of Gatys et al. 2017 ('Controlling Perceptual Factors'), with w = T², not yet divided by
    its count. Row and column c hold zeros otherwise: it is `moments` without the means.
    """
    matrix = gram(features) if weight is None else moments(features, weight)[:, :-1, :-1].to(features.dtype)
    counted = F.pad(matrix, (0, 1, 0, 1))
    counted[:, -1, -1] = _count(features, weight)
    return counted


def moments(features: Tensor, weight: Tensor | None = None) -> Tensor:
    """Σ w [F; 1] [F; 1]ᵀ: (n, c, h, w) -> (n, c + 1, c + 1), for weights (n, 1, h, w) in [0, 1] without gradient.

    That is Σ w F Fᵀ, beside it the last column (and row) Σ w F, and Σ w in the corner, in double precision since
    what is derived from them are differences. The features aren't copied.
    """
    return _Moments.apply(features.flatten(2), None if weight is None else weight.flatten(2))  # pyright: ignore[reportReturnType]


def channel_moments(features: Tensor, weight: Tensor | None = None) -> Tensor:
    """The rows Σ w F², Σ w F and Σ w: (n, c, h, w) -> (n, 3, c), for weights (n, 1, h, w) in [0, 1] without gradient.

    What `moments` has on its diagonal and in its last column, at a third of the cost; in double precision too.
    """
    return _ChannelMoments.apply(features.flatten(2), None if weight is None else weight.flatten(2))  # pyright: ignore[reportReturnType]


def averaged(statistics: Tensor) -> Tensor:
    """Any of these statistics divided by its count: means over positions, with 1 for their count."""
    return statistics / statistics[:, -1:, -1:].clamp(min=TINY)


def mixture(statistics: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The average of images that have these shares of its positions, normalised to sum to 1: a blend of styles."""
    whole = sum(shares)
    return torch.stack([averaged(s) * (share / whole) for s, share in zip(statistics, shares, strict=True)]).sum(dim=0)


def mean_and_covariance(statistics: Tensor) -> tuple[Tensor, Tensor]:
    """μ (n, c) and Σ (n, c, c) from `moments`, with M and not M − 1 for the divisor."""
    means = averaged(statistics)
    mean = means[:, :-1, -1]
    return mean, torch.addcmul(means[:, :-1, :-1], mean[:, :, None], mean[:, None, :], value=-1)


def mean_and_covariance_of_rows(x: Tensor, *, unbiased: bool = False) -> tuple[Tensor, Tensor]:
    """μ (d,) and Σ (d, d) of rows (n, d), with n for the divisor, or `unbiased` with n − 1."""
    mean = x.mean(dim=0)
    return mean, gram((x - mean).T[None])[0] / (len(x) - 1 if unbiased else len(x))


def mean_and_variance(statistics: Tensor) -> tuple[Tensor, Tensor]:
    """μ (n, c) and σ² (n, c), not below 0, from `channel_moments`."""
    second, mean, _ = averaged(statistics).unbind(dim=1)
    return mean, (second - mean.square()).clamp(min=0)


def from_mean_and_covariance(mean: Tensor, covariance: Tensor) -> Tensor:
    """The `moments` of one position with this mean (n, c) and covariance (n, c, c): undoes `mean_and_covariance`."""
    first = torch.cat([mean, torch.ones_like(mean[:, :1])], dim=1)
    return F.pad(covariance, (0, 1, 0, 1)) + first[:, :, None] * first[:, None, :]


def from_mean_and_variance(mean: Tensor, variance: Tensor) -> Tensor:
    """The `channel_moments` of one position with this mean and variance (n, c): undoes `mean_and_variance`."""
    return torch.stack([variance + mean.square(), mean, torch.ones_like(mean)], dim=1)


def _count(features: Tensor, weight: Tensor | None) -> Tensor | int:
    return features[0, 0].numel() if weight is None else weight.flatten(1).sum(dim=1)


PIECE = 2048
"""Positions whose products are summed in the features' precision; the sums of such pieces are added up in double."""


def _pieces(f: Tensor, w: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Views of a few positions at a time, and these weighted: what is made of them stays in the processor's cache."""
    for start in range(0, f.shape[2], PIECE):
        piece = f[:, :, start : start + PIECE]
        yield piece, piece if w is None else piece * w[:, :, start : start + PIECE]


GROUP = 64 * PIECE
"""Positions that a device is given at a time: pieces of their own still, but one launch for all of them."""


def _groups(f: Tensor, w: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    """The same pieces of f (1, c, m) in groups (k, c, positions), views, and these weighted."""
    whole = f.shape[2] // PIECE * PIECE
    for start, end, size in [
        *((start, min(start + GROUP, whole), PIECE) for start in range(0, whole, GROUP)),
        *([(whole, f.shape[2], f.shape[2] - whole)] if whole < f.shape[2] else []),
    ]:
        pieces, weights = (
            None if x is None else x[0, :, start:end].unflatten(1, (-1, size)).transpose(0, 1) for x in (f, w)
        )
        assert pieces is not None
        yield pieces, pieces if weights is None else pieces * weights


def _in_groups(f: Tensor) -> bool:
    return queued(f.device) and f.shape[0] == 1


def _precise(features: Tensor) -> torch.dtype:
    return torch.float32 if features.device.type == "mps" else torch.float64  # MPS has no double precision


def _affine(offset: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """offset + a b (n, i, j), in pooled memory where nobody asks for its own gradient."""
    if torch.is_grad_enabled():
        return torch.baddbmm(offset, a, b)
    return torch.baddbmm(offset, a, b, out=POOL.like(a, a.shape[0], a.shape[1], b.shape[2]))


class _Moments(torch.autograd.Function):
    """Σ w [F; 1] [F; 1]ᵀ of f (n, c, m) in blocks; its gradient w ((D + Dᵀ) [F; 1]) is one product as well."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, w: Tensor | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(f, w)
        if w is None and native_moments.fits(f):
            return native_moments.sums(f)
        n, c, _ = f.shape
        statistics = f.new_zeros((n, c + 1, c + 1), dtype=_precise(f))
        for pieces, weighted in _groups(f, w) if _in_groups(f) else ():
            statistics[0, :c, :c] += (weighted @ pieces.mT).sum(dim=0, dtype=statistics.dtype)
            statistics[0, :c, c] += weighted.sum(dim=2).sum(dim=0, dtype=statistics.dtype)
        for piece, weighted in () if _in_groups(f) else _pieces(f, w):
            statistics[:, :c, :c] += weighted @ piece.mT
            statistics[:, :c, c] += weighted.sum(dim=2)
        statistics[:, c, :c] = statistics[:, :c, c]
        statistics[:, c, c] = _count(f, w)
        return statistics

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        f, w = ctx.saved_tensors
        if native_moments.fits(f) and not torch.is_grad_enabled():
            gradient = native_moments.gradient(f, d)
            return gradient if w is None else gradient.mul_(w), None
        symmetric = (d + d.mT)[:, :-1].to(f.dtype)
        matrix, vector = symmetric[:, :, :-1], symmetric[:, :, -1:]
        in_columns = f.stride(1) == 1  # as in _Gram
        gradient = _affine(vector.mT, f.mT, matrix).mT if in_columns else _affine(vector, matrix, f)
        return gradient if w is None else gradient.mul_(w), None


class _ChannelMoments(torch.autograd.Function):
    """Σ w F², Σ w F and Σ w of f (n, c, m), whose gradient w (2 D₂ F + D₁) is one pass."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, w: Tensor | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(f, w)
        statistics = f.new_zeros((f.shape[0], 3, f.shape[1]), dtype=_precise(f))
        for pieces, weighted in _groups(f, w) if _in_groups(f) else ():
            statistics[0, 0] += (weighted * pieces).sum(dim=2).sum(dim=0, dtype=statistics.dtype)
            statistics[0, 1] += weighted.sum(dim=2).sum(dim=0, dtype=statistics.dtype)
        for piece, weighted in () if _in_groups(f) else _pieces(f, w):
            statistics[:, 0] += (weighted * piece).sum(dim=2)
            statistics[:, 1] += weighted.sum(dim=2)
        statistics[:, 2] = f.shape[2] if w is None else w.sum(dim=2)
        return statistics

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        f, w = ctx.saved_tensors
        second, first, _ = d.to(f.dtype)[..., None].unbind(dim=1)
        gradient = torch.addcmul(first, f, 2 * second)
        return gradient if w is None else gradient.mul_(w), None
