"""Loss terms: the losses that an objective is the weighted sum of, each with its target, weight and unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from torch import Tensor

from impasto.network.tiled_network import TileActivations
from impasto.objective.statistics import Statistic, Statistics

TINY = 1e-12
"""Least measure that a loss is divided by, for images in which no feature of a layer is above zero."""


class Kind(StrEnum):
    """What a term belongs to: α multiplies content, β style; total variation has a weight of its own."""

    CONTENT = "content"
    STYLE = "style"
    VARIATION = "tv"


@dataclass(frozen=True, eq=False)
class LossTerm:
    """A loss that is a function of statistics, on one layer or a set of layers and in one region of the canvas.

    `name` is what its part of the loss is called ('style/relu1_1'); the terms of several regions share one, and
    `share` is the region's. `weight` is the layer's (w_l), `unit` what the loss is divided by. `compare` takes the
    values of `statistics`, in their order, to the loss, a scalar; it has the target.
    """

    kind: Kind
    name: str
    statistics: tuple[Statistic, ...]
    compare: Callable[[Sequence[Tensor]], Tensor]
    weight: float = 1.0
    share: float = 1.0
    unit: float = 1.0

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that it needs."""
        return tuple(statistic.layer for statistic in self.statistics)

    def loss(self, values: Statistics) -> Tensor:
        """The region's share of the loss in its unit, from a whole canvas's statistics."""
        return self.share * self.compare([values[statistic] for statistic in self.statistics]) / self.unit


@dataclass(frozen=True, eq=False)
class LocalTerm:
    """A loss that is itself a sum over positions: `measure` gives a tile's part of it; the rest as in `LossTerm`.

    `layer` is the one that it needs, None where it is a sum over the pixels.
    """

    kind: Kind
    name: str
    layer: str | None
    measure: Callable[[TileActivations], Tensor]
    weight: float = 1.0
    unit: float = 1.0

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that it needs."""
        return () if self.layer is None else (self.layer,)

    def is_in(self, activations: TileActivations) -> bool:
        """Whether a tile's stage of the network has what it needs."""
        stage = activations.stage
        return stage.below is None if self.layer is None else self.layer in stage.layers

    def loss(self, activations: TileActivations) -> Tensor:
        """A tile's part of the loss in its unit."""
        return self.measure(activations) / self.unit


def compare_with(compare: Callable[[Sequence[Tensor], Any], Tensor], target: Any, values: Sequence[Tensor]) -> Tensor:
    """`compare(values, target)`, with what is known first in front."""
    return compare(values, target)
