"""Weighted losses with fixed targets: what a canvas should become, and how far it is from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.images.size import size_of
from impasto.losses import content_loss, total_loss, total_variation, weighted_sum
from impasto.network.engine import Engine
from impasto.network.stages import TileActivations, TiledNetwork, split_into_stages
from impasto.network.tiles import Window
from impasto.objective.targets import Goals, LossWeights, Targets, added
from impasto.run.optimizers import Evaluation
from impasto.storage.scratch import MEMORY, Scratch


@dataclass(frozen=True)
class Score:
    """The total loss and its weighted parts, scalars that sum to it: 'content/relu4_2', 'style/relu1_1', …, 'tv'."""

    total: Tensor
    parts: Mapping[str, Tensor]


class Objective:
    """α L_content + β L_style (+ total variation) of a canvas, and its gradient to the pixels.

    With `tile`, no more than about a tile of that many pixels a side is in the network at a time, and loss and gradient
    are still those of the whole canvas: the style loss is a function of sums over positions, so a first pass adds the
    sums up, P = ∂L_style/∂sums, and a second pass back-propagates ⟨P, sums of a tile⟩ and the tile's own terms. What
    fits into `spare` bytes needn't be computed again for the second pass.
    """

    def __init__(
        self,
        engine: Engine,
        weighting: LossWeights,
        targets: Targets,
        *,
        tile: int | None = None,
        spare: int = 0,
        scratch: Scratch = MEMORY,
    ) -> None:
        self.engine = engine
        self.weighting = weighting
        self.targets = targets
        self.tile = tile
        self.spare = spare
        self.scratch = scratch
        self.goals = Goals(targets, weighting)

    def reweighted(self, weighting: LossWeights) -> Objective:
        """The same targets under other weights or another strength, for layers that the targets have."""
        return Objective(self.engine, weighting, self.targets, tile=self.tile, spare=self.spare, scratch=self.scratch)

    def score(self, canvas: Tensor) -> Score:
        """The loss of a canvas (1, 3, h, w) in [0, 1], seen whole, differentiable to its pixels."""
        (stage,) = split_into_stages(size_of(canvas), self.weighting.layers)
        look = TileActivations(stage, stage.tiles[0], canvas, self.engine.features(canvas, self.weighting.layers))
        sums = self.targets.gauge.measure(look)
        return self._weigh(self.goals.losses(sums) | self._local_losses(look, size_of(canvas)))

    def evaluate(self, canvas: Tensor) -> Evaluation:
        """The loss, its parts and its gradient at a canvas (1, 3, h, w)."""
        size, gauge = size_of(canvas), self.targets.gauge
        stages = split_into_stages(size, self.weighting.layers, self.tile)
        network = TiledNetwork(self.engine, stages, canvas, self.scratch, spare=self.spare)
        sums: dict[str, Tensor] = {}
        for look in network.forward(keep_for_backward=True):
            look.statistics = gauge.measure(look)
            sums = added(sums, {name: measured.detach() for name, measured in look.statistics.items()})
            del look  # the network needs the memory for the next tile
        sums = {name: total.requires_grad_() for name, total in sums.items()}
        whole = self._weigh(self.goals.losses(sums))
        pull = dict(zip(sums, torch.autograd.grad(whole.total, list(sums.values())), strict=True)) if sums else {}
        parts = {name: part.item() for name, part in whole.parts.items()}

        def share(look: TileActivations) -> Tensor:
            local = self._weigh(self._local_losses(look, size))
            for name, loss in local.parts.items():
                parts[name] = parts.get(name, 0.0) + loss.item()
            measured = look.statistics or gauge.measure(look)
            return sum(((pull[name] * measured[name]).sum() for name in measured), start=local.total)

        gradient = network.backward(share)
        return Evaluation(sum(parts.values()), {name: parts[name] for name in self._names()}, gradient)

    def _local_losses(self, look: TileActivations, size: tuple[int, int]) -> dict[str, Tensor]:
        """The losses that are sums over places, in their units; a tile's share, for a canvas of `size` (h, w)."""
        photo = self.targets.content
        losses = {
            f"content/{name}": content_loss(
                look.features[name], self.scratch.read(look.tile.interior_of(name, photo[name]))
            )
            for name in look.stage.layers
            if name in photo
        }
        if self.weighting.tv and look.stage.below is None:
            core, seen = look.tile.interior, look.tile.padded
            next_too = Window(core.top, core.left, min(core.bottom + 1, size[0]), min(core.right + 1, size[1]))
            losses["tv"] = total_variation(
                next_too.relative_to(seen).crop(look.input), (core.bottom - core.top, core.right - core.left)
            )
        return {name: loss / self.weighting.unit(name) for name, loss in losses.items()}

    def _content(self) -> dict[str, float]:
        """The weights of the content losses; one that compares all layers at once has theirs within it."""
        joint = self.targets.gauge.manner.content
        layers = self.weighting.content
        return {f"content/{joint}": 1.0} if joint.joint and layers else {f"content/{n}": w for n, w in layers.items()}

    def _style(self) -> dict[str, float]:
        joint = self.targets.gauge.manner.style
        layers = self.weighting.style
        return {f"style/{joint}": 1.0} if joint.joint and layers else {f"style/{n}": w for n, w in layers.items()}

    def _names(self) -> list[str]:
        return [*self._content(), *self._style(), *["tv"] * bool(self.weighting.tv)]

    def _weigh(self, losses: Mapping[str, Tensor]) -> Score:
        """The total of these losses, which may be some of all, and each with its weight."""
        w = self.weighting
        content = {name: weight for name, weight in self._content().items() if name in losses}
        style = {name: weight for name, weight in self._style().items() if name in losses}
        total = total_loss(
            weighted_sum([losses[name] for name in content], list(content.values())),
            weighted_sum([losses[name] for name in style], list(style.values())),
            w.alpha,
            w.beta,
        )
        factors = {name: w.alpha * weight for name, weight in content.items()}
        factors |= {name: w.beta * weight for name, weight in style.items()}
        if "tv" in losses:
            factors["tv"] = w.tv
            total = total + w.tv * losses["tv"]
        return Score(total, {name: factor * losses[name] for name, factor in factors.items()})
