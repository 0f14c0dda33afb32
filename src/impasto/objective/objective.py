"""The objective: α L_content + β L_style of a canvas, its parts, and its gradient to the pixels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import torch
from torch import Tensor

from impasto.images.size import Size, size_of
from impasto.network.engine import Engine
from impasto.network.tiled_network import Boundary, Stage, TileActivations, split_into_stages, trim, zeros_like
from impasto.objective.evaluation import Evaluation, evaluation_of_parts
from impasto.objective.statistics import Statistics, add, in_order, measure_tile
from impasto.objective.targets import Targets
from impasto.objective.terms import TINY, Kind, LocalTerm, LossTerm, Score, Weighting, added
from impasto.objective.tile_passes import LocalPasses, MakePasses, Passes, TileWork
from impasto.objective.variation import variation_of_tile
from impasto.objective.weights import LossWeights
from impasto.storage.devices import number
from impasto.storage.scratch import MEMORY, Scratch


class Objective:
    """α L_content + β L_style (+ total variation) of canvases of one size, and its gradient to the pixels.

    With `tile`, no more than about a tile of that many pixels a side is in the network at a time, and loss and gradient
    are still those of the whole canvas: the style loss is a function of sums over positions, so a first pass adds the
    sums up, P = ∂L_style/∂sums, and a second pass back-propagates ⟨P, sums of a tile⟩ and the tile's own terms. What
    fits into `spare` bytes needn't be computed again for the second pass. `passes` says who computes the tiles.
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
        passes: MakePasses = LocalPasses,
    ) -> None:
        self.engine, self.alpha, self.beta = engine, alpha, beta
        self.tile, self.spare, self.scratch, self.passes = tile, spare, scratch, passes
        self.terms, self.local_terms = tuple(terms), tuple(local_terms)
        self._everything = (*self.terms, *self.local_terms)
        self._weighting = Weighting.of(self._everything, alpha, beta)
        statistics = in_order(statistic for term in self.terms for statistic in term.statistics)
        self._work = TileWork(engine, statistics, self.local_terms, self._weighting)

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
            passes=self.passes,
        )

    def score(self, canvas: Tensor) -> Score:
        """The loss of a canvas (1, 3, h, w) in [0, 1], in one pass and differentiable: for checks and experiments."""
        (stage,) = split_into_stages(size_of(canvas), self.layers)
        activations = TileActivations(stage, stage.tiles[0], canvas, self.engine.features(canvas, self.layers))
        statistics = measure_tile(self._work.statistics, activations)
        local = self._work.local_losses(activations, self._work.targets_of(stage, stage.tiles[0], self.scratch))
        return self._weighting.weigh(self._losses(statistics) | local)

    def evaluate(self, canvas: Tensor) -> Evaluation:
        """The loss, its parts and its gradient at a canvas (1, 3, h, w)."""
        stages = split_into_stages(size_of(canvas), self.layers, self.tile)
        passes = self.passes(self._work, stages, self.scratch, self.spare)
        sums, boundaries = self._forward(passes, stages, canvas)
        sums = {s: value.requires_grad_() for s, value in sums.items()}
        whole = self._weighting.weigh(self._losses(sums))
        p = dict(zip(sums, torch.autograd.grad(whole.total, list(sums.values())), strict=True)) if sums else {}
        parts = {name: number(part) for name, part in whole.parts.items()}
        gradient, local = self._backward(passes, stages, boundaries, p)
        for name, loss in local:
            parts[name] = parts.get(name, 0.0) + loss
        return evaluation_of_parts(parts, self._weighting.names, gradient)

    def _forward(self, passes: Passes, stages: Sequence[Stage], canvas: Tensor) -> tuple[Statistics, list[Tensor]]:
        """The statistics of a canvas, and what each stage starts from: the canvas itself and boundary activations."""
        sums: Statistics = {}
        starts = [canvas]
        for stage in stages:
            boundary = Boundary(stage, size_of(canvas), self.scratch, canvas.device)
            for tile, found in zip(stage.tiles, passes.forward(stage, starts[-1]), strict=True):
                sums = add(sums, found.statistics)
                boundary.add(tile, found.boundary)
            if boundary.whole is not None:
                starts.append(boundary.whole)
                trim(self.scratch)
        return sums, starts

    def _backward(
        self, passes: Passes, stages: Sequence[Stage], starts: Sequence[Tensor], p: Statistics
    ) -> tuple[Tensor, list[tuple[str, float | Tensor]]]:
        """The gradient to the canvas of ⟨P, sums⟩ and all terms of tiles, and those terms' losses, tile by tile."""
        losses: list[tuple[str, float | Tensor]] = []
        from_above: Tensor | None = None
        for stage, start in zip(reversed(stages), reversed(starts), strict=True):
            gradient = zeros_like(start, self.scratch)
            for tile, found in zip(reversed(stage.tiles), passes.backward(stage, start, p, from_above), strict=True):
                self.scratch.write(stage.input_of(tile, gradient), found.gradient, add=True)
                losses += found.losses.items()
            from_above = gradient
            trim(self.scratch)
        assert from_above is not None, "there is at least one stage"
        return from_above, losses

    def _losses(self, statistics: Statistics) -> dict[str, Tensor]:
        """The losses of a canvas's statistics in their units, regions added up, by name."""
        return added((term.name, term.loss(statistics)) for term in self.terms)


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
    passes: MakePasses = LocalPasses,
    more: Sequence[LocalTerm] = (),
) -> Objective:
    """How far canvases of `size` are from their targets.

    `normalized`, each loss is divided by what it measures on this pair of images, so that a weight means the same on
    every pair and size: see `StyleLoss.terms` and `ContentLoss.terms`; total variation becomes a multiple of
    `Targets.variation_unit`. `matches` are of `Targets.neighbours`: None for the content's. `more` are terms beside
    these.
    """
    content, style = targets.content_loss, targets.style_loss
    terms = [
        *content.terms(targets.content, weights.content, normalized=normalized),
        *style.terms(targets.styles, weights.style, weights.fraction, normalized=normalized),
    ]
    local = [*content.local_terms(targets.content, weights.content, scratch, normalized=normalized), *more]
    if targets.neighbours is not None:
        local += targets.neighbours.terms(weights.style, weights.fraction, matches)
    if weights.tv:
        counts = bool(weights.style) and weights.beta > 0
        variation = targets.variation_unit(weights.fraction) if counts else targets.variation
        unit = max(variation, TINY) if normalized else 1.0
        local_weights = None if targets.local is None else targets.local.fraction
        measure = partial(variation_of_tile, size, local_weights)
        local.append(LocalTerm(Kind.VARIATION, "tv", None, measure, weights.tv, unit))
    return Objective(
        engine, terms, local, weights.alpha, weights.beta, tile=tile, spare=spare, scratch=scratch, passes=passes
    )
