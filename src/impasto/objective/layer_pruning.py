"""Layer pruning: an objective that leaves out the network's last layers while they hold next to nothing of the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from impasto.network.layers import ORDER
from impasto.objective.evaluation import Evaluation
from impasto.objective.objective import Objective


class LayerPruning:
    """An objective without the deepest layers that hold less than `threshold`, a share of the loss, together.

    The first evaluation and every `EVERY`th after it are whole and decide anew; in between, what was left out counts
    as it was measured last and has no gradient. A step without relu5_1 costs a fifth less, at coarse scales more.
    """

    EVERY = 20

    def __init__(self, objective: Objective, threshold: float, state: Mapping[str, Any] | None = None) -> None:
        self.objective = objective
        self.threshold = threshold
        state = state or {"evaluations": 0, "held": {}}
        self._evaluations: int = state["evaluations"]
        self._held: dict[str, float] = dict(state["held"])
        self._pruned = objective.without(self._layers(self._held)) if self._held else objective

    def state(self) -> dict[str, Any]:
        """How many evaluations there were, and what was left out with its losses."""
        return {"evaluations": self._evaluations, "held": dict(self._held)}

    def evaluate(self, canvas: Tensor) -> Evaluation:
        """The loss, its parts and the gradient of those that weren't left out, at a canvas (1, 3, h, w)."""
        if not self.threshold:
            return self.objective.evaluate(canvas)
        whole = self._evaluations % self.EVERY == 0
        self._evaluations += 1
        if not whole:
            now = self._pruned.evaluate(canvas)
            return Evaluation(now.loss + sum(self._held.values()), now.parts | self._held, now.gradient)
        now = self.objective.evaluate(canvas)
        if not math.isfinite(now.loss):  # nothing to decide by: the next evaluation is whole again
            self._evaluations -= 1
            return now
        left_out = negligible_layers(now.parts, self.objective.layers_of, self.threshold)
        self._held = {name: part for name, part in now.parts.items() if self.objective.layers_of(name) & left_out}
        self._pruned = self.objective.without(left_out)
        return now

    def _layers(self, parts: Mapping[str, float]) -> set[str]:
        return {layer for name in parts for layer in self.objective.layers_of(name)}


def negligible_layers(parts: Mapping[str, float], layers_of: Callable[[str], set[str]], threshold: float) -> set[str]:
    """The deepest layers whose parts of the loss together are less than a share `threshold` of all.

    None of them is followed by a layer that stays: only so is there a part of the network that needn't run. The first
    layer always stays, as total variation alone needs no network.
    """
    layers = sorted({layer for name in parts for layer in layers_of(name)}, key=ORDER.__getitem__, reverse=True)
    found: set[str] = set()
    for layer in layers[:-1]:
        tried = found | {layer}
        if sum(part for name, part in parts.items() if layers_of(name) & tried) >= threshold * sum(parts.values()):
            break
        found = tried
    return found
