"""Adam on the pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.images.size import Size
from impasto.objective.evaluation import Evaluate, Evaluation
from impasto.run.optimizers.base import SHORTER, State
from impasto.storage.devices import queued
from impasto.storage.scratch import MEMORY, Scratch, resample


class Adam:
    """Kingma & Ba 2014, algorithm 1, clamped to [0, 1].

    β₂ = 0.99, since the gradients here carry no noise and a shorter memory follows the changing curvature.
    """

    BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8

    def __init__(self, learning_rate: float, scratch: Scratch = MEMORY) -> None:
        self.learning_rate = learning_rate
        self.scratch = scratch
        self.steps = 0
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas, at most about `learning_rate` away in each pixel."""
        now = evaluate(canvas)
        if self.first is None or self.second is None:
            self.first, self.second = (self.scratch.zeros(canvas.shape, canvas) for _ in range(2))
        self.steps += 1
        for first, second, g in self.scratch.pieces(self.first, self.second, now.gradient):
            first.lerp_(g, 1 - self.BETA1)
            second.lerp_(g.square(), 1 - self.BETA2)
        shrunk, spread_of = 1 - self.BETA1**self.steps, 1 - self.BETA2**self.steps
        total = self.scratch.total if queued(canvas.device) else self.scratch.sum
        mean_spread = total(lambda v: (v / spread_of).sqrt().sum(), self.second) / canvas.numel()
        # The gradient's scale is arbitrary here (α and β are), so ε is relative to it.
        epsilon = self.EPSILON + 1e-3 * mean_spread

        def moved(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
            spread = (second / spread_of).sqrt()
            return (x - self.learning_rate * (first / shrunk) / (spread + epsilon)).clamp(0, 1)

        return self.scratch.map(moved, canvas, self.first, self.second), now

    def at_scale(self, size: Size) -> Adam:
        """The same moments, interpolated."""
        new = Adam(self.learning_rate, self.scratch)
        if self.first is not None and self.second is not None:
            new.steps = self.steps
            new.first = resample(self.first, size, "bilinear", self.scratch)
            new.second = resample(self.second, size, "bilinear", self.scratch)
        return new

    def reset(self) -> Adam:
        """A new start: moments of three channels say nothing of a grey canvas."""
        return Adam(self.learning_rate, self.scratch)

    def with_shorter_steps(self) -> Adam:
        """A new start with a lower learning rate: the moments may not be finite any more."""
        return Adam(SHORTER * self.learning_rate, self.scratch)

    def state(self) -> State:
        """The learning rate, the count of steps and copies of the two moments, which change in place."""
        first, second = (None if m is None else self.scratch.map(torch.clone, m) for m in (self.first, self.second))
        return {"learning_rate": self.learning_rate, "steps": self.steps, "first": first, "second": second}

    def load_state(self, state: State) -> Adam:
        """Adam with those moments."""
        new = Adam(state["learning_rate"], self.scratch)
        new.steps = state["steps"]
        if state["first"] is not None:
            new.first, new.second = (self.scratch.map(torch.clone, state[name]) for name in ("first", "second"))
        return new
