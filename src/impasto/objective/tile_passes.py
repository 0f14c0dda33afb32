"""The two passes of an evaluation over the tiles of a canvas: what a tile takes, and who computes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from impasto.network.engine import Engine
from impasto.network.tiled_network import Stage, TileActivations, number_kept, run_tile
from impasto.network.tiles import Tile
from impasto.objective.statistics import Statistic, Statistics, measure_tile
from impasto.objective.terms import LocalTerm, Weighting, added
from impasto.storage.devices import brought, moved, number
from impasto.storage.scratch import Scratch


@dataclass(frozen=True)
class TileSums:
    """What a tile's forward pass gives: its part of each statistic, and of the boundary activations above its stage."""

    statistics: Statistics
    boundary: Tensor | None


@dataclass(frozen=True)
class TileGradient:
    """What a tile's backward pass gives: the gradient to its input (1, c, h, w), and its part of the losses by name.

    The losses of a tile on a device whose work is queued stay there as scalars.
    """

    gradient: Tensor
    losses: Mapping[str, float | Tensor]


class Passes(Protocol):
    """One forward pass over all tiles, stage by stage, and one backward pass; results come in the tiles' order."""

    def forward(self, stage: Stage, whole: Tensor) -> Iterator[TileSums]:
        """Of each tile of a stage that starts from `whole` (1, c, h, w)."""
        ...

    def backward(self, stage: Stage, whole: Tensor, p: Statistics, from_above: Tensor | None) -> Iterator[TileGradient]:
        """Of each tile, the last one first; `p` is ∂L/∂statistic, `from_above` the gradient to the stage's boundary."""
        ...


@dataclass(frozen=True)
class TileWork:
    """What an objective wants of single tiles: statistics of whole canvases, and terms that are sums over positions."""

    engine: Engine
    statistics: tuple[Statistic, ...]
    local_terms: tuple[LocalTerm, ...]
    weighting: Weighting

    def terms_in(self, stage: Stage) -> list[LocalTerm]:
        """The terms that a stage has the layers of, by layer, whatever order the settings name those in.

        So gradients are always added up in the same order.
        """
        order = {name: number for number, name in enumerate(stage.layers)}
        mine = [term for term in self.local_terms if term.is_in(stage)]
        return sorted(mine, key=lambda term: len(order) if term.layer is None else order[term.layer])

    def targets_of(self, stage: Stage, tile: Tile, scratch: Scratch) -> list[Tensor | None]:
        """A tile's part of the targets of `terms_in(stage)`."""
        return [term.target_of(tile, scratch) for term in self.terms_in(stage)]

    def without_targets(self) -> TileWork:
        """The same work for whoever is given targets tile by tile."""
        return replace(self, local_terms=tuple(replace(term, target=None) for term in self.local_terms))

    def forward(self, stage: Stage, tile: Tile, image: Tensor, *, differentiable: bool) -> TileActivations:
        """A tile's activations with their statistics."""
        activations = run_tile(self.engine, stage, tile, image, differentiable=differentiable)
        with torch.set_grad_enabled(differentiable):
            activations.statistics = measure_tile(self.statistics, activations)
        return activations

    def sums(self, activations: TileActivations) -> TileSums:
        """What is passed on of them."""
        above = activations.stage.above
        statistics = {s: value.detach() for s, value in activations.statistics.items()}
        return TileSums(statistics, None if above is None else activations.features[above].detach())

    def backward(
        self, activations: TileActivations, targets: Sequence[Tensor | None], p: Statistics, arrived: Tensor | None
    ) -> TileGradient:
        """Back through a tile: ⟨P, its statistics⟩, its own terms, and the gradient that `arrived` from above."""
        local = self.weighting.weigh(self.local_losses(activations, targets))
        pulled = (torch.dot(p[s].flatten(), value.flatten()) for s, value in activations.statistics.items())
        loss = sum(pulled, start=local.total)
        if activations.stage.above is not None and arrived is not None:
            loss = loss + (arrived * activations.features[activations.stage.above]).sum()
        (gradient,) = torch.autograd.grad(loss, activations.input)
        return TileGradient(gradient, {name: number(loss) for name, loss in local.parts.items()})

    def local_losses(self, activations: TileActivations, targets: Sequence[Tensor | None]) -> dict[str, Tensor]:
        """A tile's part of the losses that are themselves sums over positions, in their units, by name."""
        terms = self.terms_in(activations.stage)
        return added((term.name, term.loss(activations, target)) for term, target in zip(terms, targets, strict=True))


