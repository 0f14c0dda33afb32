"""Statistics of images: what is summed over a layer's positions, and so adds up over tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.images.size import size_of
from impasto.network.engine import Engine
from impasto.network.layers import ORDER
from impasto.network.tiled_network import TileActivations, allocate_features, run_stages, split_into_stages
from impasto.network.tiles import Tile
from impasto.storage.scratch import MEMORY, Scratch


@dataclass(frozen=True, eq=False)
class Statistic:
    """Something measured of a layer's features in one region of an image: a sum over positions.

    `measure` takes the features (1, c, h, w) of a tile's interior and the tile, and gives the tile's part of the sum.
    """

    layer: str
    measure: Callable[[Tensor, Tile], Tensor]


Statistics = dict[Statistic, Tensor]
"""What was measured of an image, or of some of its tiles."""


def in_order(statistics: Iterable[Statistic]) -> tuple[Statistic, ...]:
    """The statistics by their layers' order in the network."""
    return tuple(sorted(statistics, key=lambda statistic: ORDER[statistic.layer]))


def measure_tile(statistics: Sequence[Statistic], activations: TileActivations) -> Statistics:
    """A tile's part of each of these statistics whose layer is in the tile's stage of the network."""
    layers = set(activations.stage.layers)
    return {s: s.measure(activations.features[s.layer], activations.tile) for s in statistics if s.layer in layers}


def add(total: Mapping[Statistic, Tensor], more: Mapping[Statistic, Tensor]) -> Statistics:
    """The sums of both."""
    return {**total, **{s: total[s] + part if s in total else part for s, part in more.items()}}


@torch.no_grad()
def extract_statistics(
    engine: Engine,
    image: Tensor,
    statistics: Sequence[Statistic],
    features: Iterable[str] = (),
    *,
    tile: int | None = None,
    scratch: Scratch = MEMORY,
) -> tuple[Statistics, dict[str, Tensor]]:
    """Statistics of an image (1, 3, h, w), and its features (1, c, h', w') at the layers named in `features`.

    With `tile`, the network is given no more than about a tile of that many pixels a side at a time.
    """
    size, wanted = size_of(image), set(features)
    stages = split_into_stages(size, (*(s.layer for s in statistics), *wanted), tile)
    found: Statistics = {}
    whole: dict[str, Tensor] = {}
    for activations in run_stages(engine, stages, image, scratch):
        found = add(found, measure_tile(statistics, activations))
        for name in (name for name in activations.stage.layers if name in wanted):
            if name not in whole:
                whole[name] = allocate_features(name, activations.features[name], size, scratch, image.device)
            scratch.write(activations.tile.interior_of(name, whole[name]), activations.features[name])
    return found, whole
