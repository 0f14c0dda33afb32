"""Loss terms: the losses that an objective is the weighted sum of, each with its target, weight and unit; their sum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from torch import Tensor

from impasto.losses.gatys import total_loss, weighted_sum
from impasto.network.tiled_network import Stage, TileActivations
from impasto.network.tiles import Tile
from impasto.objective.statistics import Statistic, Statistics
from impasto.storage.scratch import Scratch

TINY = 1e-12
"""Least measure that a loss is divided by, for images in which no feature of a layer is above zero."""


class Kind(StrEnum):
    """What a term belongs to: α multiplies content, β style; the others have a weight of their own."""

    CONTENT = "content"
    STYLE = "style"
    VARIATION = "tv"
    TEMPORAL = "temporal"


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

    `layer` is the one that it needs, None where it is a sum over the pixels. `target` are features of a whole image at
    that layer (1, c, h, w) that `measure` is given the tile's interior of, None where it needs none.
    """

    kind: Kind
    name: str
    layer: str | None
    measure: Callable[[TileActivations, Tensor | None], Tensor]
    weight: float = 1.0
    unit: float = 1.0
    target: Tensor | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that it needs."""
        return () if self.layer is None else (self.layer,)

    def is_in(self, stage: Stage) -> bool:
        """Whether a stage of the network has what it needs."""
        return stage.below is None if self.layer is None else self.layer in stage.layers

    def target_of(self, tile: Tile, scratch: Scratch) -> Tensor | None:
        """A tile's interior of its target."""
        if self.target is None or self.layer is None:
            return None
        return scratch.read(tile.interior_of(self.layer, self.target))

    def loss(self, activations: TileActivations, target: Tensor | None) -> Tensor:
        """A tile's part of the loss in its unit."""
        return self.measure(activations, target) / self.unit


@dataclass(frozen=True)
class Score:
    """The total loss and its weighted parts, scalars that sum to it: 'content/relu4_2', 'style/relu1_1', …, 'tv'."""

    total: Tensor
    parts: Mapping[str, Tensor]


@dataclass(frozen=True)
class Weighting:
    """α, β, and by kind the weight of each part of the loss; those of several regions share a name, and a weight."""

    alpha: float
    beta: float
    weights: Mapping[Kind, Mapping[str, float]]

    @classmethod
    def of(cls, terms: Iterable[LossTerm | LocalTerm], alpha: float, beta: float) -> Weighting:
        """That of these terms."""
        terms = tuple(terms)
        return cls(
            alpha, beta, {kind: {term.name: term.weight for term in terms if term.kind is kind} for kind in Kind}
        )

    @property
    def names(self) -> list[str]:
        """The parts in the order in which they are told: content, style, total variation, earlier frames."""
        return [name for kind in Kind for name in self.weights[kind]]

    def weigh(self, losses: Mapping[str, Tensor]) -> Score:
        """The total of these losses, which may be some of all, and each with its weight. Gatys et al. 2015, eq. 7."""
        content, style, *others = (
            {name: weight for name, weight in self.weights[kind].items() if name in losses} for kind in Kind
        )
        total = total_loss(
            weighted_sum([losses[name] for name in content], list(content.values())),
            weighted_sum([losses[name] for name in style], list(style.values())),
            self.alpha,
            self.beta,
        )
        factors = {name: self.alpha * weight for name, weight in content.items()}
        factors |= {name: self.beta * weight for name, weight in style.items()}
        for name, weight in (one for weights in others for one in weights.items()):
            factors[name] = weight
            total = total + weight * losses[name]
        return Score(total, {name: factor * losses[name] for name, factor in factors.items()})


def added(losses: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Losses by name; those of one name, of several regions, added up."""
    found: dict[str, Tensor] = {}
    for name, loss in losses:
        found[name] = found[name] + loss if name in found else loss
    return found


def compare_with(compare: Callable[[Sequence[Tensor], Any], Tensor], target: Any, values: Sequence[Tensor]) -> Tensor:
    """`compare(values, target)`, with what is known first in front."""
    return compare(values, target)
