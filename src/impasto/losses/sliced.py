"""Style as the whole distribution of features, projected onto directions: sorted, and compared rank by rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingsError
from impasto.storage.devices import resident


def directions(channels: int, generator: torch.Generator, count: int | None = None) -> Tensor:
    """Random unit vectors (count, channels), by default as many as channels, so that they span all of them.

    Each is uniform on the sphere as in Heitz et al. 2021, but every `channels` of them are at right angles to each
    other (a random rotation, as in Pitié et al. 2005): fewer leave less unseen.
    """
    count = channels if count is None else count
    shape = (-(-count // channels), channels, channels)
    normal = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64).cpu()
    return torch.linalg.qr(normal)[0].flatten(0, 1)[:count]


def projected_quantiles(features: Tensor, along: Tensor, weight: Tensor | None = None) -> Tensor:
    """Features (1, c, h, w) along directions (k, c), each sorted: (1, k, h·w), differentiable to the features.

    Under weights (1, 1, h, w) in [0, 1] only about Σ w of the positions count, each with its weight for a chance: grey
    is dithered, in the order of the rows. Raises `SettingsError` where no position counts.
    """
    f = features[0].flatten(1)
    if weight is not None:
        f = f[:, _dithered(weight)]
    return _sorted(resident(along, f) @ f)[None]


def sliced_wasserstein(quantiles: Tensor, target: Tensor) -> Tensor:
    """Mean over directions and ranks of (q − target)², of quantiles q (1, k, n) and (1, k, m). Heitz et al. 2021.

    Their L_SW1D of sorted projections, averaged over the directions. Where n and m differ, the target is read at the
    ranks of `now`. With the channels themselves for directions it is the histogram loss of Risser et al. 2017, eq. 2
    per position, with exact ranks in the place of 256 bins.
    """
    return (quantiles - resampled(target, quantiles.shape[-1])).square().mean()


def resampled(quantiles: Tensor, count: int) -> Tensor:
    """Quantiles (1, k, m) read at the middles of `count` equal ranks, linearly between their own: (1, k, count)."""
    if quantiles.shape[-1] == count:
        return quantiles
    return F.interpolate(quantiles, size=count, mode="linear", align_corners=False)


def quantile_mixture(quantiles: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Σ of shares, normalised to sum to 1, times quantiles (1, k, n_i) at the first one's ranks: (1, k, n_0).

    Along each direction it is the distribution half-way (or so) between all, and not one that has parts of each.
    """
    count, whole = quantiles[0].shape[-1], sum(shares)
    parts = [resampled(q, count) * (share / whole) for q, share in zip(quantiles, shares, strict=True)]
    return torch.stack(parts).sum(dim=0)


def _sorted(values: Tensor) -> Tensor:
    """Each row in ascending order; NumPy finds the order on the CPU several times as fast as torch."""
    if values.device.type == "cpu":
        order = torch.from_numpy(np.argsort(values.detach().numpy(), axis=1))
    else:
        order = values.detach().argsort(dim=1)
    return values.gather(1, order)


def _dithered(weight: Tensor) -> Tensor:
    """Which of the positions of a weight map (1, 1, h, w) are where its running sum passes another half."""
    passed = (weight.flatten().double().cumsum(dim=0) + 0.5).floor()
    if passed[-1] < 1:
        raise SettingsError("A mask is black wherever a layer looks", "make its region larger or lighter")
    return passed.diff(prepend=passed.new_zeros(1)) > 0
