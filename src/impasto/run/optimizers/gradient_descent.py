"""Gradient descent on the pixels, with the step's length found by backtracking."""

from __future__ import annotations

from torch import Tensor

from impasto.images.size import Size
from impasto.objective.evaluation import Evaluate, Evaluation
from impasto.run.optimizers.base import FIRST_MOVE, SHORTER, State, rms
from impasto.storage.scratch import MEMORY, Scratch


class GradientDescent:
    """x ← x − t ∇L, clamped to [0, 1], with t found by backtracking so that the loss never rises.

    Armijo's rule along the projection arc (Bertsekas 1976, eq. 12). An accepted step lets the next one try twice its
    length. Each trial costs one evaluation; the accepted trial's serves the step after it.
    """

    SUFFICIENT_DECREASE = 1e-4
    MOST_TRIALS = 30

    def __init__(self, first_move: float = FIRST_MOVE, scratch: Scratch = MEMORY) -> None:
        self.first_move = first_move
        self.scratch = scratch
        self.length: float | None = None
        self._here: tuple[Tensor, Evaluation] | None = None

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas; the same one when no shorter step lowers the loss."""
        now = self._here[1] if self._here is not None and self._here[0] is canvas else evaluate(canvas)
        self._here = (canvas, now)
        if self.scratch.all(lambda g: ~g.any(), now.gradient):
            return canvas, now
        if self.length is None:
            self.length = self.first_move / rms(now.gradient, self.scratch)
        for _ in range(self.MOST_TRIALS):
            t = self.length
            trial = self.scratch.map(lambda x, g, t=t: (x - t * g).clamp(0, 1), canvas, now.gradient)
            moved = self.scratch.sum(lambda x, y: (y - x).square().sum(), canvas, trial)
            there = evaluate(trial)
            if there.loss <= now.loss - self.SUFFICIENT_DECREASE * moved / t:
                self._here = (trial, there)
                self.length *= 2
                return trial, now
            self.length /= 2
        return canvas, now

    def at_scale(self, size: Size) -> GradientDescent:
        """A new start: the best step length depends on the scale."""
        return self.reset()

    def reset(self) -> GradientDescent:
        """A new start."""
        return GradientDescent(self.first_move, self.scratch)

    def with_shorter_steps(self) -> GradientDescent:
        """A new start with a shorter first move."""
        return GradientDescent(SHORTER * self.first_move, self.scratch)

    def state(self) -> State:
        """The step length to try, and the accepted trial, whose evaluation serves the next step."""
        here = None
        if self._here is not None:
            canvas, now = self._here
            here = {"canvas": canvas, "gradient": now.gradient, "loss": now.loss, "parts": dict(now.parts)}
        return {"first_move": self.first_move, "length": self.length, "here": here}

    def load_state(self, state: State) -> GradientDescent:
        """Gradient descent with that step length and trial."""
        new = GradientDescent(state["first_move"], self.scratch)
        new.length = state["length"]
        if (here := state["here"]) is not None:
            new._here = here["canvas"], Evaluation(here["loss"], here["parts"], here["gradient"])
        return new
