"""An objective that leaves out the network's last layers for as long as they hold next to nothing of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from impasto.network.layers import ORDER
from impasto.objective.objective import Objective
from impasto.objective.targets import LossWeights
from impasto.run.optimizers import Evaluation, State


class LayerPruning:
    """α L_content + β L_style without the deepest layers that hold less than `share` of the loss together.

    The first evaluation and every `EVERY`th after it are whole and decide reset; in between, what was left out counts
    as it was measured last and has no gradient. A step without relu5_1 costs a fifth less, at coarse scales more.
    """

    EVERY = 20

    def __init__(self, objective: Objective, share: float, state: State | None = None) -> None:
        self.objective = objective
        self.share = share
        state = state or {"evaluations": 0, "held": {}}
        self._evaluations: int = state["evaluations"]
        self._held: dict[str, float] = dict(state["held"])
        left_out = {_layer(name) for name in self._held}
        self._cheap = objective.reweighted(without(objective.weighting, left_out)) if left_out else objective

    def state(self) -> State:
        """How many evaluations there were, and what was left out with its losses."""
        return {"evaluations": self._evaluations, "held": dict(self._held)}

    def evaluate(self, canvas: Tensor) -> Evaluation:
        """The loss, its parts and the gradient of those that weren't left out, at a canvas (1, 3, h, w)."""
        if not self.share:
            return self.objective.evaluate(canvas)
        whole = self._evaluations % self.EVERY == 0
        self._evaluations += 1
        if not whole:
            now = self._cheap.evaluate(canvas)
            return Evaluation(now.loss + sum(self._held.values()), now.parts | self._held, now.gradient)
        now = self.objective.evaluate(canvas)
        left_out = negligible(now.parts, self.share)
        self._held = {name: part for name, part in now.parts.items() if _layer(name) in left_out}
        self._cheap = self.objective.reweighted(without(self.objective.weighting, left_out))
        return now


def negligible(parts: Mapping[str, float], share: float) -> set[str]:
    """The deepest layers whose losses together are less than `share` of all, from parts named 'style/relu5_1', ….

    None of them is followed by a layer that stays: only so is there a part of the network that needn't run.
    """
    layers = sorted({_layer(name) for name in parts} & ORDER.keys(), key=ORDER.__getitem__, reverse=True)
    found: set[str] = set()
    for layer in layers:
        tried = found | {layer}
        if sum(part for name, part in parts.items() if _layer(name) in tried) >= share * sum(parts.values()):
            break
        found = tried
    return found


def without(weighting: LossWeights, layers: set[str]) -> LossWeights:
    """The same weights for the layers that stay."""
    return replace(
        weighting,
        content={name: weight for name, weight in weighting.content.items() if name not in layers},
        style={name: weight for name, weight in weighting.style.items() if name not in layers},
    )


def _layer(part: str) -> str:
    return part.rpartition("/")[2]
