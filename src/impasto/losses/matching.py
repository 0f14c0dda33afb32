"""Losses on hypercolumns (n, d), one row a place: matched with the most similar ones, or among themselves.

STROTSS is Kolkin et al. 2019, 'Style Transfer by Relaxed Optimal Transport and Self-Similarity'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def interpolate_rows(x: Tensor, y: Tensor, fraction: float) -> Tensor:
    """Each row of (n, d) and (m, d) with the one most like it on the other side, a fraction of the way from x to y.

    Gives (n + m, d). In a mixture of rows of both, what is all alike (a sky) would find itself, and stay as it is.
    """
    similarity = _unit(x - x.mean(dim=0)) @ _unit(y - y.mean(dim=0)).T
    to_y, to_x = similarity.argmax(dim=1), similarity.argmax(dim=0)
    return torch.cat([torch.lerp(x, y[to_y], fraction), torch.lerp(x[to_x], y, fraction)])


def nearest_neighbours(blocks: Iterable[Tensor], mean: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """maxⱼ cos(xᵢ − x̄, yⱼ − ȳ) of n rows, given in blocks (b, d), and (m, d), and which j it is: (n,) each. NNST.

    `mean` is x̄, of all blocks. Taking off the means keeps what all features share from making them all alike. No more
    than a block's similarities (b, m) are in memory at a time.
    """
    y = _unit(y - y.mean(dim=0)).T.contiguous()
    found = [(_unit(x - mean) @ y).max(dim=1) for x in blocks]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def shared_out(similarity: Tensor, shares: Sequence[float]) -> Tensor:
    """Which of k styles each of n places is given, by their similarities (k, n), so that a style has its share: (n,).

    Each style in turn takes those of the places left where it is ahead of the styles to come by most. Ours: NNST has
    one style.
    """
    places, styles = similarity.shape[1], [number for number, share in enumerate(shares) if share > 0]
    given = similarity.new_full((places,), styles[-1], dtype=torch.long)
    left, taken = torch.arange(places, device=similarity.device), 0.0
    for place, number in enumerate(styles[:-1]):
        taken += shares[number]
        count = round(places * taken / sum(shares)) - (places - len(left))
        ahead = similarity[number, left] - similarity[styles[place + 1 :]][:, left].amax(dim=0)
        order = ahead.argsort(descending=True, stable=True)
        given[left[order[:count]]] = number
        left = left[order[count:]].sort().values
    return given


def cosine_distances(x: Tensor, y: Tensor, least: float) -> Tensor:
    """1 − cos(x, y) at each position of (n, c, h, w) and of targets alike: (n, 1, h, w). NNST.

    `least` is added to squared lengths, so that where there are no features at all the gradient is finite.
    """
    return 1 - (unit_vectors(x, least) * unit_vectors(y, least)).sum(dim=1, keepdim=True)


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


def unit_vectors(x: Tensor, least: float | Tensor) -> Tensor:
    """Vectors x/|x| along the second dimension, of (n, d, …), whose squared lengths are given `least` more."""
    return x * (x.square().sum(dim=1, keepdim=True) + least).rsqrt()


def _unit(x: Tensor) -> Tensor:
    """Rows at length 1."""
    return unit_vectors(x, SMALLEST * x.detach().square().sum(dim=1).mean() + TINY)
