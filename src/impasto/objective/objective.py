"""The objective: α L_content + β L_style of a canvas, its parts, and its gradient to the pixels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from impasto.images.size import Size, size_of
from impasto.losses.gatys import total_loss, total_variation, weighted_sum
from impasto.network.engine import Engine
from impasto.network.tiled_network import TileActivations, TiledNetwork, split_into_stages
from impasto.network.tiles import Window
from impasto.objective.evaluation import Evaluation
from impasto.objective.statistics import Statistics, add, in_order, measure_tile
from impasto.objective.targets import Targets
from impasto.objective.terms import TINY, Kind, LocalTerm, LossTerm
from impasto.objective.weights import LossWeights
from impasto.storage.scratch import MEMORY, Scratch


@dataclass(frozen=True)
class Score:
    """The total loss and its weighted parts, scalars that sum to it: 'content/relu4_2', 'style/relu1_1', …, 'tv'."""

    total: Tensor
    parts: Mapping[str, Tensor]


class Objective:
    """α L_content + β L_style (+ total variation) of canvases of one size, and its gradient to the pixels.

    With `tile`, no more than about a tile of that many pixels a side is in the network at a time, and loss and gradient
    are still those of the whole canvas: the style loss is a function of sums over positions, so a first pass adds the
    sums up, P = ∂L_style/∂sums, and a second pass back-propagates ⟨P, sums of a tile⟩ and the tile's own terms. What
    fits into `spare` bytes needn't be computed again for the second pass.
    """

    def __init__(
        self,
        engine: Engine,
        terms: Sequence[LossTerm],
        local_terms: Sequence[LocalTerm],
        alpha: float,
        beta: float,
        *,
        tile: int | None = None,
        spare: int = 0,
        scratch: Scratch = MEMORY,
    ) -> None:
        self.engine, self.alpha, self.beta = engine, alpha, beta
        self.tile, self.spare, self.scratch = tile, spare, scratch
        self.terms, self.local_terms = tuple(terms), tuple(local_terms)
        self._everything = (*self.terms, *self.local_terms)
        self._statistics = in_order(statistic for term in self.terms for statistic in term.statistics)

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that some term needs, each once."""
        return tuple(dict.fromkeys(layer for term in self._everything for layer in term.layers))

    def layers_of(self, part: str) -> set[str]:
        """The layers that a part of the loss needs."""
        return {layer for term in self._everything if term.name == part for layer in term.layers}

    def without(self, layers: Collection[str]) -> Objective:
        """The same objective without the terms that need one of these layers."""
        terms = [term for term in self.terms if not set(term.layers) & set(layers)]
        local = [term for term in self.local_terms if not set(term.layers) & set(layers)]
        return Objective(
            self.engine,
            terms,
            local,
            self.alpha,
            self.beta,
            tile=self.tile,
            spare=self.spare,
            scratch=self.scratch,
        )

    def score(self, canvas: Tensor) -> Score:
        """The loss of a canvas (1, 3, h, w) in [0, 1], in one pass and differentiable: for checks and experiments."""
        (stage,) = split_into_stages(size_of(canvas), self.layers)
        activations = TileActivations(stage, stage.tiles[0], canvas, self.engine.features(canvas, self.layers))
        statistics = measure_tile(self._statistics, activations)
        return self._weigh(self._losses(statistics) | self._local_losses(activations))

    def evaluate(self, canvas: Tensor) -> Evaluation:
        """The loss, its parts and its gradient at a canvas (1, 3, h, w)."""
        stages = split_into_stages(size_of(canvas), self.layers, self.tile)
        network = TiledNetwork(self.engine, stages, canvas, self.scratch, spare=self.spare)
        sums: Statistics = {}
        for activations in network.forward(keep_for_backward=True):
            activations.statistics = measure_tile(self._statistics, activations)
            sums = add(sums, {s: value.detach() for s, value in activations.statistics.items()})
            del activations  # the network needs the memory for the next tile
        sums = {s: value.requires_grad_() for s, value in sums.items()}
        whole = self._weigh(self._losses(sums))
        p = dict(zip(sums, torch.autograd.grad(whole.total, list(sums.values())), strict=True)) if sums else {}
        parts = {name: part.item() for name, part in whole.parts.items()}

        def loss_of_tile(activations: TileActivations) -> Tensor:
            local = self._weigh(self._local_losses(activations))
            for name, loss in local.parts.items():
                parts[name] = parts.get(name, 0.0) + loss.item()
            measured = activations.statistics or measure_tile(self._statistics, activations)
            return sum(((p[s] * value).sum() for s, value in measured.items()), start=local.total)

        gradient = network.backward(loss_of_tile)
        return Evaluation(sum(parts.values()), {name: parts[name] for name in self._names()}, gradient)

    def _losses(self, statistics: Statistics) -> dict[str, Tensor]:
        """The losses of a canvas's statistics in their units, regions added up, by name."""
        found: dict[str, Tensor] = {}
        for term in self.terms:
            loss = term.loss(statistics)
            found[term.name] = found[term.name] + loss if term.name in found else loss
        return found

    def _local_losses(self, activations: TileActivations) -> dict[str, Tensor]:
        """A tile's part of the losses that are themselves sums over positions, by name, as `_losses` has them."""
        # By layer, whatever order the settings name them in: so gradients are always added up in the same order.
        mine = [term for term in self.local_terms if term.is_in(activations)]
        order = {name: number for number, name in enumerate(activations.stage.layers)}
        mine.sort(key=lambda term: len(order) if term.layer is None else order[term.layer])
        found: dict[str, Tensor] = {}
        for term in mine:
            loss = term.loss(activations)
            found[term.name] = found[term.name] + loss if term.name in found else loss
        return found

    def _names(self) -> list[str]:
        """The parts in the order in which they are told: content, style, total variation."""
        return [name for kind in Kind for name in self._weights(kind)]

    def _weights(self, kind: Kind) -> dict[str, float]:
        """The weight of each part; terms of several regions share a name, and their layer's weight."""
        return {term.name: term.weight for term in self._everything if term.kind is kind}

    def _weigh(self, losses: Mapping[str, Tensor]) -> Score:
        """The total of these losses, which may be some of all, and each with its weight. Gatys et al. 2015, eq. 7."""
        content, style, tv = (
            {name: weight for name, weight in self._weights(kind).items() if name in losses} for kind in Kind
        )
        total = total_loss(
            weighted_sum([losses[name] for name in content], list(content.values())),
            weighted_sum([losses[name] for name in style], list(style.values())),
            self.alpha,
            self.beta,
        )
        factors = {name: self.alpha * weight for name, weight in content.items()}
        factors |= {name: self.beta * weight for name, weight in style.items()}
        for name, weight in tv.items():
            factors[name] = weight
            total = total + weight * losses[name]
        return Score(total, {name: factor * losses[name] for name, factor in factors.items()})


