"""Style as the mean and spread of features: of each channel alone, or of all together as a Gaussian."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.losses.linalg import eigen, orthogonal_factor, root_and_inverse, symmetric_powers
from impasto.losses.moments import (
    TINY,
    averaged,
    from_mean_and_covariance,
    from_mean_and_variance,
    mean_and_covariance,
    mean_and_variance,
)
from impasto.storage.devices import queued

BLUR = 1e-4
"""ε as a share of the target's mean variance: both sides are compared as if blurred by noise of a hundredth of it in σ.

So a deviation of 0, or a covariance of less than full rank, still has a gradient, at any scale of features.
"""

TOGETHER = 128
"""Principal directions of a style that are compared as one Gaussian: all, in layers of so many channels.

The root of a larger matrix takes too long (docs/decisions/0015-the-front.md).
"""


LARGE = 512
"""Channels from which on a covariance is turned into a style's directions in single precision, at half the time."""


class ChannelTarget(NamedTuple):
    """A style's mean and deviation (n, c) of each channel, blurred by the variance `blur` (n, 1)."""

    mean: Tensor
    std: Tensor
    blur: Tensor


class GaussianTarget(NamedTuple):
    """A style's mean (n, c), its principal directions, and its deviation (n, c) along each, greatest first.

    `directions` (n, c, c) are columns of length 1; the deviations are blurred by the variance `blur` (n, 1).
    """

    mean: Tensor
    directions: Tensor
    deviations: Tensor
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
    """What `gaussian_w2` compares with, from a style's `moments` (n, c + 1, c + 1): its directions are found once."""
    mean, covariance = mean_and_covariance(statistics)
    blur = _blur(_diagonal(covariance), _diagonal(averaged(statistics)[:, :-1, :-1]))
    variances, directions = eigen(covariance)
    return GaussianTarget(mean, directions.flip(2), (variances.flip(1) + blur).sqrt(), blur)


def gaussian_w2(statistics: Tensor, target: GaussianTarget) -> Tensor:
    """`squared_wasserstein` of `moments` (n, c + 1, c + 1) and a style, both blurred, by the style's own directions.

    Along its `TOGETHER` leading directions features are compared as one Gaussian, along each further one by itself.
    Such marginal distances add up to the whole one in layers of up to 128 channels, and to no more than it in others.
    """
    return _GaussianDistance.apply(statistics, *target)  # pyright: ignore[reportReturnType]


def squared_wasserstein(mean: Tensor, covariance: Tensor, mean_t: Tensor, root_t: Tensor) -> Tensor:
    """‖μ − μt‖² + tr(Σ + Σt − 2 (Σt^½ Σ Σt^½)^½) of means (n, c), Σ (n, c, c) and Σt^½. Dowson & Landau 1982, eq. 4.

    It is the squared 2-Wasserstein distance of Gaussians.
    """
    spread = _diagonal(covariance).sum() + root_t.square().sum()  # tr Σt = ‖Σt^½‖²
    overlap = _TraceOfRoot.apply(root_t @ covariance @ root_t)
    return (mean - mean_t).square().sum() + spread - 2 * overlap  # pyright: ignore[reportOperatorIssue]


def interpolate_gaussian(start: Tensor, target: Tensor, fraction: float) -> Tensor:
    """The `moments` at a fraction of the shortest path between two Gaussians: the loss to it grows by fraction².

    Σ is that of (1 − t) x + t y, where x and y are drawn together as near to each other as can be (McCann 1997).
    """
    (mean, covariance), (mean_t, covariance_t) = mean_and_covariance(start), mean_and_covariance(target)
    cross, t = _cross_covariance(covariance, covariance_t), fraction
    partly = (1 - t) ** 2 * covariance + t * (1 - t) * (cross + cross.mT) + t**2 * covariance_t
    return from_mean_and_covariance(torch.lerp(mean, mean_t, fraction), partly)


def interpolate_gram(start: Tensor, target: Tensor, fraction: float) -> Tensor:
    """`counted_gram` at a fraction of the way from one image's to another's: the Gram loss to it is fraction² of all.

    The path is that of `interpolate_gaussian` for Gaussians around 0 with these second moments: every position changes
    a little. On the straight line, which mixes them, some positions would change wholly and others not at all
    (docs/decisions/0008-strength.md). The place on it is found by bisection: it is where the distance that is left to
    the target is 1 − fraction of the whole one.
    """
    first, second = (averaged(statistics)[:, :-1, :-1].double() for statistics in (start, target))
    cross = _cross_covariance(first, second)
    # (1 − τ)² A + τ (1 − τ) B + τ² C − C: its squared length is a quadratic form of four numbers.
    parts = torch.stack([first, cross + cross.mT, second]).flatten(1)
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
    there = F.pad((weights @ parts).view(first.shape), (0, 1, 0, 1))
    there[:, -1, -1] = 1
    return there.to(start.dtype)


def _blur(variance: Tensor, power: Tensor) -> Tensor:
    """ε (n, 1) of variances and mean squares (n, c); where the target is flat, a little above rounding."""
    return BLUR * variance.mean(dim=1, keepdim=True) + 1e-8 * power.mean(dim=1, keepdim=True) + TINY


