"""Regions of an image: where in it, and with what weight, a style's statistics are taken."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.size import Size, size_of
from impasto.losses.hypercolumns import cells, jittered_grid, places_within, sample
from impasto.network.layers import feature_size, poolings_before
from impasto.network.tiles import Tile, halo, stride
from impasto.objective.statistics import Statistic
from impasto.storage.devices import resident

SAMPLES = 1024
"""Places at which losses of hypercolumns sample: as many as in STROTSS (Kolkin et al. 2019)."""


def resized_mask(mask: Tensor, size: Size) -> Tensor:
    """A mask (1, 1, h, w) in [0, 1] at another size."""
    if size_of(mask) == size:
        return mask
    return F.interpolate(mask, size, mode="bilinear", antialias=True).clamp(0, 1)


def guide(mask: Tensor, layer: str, size: Size, *, erode: bool = False, weights: Tensor | None = None) -> Tensor:
    """A mask (1, 1, h, w) taken down to a layer of an image of `size`: the mean of the pixels behind each position.

    `weights` (1, 1, h, w) of the image's pixels multiply it.

    With `erode`, first the least of all pixels that a position's features depend on, so that they don't see across the
    border (Gatys et al. 2017, section 4.1), unless nothing would be left.
    """
    mask = resized_mask(mask, size)
    if erode:
        reach = halo([layer])
        least = -F.max_pool2d(-mask, (2 * reach + 1, 1), stride=1, padding=(reach, 0))
        least = -F.max_pool2d(-least, (1, 2 * reach + 1), stride=1, padding=(0, reach))
        mask = least if least.any() else mask
    return taken_down(mask if weights is None else mask * weights, layer)


def taken_down(pixels: Tensor, layer: str) -> Tensor:
    """What an image's pixels (1, 1, h, w) hold, at a layer: the mean of those behind each position."""
    step = stride([layer])
    return F.avg_pool2d(pixels, step) if step > 1 else pixels


def places_in(mask: Tensor | None, size: Size, generator: torch.Generator, weights: Tensor | None = None) -> Tensor:
    """About `SAMPLES` places (n, 2) in [0, 1]², spread over an image of `size` or over a mask (1, 1, h, w).

    They are as dense as `weights` (1, 1, h, w) of its pixels are high.
    """
    if weights is not None:
        mask = weights if mask is None else resized_mask(mask, size) * weights
    return jittered_grid(SAMPLES, size, generator) if mask is None else places_within(mask, SAMPLES, generator)


def samples_at(layer: str, places: Tensor, size: Size) -> Statistic:
    """The features (n, c) of a layer at places (n, 2) of an image of `size`: samples too add up over tiles."""
    at, poolings = cells(places, feature_size(layer, size)), poolings_before(layer)

    def measure(features: Tensor, tile: Tile) -> Tensor:
        corner = tile.interior.pooled(poolings)
        here = resident(at, features)
        within = (corner.top, corner.left) == (0, 0)  # of the first tile: a device needn't be told that
        return sample(features, here if within else here - features.new_tensor([corner.top, corner.left]))

    return Statistic(layer, measure)
