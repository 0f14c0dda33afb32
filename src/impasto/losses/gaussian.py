"""Style as the mean and spread of features: of each channel alone, or of all together as a Gaussian."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses.linalg import eigen, symmetric_powers
from impasto.losses.moments import (
    TINY,
    averaged,
    from_mean_and_covariance,
    from_mean_and_variance,
    mean_and_covariance,
    mean_and_variance,
)

BLUR = 1e-4
"""ε as a share of the target's mean variance: both sides are compared as if blurred by noise of a hundredth of it in σ.

So a deviation of 0, or a covariance of less than full rank, still has a gradient, at any scale of features.
"""


class ChannelTarget(NamedTuple):
    """A style's mean and deviation (n, c) of each channel, blurred by the variance `blur` (n, 1)."""

    mean: Tensor
    std: Tensor
    blur: Tensor


class GaussianTarget(NamedTuple):
    """A style's mean (n, c) and the root (n, c, c) of its covariance, blurred by the variance `blur` (n, 1)."""

    mean: Tensor
    root: Tensor
    blur: Tensor


def mean_std_target(statistics: Tensor) -> ChannelTarget:
    """What `mean_std_loss` compares with, from a style's `channel_moments` (n, 3, c)."""
    mean, variance = mean_and_variance(statistics)
    blur = _blur(variance, averaged(statistics)[:, 0])
    return ChannelTarget(mean, (variance + blur).sqrt(), blur)


def mean_std_loss(statistics: Tensor, target: ChannelTarget) -> Tensor:
    """1/N Σ ((μ − μt)² + (σ − σt)²) of `channel_moments` (n, 3, c). Li et al. 2017, matching of batch-norm statistics.

    Huang & Belongie 2017, eq. 13, with squares instead of norms, so that it falls off smoothly at the goal. As in their
    eq. 6, σ = √(σ² + ε).
    """
    mean, variance = mean_and_variance(statistics)
    return ((mean - target.mean).square() + ((variance + target.blur).sqrt() - target.std).square()).mean()


def interpolate_mean_std(start: Tensor, target: Tensor, fraction: float) -> Tensor:
    """The `channel_moments` with means and deviations at a fraction of the way: the loss to it grows by fraction²."""
    (mean, variance), (mean_t, variance_t) = mean_and_variance(start), mean_and_variance(target)
    deviation = torch.lerp(variance.sqrt(), variance_t.sqrt(), fraction)
    return from_mean_and_variance(torch.lerp(mean, mean_t, fraction), deviation.square())


def gaussian_target(statistics: Tensor) -> GaussianTarget:
    """What `gaussian_w2` compares with, from a style's `moments` (n, c + 1, c + 1): its root is taken once."""
    mean, covariance = mean_and_covariance(statistics)
    blur = _blur(_diagonal(covariance), _diagonal(averaged(statistics)[:, :-1, :-1]))
    root, _ = _roots(_blurred(covariance, blur))
    return GaussianTarget(mean, root, blur)


def gaussian_w2(statistics: Tensor, target: GaussianTarget) -> Tensor:
    """`squared_wasserstein` of `moments` (n, c + 1, c + 1), where both Σ and Σt have ε added to their diagonals."""
    mean, covariance = mean_and_covariance(statistics)
    return squared_wasserstein(mean, _blurred(covariance, target.blur), target.mean, target.root)


def squared_wasserstein(mean: Tensor, covariance: Tensor, mean_t: Tensor, root_t: Tensor) -> Tensor:
    """‖μ − μt‖² + tr(Σ + Σt − 2 (Σt^½ Σ Σt^½)^½) of means (n, c), Σ (n, c, c) and Σt^½. Dowson & Landau 1982, eq. 4.

    It is the squared 2-Wasserstein distance of Gaussians.
    """
    spread = _diagonal(covariance).sum() + root_t.square().sum()  # tr Σt = ‖Σt^½‖²
    overlap = _TraceOfRoot.apply(root_t @ covariance @ root_t)
    return (mean - mean_t).square().sum() + spread - 2 * overlap  # pyright: ignore[reportOperatorIssue]