MakePasses = Callable[[TileWork, Sequence[Stage], Scratch, int], Passes]
"""Passes for one evaluation: of the work, the stages, where whole canvases are, and bytes to keep activations in."""


class LocalPasses:
    """Both passes in this process, tile by tile.

    Where the canvas is in the host's memory and the network on a device, tiles are copied there and their gradients
    back while others are computed.
    The activations of the last tiles of the forward pass are kept for the backward one as far as `spare` bytes last;
    the others are computed again.
    """

    def __init__(self, work: TileWork, stages: Sequence[Stage], scratch: Scratch, spare: int) -> None:
        self.work, self.scratch = work, scratch
        self._left = sum(len(stage.tiles) for stage in stages)
        self._last = number_kept(stages, spare, work.engine.cost)
        self._kept: list[TileActivations] = []

    def forward(self, stage: Stage, whole: Tensor) -> Iterator[TileSums]:
        """See `Passes`."""
        found = self._forward(stage, whole)
        if stage.above is None or whole.device == self.work.engine.device:
            return found
        pairs = ((sums.statistics, sums.boundary) for sums in found if sums.boundary is not None)
        return (TileSums(statistics, boundary) for statistics, boundary in brought(pairs, whole.device))

    def backward(self, stage: Stage, whole: Tensor, p: Statistics, from_above: Tensor | None) -> Iterator[TileGradient]:
        """See `Passes`."""
        found = self._backward(stage, whole, p, from_above)
        if whole.device == self.work.engine.device:
            return found
        pairs = ((of_tile.losses, of_tile.gradient) for of_tile in found)
        return (TileGradient(gradient, losses) for losses, gradient in brought(pairs, whole.device))

    def _forward(self, stage: Stage, whole: Tensor) -> Iterator[TileSums]:
        for tile in stage.tiles:
            keep, self._left = self._left <= self._last, self._left - 1
            activations = self._run(stage, tile, whole, differentiable=keep)
            if keep:
                self._kept.append(activations)
            sums = self.work.sums(activations)
            del activations
            yield sums
            del sums  # the memory is needed for the next tile

    def _backward(
        self, stage: Stage, whole: Tensor, p: Statistics, from_above: Tensor | None
    ) -> Iterator[TileGradient]:
        device = self.work.engine.device
        for tile in reversed(stage.tiles):
            activations = self._kept.pop() if self._kept else self._run(stage, tile, whole, differentiable=True)
            arrived = None
            if stage.above is not None and from_above is not None:
                arrived = self._on_device(tile.interior_of(stage.above, from_above))
            targets = [None if t is None else moved(t, device) for t in self.work.targets_of(stage, tile, self.scratch)]
            found = self.work.backward(activations, targets, p, arrived)
            del activations, targets, arrived
            yield found
            del found  # the memory is needed for the next tile

    def _run(self, stage: Stage, tile: Tile, whole: Tensor, *, differentiable: bool) -> TileActivations:
        image = self._on_device(stage.input_of(tile, whole))
        return self.work.forward(stage, tile, image, differentiable=differentiable)

    def _on_device(self, part: Tensor) -> Tensor:
        """A part of a whole canvas or of whole features, where the network is."""
        return moved(self.scratch.read(part), self.work.engine.device)