def _blurred(covariance: Tensor, blur: Tensor) -> Tensor:
    return covariance + torch.diag_embed(blur.expand(covariance.shape[:2]))


def _diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=1, dim2=2)


def _cross_covariance(first: Tensor, second: Tensor) -> Tensor:
    """E[x yᵀ] (n, c, c) where x and y have these covariances, mean 0, and the least mean squared distance.

    A^½ U B^½, where U is the orthogonal factor of A^½ B^½: no inverse, so that either may lack rank.
    """
    (a,), (b,) = symmetric_powers(first, 0.5), symmetric_powers(second, 0.5)
    return a @ orthogonal_factor(a @ b) @ b


class _TraceOfRoot(torch.autograd.Function):
    """Σ tr A^½ of symmetric positive matrices (n, c, c), whose gradient ½ A^−½ has no difference of eigenvalues.

    Autograd through an eigendecomposition divides by such differences, which vanish where eigenvalues repeat.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        trace, inverse = _trace_and_inverse_root(a)
        ctx.save_for_backward(inverse)
        return trace

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return d / 2 * ctx.saved_tensors[0]


def _trace_and_inverse_root(a: Tensor) -> tuple[Tensor, Tensor]:
    """Σ tr A^½ and A^−½ of symmetric positive matrices (n, c, c).

    Where work is queued there is no decomposition: a GPU's makes the host wait, to see whether it was found.
    """
    if queued(a.device):
        root, inverse = root_and_inverse(a)
        return _diagonal(root).sum(), inverse
    values, vectors = eigen(a, least=TINY**2, relative=torch.finfo(a.dtype).eps)
    return values.sqrt().sum(), (vectors * values.rsqrt()[:, None]) @ vectors.mT


class _GaussianDistance(torch.autograd.Function):
    """`gaussian_w2`, whose gradient to Σ is D B Dᵀ: that and Σ D are all products of matrices as large as Σ.

    D are the style's directions, R its deviations along the leading ones and Λ = Dᵀ Σ D + ε. B is I − R (R Λ R)^−½ R
    for those, which follows from Dowson & Landau 1982, eq. 4, and 1 − r / λ^½ for each of the others.
    """

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, statistics: Tensor, mean_t: Tensor, directions: Tensor, deviations: Tensor, blur: Tensor
    ) -> Tensor:
        deviation, rest_deviation = deviations[:, :TOGETHER], deviations[:, TOGETHER:]
        mean, covariance = mean_and_covariance(statistics)
        turning = directions.to(_of_products(directions))
        turned = covariance.to(turning.dtype) @ turning
        leading = _blurred(directions[:, :, :TOGETHER].mT @ turned[:, :, :TOGETHER].to(mean.dtype), blur)
        variance = (turning[:, :, TOGETHER:] * turned[:, :, TOGETHER:]).sum(dim=1).to(mean.dtype)
        root = (variance.clamp(min=0) + blur).sqrt()
        scale = deviation[:, :, None] * deviation[:, None, :]  # R Λ R, as R is diagonal
        trace, inverse = _trace_and_inverse_root(leading * scale)
        alone = (1 - rest_deviation / root) * (variance >= 0)
        together = torch.eye(scale.shape[1], dtype=scale.dtype, device=scale.device) - inverse * scale
        ctx.save_for_backward(statistics, mean, mean_t, turning, together, alone)
        spread = _diagonal(leading).sum() + deviation.square().sum()  # tr Σt = ‖Σt^½‖²
        return (mean - mean_t).square().sum() + spread - 2 * trace + (root - rest_deviation).square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        statistics, mean, mean_t, turning, together, alone = ctx.saved_tensors
        count = statistics[:, -1:, -1:]
        to_mean = d / count.clamp(min=TINY)  # of the sums that a mean is made of
        scaled = torch.empty_like(turning)  # D B
        few, rest = turning[:, :, :TOGETHER], turning[:, :, TOGETHER:]
        scaled[:, :, :TOGETHER] = few @ (together * to_mean).to(turning.dtype)
        torch.mul(rest, (alone[:, None] * to_mean).to(turning.dtype), out=scaled[:, :, TOGETHER:])
        gradient = torch.empty_like(statistics)
        of_second = gradient[:, :-1, :-1].copy_(scaled @ turning.mT)
        gradient[:, :-1, -1:] = 2 * to_mean * (mean - mean_t)[:, :, None] - 2 * (of_second @ mean[:, :, None])
        gradient[:, -1] = 0
        whole = gradient.flatten(1)[:, None] @ statistics.flatten(1)[:, :, None]
        gradient[:, -1:, -1:] = -whole / count.clamp(min=TINY) * (count >= TINY)
        return gradient, None, None, None, None


def _of_products(directions: Tensor) -> torch.dtype:
    """Of large products with directions (n, c, c): it rounds off less than sums over float32 features leave open."""
    return torch.float32 if directions.shape[1] >= LARGE else directions.dtype