def interpolate_gaussian(start: Tensor, target: Tensor, fraction: float) -> Tensor:
    """The `moments` at a fraction of the shortest path between two Gaussians: the loss to it grows by fraction².

    Σ = A Σ₀ A with A = (1 − t) I + t T, where T carries the start's distribution to the target's (McCann 1997).
    """
    (mean, covariance), (mean_t, covariance_t) = mean_and_covariance(start), mean_and_covariance(target)
    blur = _blur(_diagonal(covariance_t), _diagonal(averaged(target)[:, :-1, :-1]))
    covariance = _blurred(covariance, blur)
    root, inverse = _roots(covariance)
    transport = inverse @ _roots(root @ _blurred(covariance_t, blur) @ root)[0] @ inverse
    partly = _blurred(fraction * transport, torch.full_like(blur, 1 - fraction))
    return from_mean_and_covariance(torch.lerp(mean, mean_t, fraction), _blurred(partly @ covariance @ partly, -blur))


def interpolate_gram(start: Tensor, target: Tensor, fraction: float) -> Tensor:
    """`counted_gram` at a fraction of the way from one image's to another's: the Gram loss to it is fraction² of all.

    The path is that of `interpolate_gaussian` for Gaussians around 0 with these second moments: every position changes
    a little. On the straight line, which mixes them, some positions would change wholly and others not at all
    (docs/decisions/0008-strength.md). The place on it is found by bisection: it is where the distance that is left to
    the target is 1 − fraction of the whole one.
    """
    first, second = (averaged(statistics)[:, :-1, :-1].double() for statistics in (start, target))
    blur = _blur(_diagonal(second), _diagonal(first))
    first, second = _blurred(first, blur), _blurred(second, blur)
    root, inverse = _roots(first)
    transport = inverse @ _roots(root @ second @ root)[0] @ inverse
    mixed = transport @ first
    # (1 − τ)² A + τ (1 − τ) B + τ² C − C: its squared length is a quadratic form of four numbers.
    parts = torch.stack([first, mixed + mixed.mT, second]).flatten(1)
    products = parts @ parts.T

    pairs = products.tolist()

    def left(at: float) -> float:
        weights = ((1 - at) ** 2, at * (1 - at), at**2 - 1)
        squared = sum(a * b * pairs[i][j] for i, a in enumerate(weights) for j, b in enumerate(weights))
        return math.sqrt(max(squared, 0.0))

    low, high = 0.0, 1.0
    asked = (1 - fraction) * left(0.0)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) > asked else (low, middle)
    weights = products.new_tensor([(1 - high) ** 2, high * (1 - high), high**2])
    there = F.pad((weights @ parts).view(first.shape) - torch.diag_embed(blur.expand(first.shape[:2])), (0, 1, 0, 1))
    there[:, -1, -1] = 1
    return there.to(start.dtype)


def _blur(variance: Tensor, power: Tensor) -> Tensor:
    """ε (n, 1) of variances and mean squares (n, c); where the target is flat, a little above rounding."""
    return BLUR * variance.mean(dim=1, keepdim=True) + 1e-8 * power.mean(dim=1, keepdim=True) + TINY


def _blurred(covariance: Tensor, blur: Tensor) -> Tensor:
    return covariance + torch.diag_embed(blur.expand(covariance.shape[:2]))


def _diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=1, dim2=2)


def _roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A^½ and A^−½ of symmetric positive matrices (n, c, c); eigenvalues below rounding count as rounding."""
    root, inverse = symmetric_powers(matrix, 0.5, -0.5, least=TINY**2, relative=torch.finfo(matrix.dtype).eps)
    return root, inverse


class _TraceOfRoot(torch.autograd.Function):
    """Σ tr A^½ of symmetric positive matrices (n, c, c), whose gradient ½ A^−½ has no difference of eigenvalues.

    Autograd through an eigendecomposition divides by such differences, which vanish where eigenvalues repeat.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        values, vectors = eigen(a, least=TINY**2, relative=torch.finfo(a.dtype).eps)
        ctx.save_for_backward(values, vectors)
        return values.sqrt().sum()

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        values, vectors = ctx.saved_tensors
        return d / 2 * (vectors * values.rsqrt()[:, None]) @ vectors.mT
