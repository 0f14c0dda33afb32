"""Losses on hypercolumns (n, d), one row a place: matched with the most similar ones, or among themselves.

STROTSS is Kolkin et al. 2019, 'Style Transfer by Relaxed Optimal Transport and Self-Similarity'.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.losses.gatys import gram
from impasto.losses.moments import TINY, mean_and_covariance_of_rows

SMALLEST = 1e-8
"""Squared length, as a share of the mean one, that every vector has at least: one of zeros still has a gradient."""

EMPTY = 1e-5
"""Mean distance to the others, at least, that self-similarities are divided by: for images that are all alike."""


def relaxed_emd(x: Tensor, y: Tensor) -> Tensor:
    """max(1/n Σᵢ minⱼ Cᵢⱼ, 1/m Σⱼ minᵢ Cᵢⱼ) with C = 1 − cos(xᵢ, yⱼ), of rows (n, d) and (m, d). STROTSS, ℓ_r.

    The earth mover's distance with one of its two marginals let go, whichever leaves more.
    """
    x, y = _unit(x), _unit(y)
    with torch.no_grad():
        similarity = x @ y.T
        to_y, to_x = similarity.argmax(dim=1), similarity.argmax(dim=0)
    # The least distance is a distance to one row: only those pairs have a gradient, so only they are computed with one.
    # Not x[to_x], whose gradient is added up in whatever order threads come: runs would not repeat to the bit.
    return torch.maximum(1 - (x * y[to_y]).sum(dim=1).mean(), 1 - (x.index_select(0, to_x) * y).sum(dim=1).mean())


def nearest_neighbour_loss(x: Tensor, y: Tensor) -> Tensor:
    """1/n Σᵢ minⱼ (1 − cos(xᵢ − x̄, yⱼ − ȳ)), of rows (n, d) and (m, d). Kolkin et al. 2022 (NNST), feature splitting.

    Every row finds something alike, but not every y need be found: parts of the style may be left out. Taking off
    the means keeps what all features share from making them all alike.
    """
    x, y = _unit(x - x.mean(dim=0)), _unit(y - y.mean(dim=0))
    with torch.no_grad():
        to_y = (x @ y.T).argmax(dim=1)
    return 1 - (x * y[to_y]).sum(dim=1).mean()


def moment_matching(x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """1/d ‖μ − μt‖₁ + 1/d² ‖Σ − Σt‖₁ of rows (n, d) against μt (d,) and Σt (d, d). STROTSS, ℓ_m.

    Cosines ignore magnitudes; this keeps contrast and saturation.
    """
    now, spread = mean_and_covariance_of_rows(x)
    return (now - mean).abs().mean() + (spread - covariance).abs().mean()


def self_similarity(x: Tensor) -> Tensor:
    """D = 1 − cos(xᵢ, xⱼ) of rows (n, d), each column divided by its sum: (n, n). STROTSS, of ℓ_C."""
    unit = _unit(x)
    distance = 1 - gram(unit[None])[0]
    return distance / (distance.sum(dim=0) + EMPTY * len(x))


def self_similarity_loss(x: Tensor, content: Tensor) -> Tensor:
    """1/n Σ |D − Dc| of rows (n, d) against the content's `self_similarity` (n, n) at the same places. STROTSS, ℓ_C.

    As in the authors' code it is divided by n: the paper's n² would make it smaller the more places there are. A flat
    image has about 1.
    """
    return (self_similarity(x) - content).abs().sum() / len(x)


def _unit(x: Tensor) -> Tensor:
    """Rows at length 1."""
    squared = x.square().sum(dim=1, keepdim=True)
    least = SMALLEST * squared.detach().mean() + TINY
    return x * (squared + least).rsqrt()