@torch.no_grad()
def make_objective(
    engine: Engine,
    targets: Targets,
    weights: LossWeights,
    size: Size,
    *,
    normalized: bool,
    matches: Sequence[Tensor] | None = None,
    tile: int | None = None,
    spare: int = 0,
    scratch: Scratch = MEMORY,
) -> Objective:
    """How far canvases of `size` are from their targets.

    `normalized`, each loss is divided by what it measures on this pair of images, so that a weight means the same on
    every pair and size: see `StyleLoss.terms` and `ContentLoss.terms`; total variation becomes a multiple of
    `Targets.variation_unit`. `matches` are of `Targets.neighbours`: None for the content's.
    """
    content, style = targets.content_loss, targets.style_loss
    terms = [
        *content.terms(targets.content, weights.content, normalized=normalized),
        *style.terms(targets.styles, weights.style, weights.fraction, normalized=normalized),
    ]
    local = [*content.local_terms(targets.content, weights.content, scratch, normalized=normalized)]
    if targets.neighbours is not None:
        local += targets.neighbours.terms(weights.style, weights.fraction, matches)
    if weights.tv:
        counts = bool(weights.style) and weights.beta > 0
        variation = targets.variation_unit(weights.fraction) if counts else targets.variation
        unit = max(variation, TINY) if normalized else 1.0
        local_weights = None if targets.local is None else targets.local.fraction
        measure = partial(_variation_of_tile, size, local_weights)
        local.append(LocalTerm(Kind.VARIATION, "tv", None, measure, weights.tv, unit))
    return Objective(engine, terms, local, weights.alpha, weights.beta, tile=tile, spare=spare, scratch=scratch)


def _variation_of_tile(size: Size, weights: Tensor | None, activations: TileActivations) -> Tensor:
    """The differences that begin within a tile's interior, with the weights (1, 1, h, w) of the canvas's pixels."""
    interior, padded = activations.tile.interior, activations.tile.padded
    next_too = Window(interior.top, interior.left, min(interior.bottom + 1, size[0]), min(interior.right + 1, size[1]))
    begin = (interior.bottom - interior.top, interior.right - interior.left)
    image = next_too.relative_to(padded).crop(activations.input)
    return total_variation(image, begin, None if weights is None else interior.crop(weights).to(image))
