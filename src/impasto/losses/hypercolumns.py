"""Hypercolumns (Hariharan et al. 2015): several layers' features at the same, sampled places of an image.

A place is (row, column) in [0, 1]², a cell the same counted in a layer's positions. A sample is a weighted sum of the
four features around it, so samples add up over tiles as moments do: each tile counts the features that it has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.size import Size, size_of


def jittered_grid(count: int, size: Size, generator: torch.Generator) -> Tensor:
    """About `count` places (n, 2), one at random in each square of a grid over an image of `size` (h, w). Cook 1986.

    Rows times columns of the grid make n, which is `count` rounded to them.
    """
    h, w = size
    rows = min(count, max(1, round((count * h / w) ** 0.5)))
    columns = round(count / rows)
    corners = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    inside = torch.rand(corners.shape, generator=generator, device=generator.device).cpu()
    return (corners + inside) / torch.tensor([rows, columns])


def places_within(mask: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` places (count, 2) spread over a mask (1, 1, h, w) in [0, 1], as dense as it is white.

    The mask is walked through in strips about as high as the squares of a grid of `count`, and cut into as many
    parts of the same weight, with a place at random in each. Raises `SettingsError` for a mask that is black.
    """
    h, w = size_of(mask)
    white = float(mask.sum())
    if white <= 0:
        raise SettingsError("The mask is black all over, so there is nothing to sample", "paint its region white")
    strip = min(h, max(1, round((white / count) ** 0.5)))
    density = F.pad(mask[0, 0].cpu().double(), (0, 0, 0, -h % strip))
    walk = torch.arange(density.numel()).view(-1, strip, w).mT.flatten()
    weight = density.flatten()[walk].cumsum(dim=0)
    inside = torch.rand((count, 3), generator=generator, device=generator.device).cpu()
    found = walk[torch.searchsorted(weight, (torch.arange(count) + inside[:, 0]) / count * weight[-1], right=True)]
    return (torch.stack([found // w, found % w], dim=1) + inside[:, 1:]) / torch.tensor([h, w])


def cells(places: Tensor, size: Size) -> Tensor:
    """Where places (n, 2) are in a layer's features of `size` (h, w): (row, column), 0 in the first one's middle.

    Places nearer to the border than that are moved to it. For a tile of the features, subtract its corner.
    """
    positions = torch.tensor(size, device=places.device)
    return (places * positions - 0.5).clamp(min=0).minimum(positions - 1)


def sample(features: Tensor, at: Tensor) -> Tensor:
    """Features (1, c, h, w) at cells (n, 2), bilinearly: (n, c), differentiable to the features.

    What lies outside the features counts as 0, so that the samples of tiles sum to the whole image's.
    """
    h, w = size_of(features)
    across, down = (2 * at[:, 1] + 1) / w - 1, (2 * at[:, 0] + 1) / h - 1
    grid = torch.stack([across, down], dim=1).to(features)
    return F.grid_sample(features, grid[None, None], padding_mode="zeros", align_corners=False)[0, :, 0].T


def hypercolumns(features: Sequence[Tensor], places: Tensor) -> list[Tensor]:
    """Each layer's samples (n, c) of whole images' features (1, c, h, w) at the places (n, 2)."""
    return [sample(f, cells(places, size_of(f)).to(f.device)) for f in features]


def means_in_squares(features: Tensor, side: int) -> Tensor:
    """Means of features (n, c, h, w) in squares of `side` positions, the last of a row or column maybe cut off.

    Gives (n, c, ⌈h / side⌉, ⌈w / side⌉): every position counts.
    """
    return features if side == 1 else F.avg_pool2d(features, side, ceil_mode=True, count_include_pad=False)


def sample_mixture(samples: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Rows of samples (n_i, c) by their shares, evenly picked, as many as the largest share allows: a blend of styles.

    The same rows are picked for every layer, so hypercolumns stay whole. Every share above 0 gives one row or more.
    """
    wanted = [share / sum(shares) for share in shares]
    rows = min(len(s) / share for s, share in zip(samples, wanted, strict=True) if share > 0)
    picked = []
    for s, share in zip(samples, wanted, strict=True):
        number = min(len(s), max(1, round(rows * share))) if share > 0 else 0
        picked.append(s[(torch.arange(number) * len(s)) // max(1, number)])
    return torch.cat(picked)
