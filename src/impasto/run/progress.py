"""Where a run is: its canvas, its optimiser, the best it has seen; and what it takes to go on from there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import accumulate

from torch import Tensor

from impasto.errors import DivergedError, SettingsError
from impasto.images.size import resize, size_of
from impasto.objective.layer_pruning import LayerPruning
from impasto.run.optimizers import Evaluate, Evaluation, Optimizer, State
from impasto.run.state import RunState
from impasto.settings.schedule import Schedule
from impasto.storage.scratch import MEMORY, Scratch


class Run:
    """A canvas on its way by the settings of a `steering`; `scale` counts from 1 and is 0 before the first.

    `picture` makes what events may own.
    """

    def __init__(
        self,
        canvas: Tensor,
        optimizer: Optimizer,
        picture: Callable[[Tensor], Tensor],
        steering: Schedule,
        scratch: Scratch = MEMORY,
        began: float = 0.0,
    ) -> None:
        self.canvas = canvas
        self.optimizer = optimizer
        self.picture = picture
        self.steering = steering
        self.scratch = scratch
        self.began = began
        self.best = Best(canvas, picture, scratch)
        self.scale = self.step = self.restarts = 0
        self.sparing: LayerPruning | None = None
        self.sparing_state: State | None = None

    def go_on(self, state: RunState, scales: Sequence[tuple[tuple[int, int], int]]) -> None:
        """Be where `state` was, in a run of these sizes and steps; raises `SettingsError` if it isn't one of them."""
        steps = [0, *accumulate(count for _, count in scales)]
        size = size_of(state.canvas)
        if not 1 <= state.scale <= len(scales) or scales[state.scale - 1][0] != size:
            raise SettingsError(
                f"The state is of a canvas of {size[1]}×{size[0]} px at scale {state.scale}, which this run doesn't "
                "have: go on with the inputs and settings that it began with."
            )
        if not steps[state.scale - 1] < state.step <= steps[state.scale]:
            raise SettingsError(
                f"The state is of step {state.step}, which isn't one of scale {state.scale} in this run: go on with "
                "the settings that it began with."
            )
        self.canvas, self.optimizer = state.canvas, self.optimizer.restored(state.optimizer)
        self.scale, self.step, self.restarts = state.scale, state.step, state.restarts
        self.sparing_state = state.sparing
        self.best = Best(self.canvas, self.picture, self.scratch)
        if state.best is not None:
            self.best.canvas, self.best.loss, self.best.parts = (
                state.best[name] for name in ("canvas", "loss", "parts")
            )

    def state(self, seconds: float) -> RunState:
        """All of it, `seconds` after it began."""
        best = {"canvas": self.best.canvas, "loss": self.best.loss, "parts": dict(self.best.parts)}
        seen = best if math.isfinite(self.best.loss) else None
        return RunState(
            self.step,
            self.scale,
            self.restarts,
            seconds,
            self.canvas,
            seen,
            self.optimizer.state(),
            None if self.sparing is None else self.sparing.state(),
            [asdict(change) for change in self.steering.record(self.taken)],
        )

    @property
    def taken(self) -> int:
        """How many steps were taken, those that were taken again counted too."""
        return self.step + self.restarts

    def enter(self, scale: int, size: tuple[int, int], detail: Tensor | None = None) -> None:
        """Go on at another scale, (h, w) pixels, with detail like the canvas added to what was there."""
        self.scale = scale
        self.sparing_state = None
        self.canvas = resize(self.canvas, size, self.scratch)
        if detail is not None:
            self.canvas = self.scratch.map(lambda x, d: (x + d).clamp(0, 1), self.canvas, detail)
        self.optimizer = self.optimizer.resized(size)
        self.best = Best(self.canvas, self.picture, self.scratch)

    def steered(self) -> None:
        """Go on towards another objective: nothing is known of it yet."""
        self.optimizer = self.optimizer.resized(size_of(self.canvas))
        self.best = Best(self.canvas, self.picture, self.scratch)

    def recoloured(self, canvas: Tensor, picture: Callable[[Tensor], Tensor]) -> None:
        """Go on with another kind of canvas, and another way to make pictures of it."""
        self.canvas, self.picture = canvas, picture
        self.optimizer = self.optimizer.reset()
        self.best = Best(canvas, picture, self.scratch)

    def advance(self, evaluate: Evaluate) -> Evaluation:
        """Take a step; the objective where it started. Raises `DivergedError`, and nothing has moved."""
        canvas, now = self.optimizer.step(self.canvas, evaluate)
        if not self.best.finite(canvas):
            raise self.best.diverged("canvas")
        self.canvas = canvas
        self.step += 1
        return now

    def start_again(self) -> None:
        """Back to the best canvas, with shorter steps from there."""
        self.restarts += 1
        self.canvas = self.best.canvas
        self.optimizer = self.optimizer.gentler()


class Best:
    """The canvas of least loss seen so far at one scale; refuses evaluations that aren't finite."""

    def __init__(self, canvas: Tensor, picture: Callable[[Tensor], Tensor], scratch: Scratch = MEMORY) -> None:
        self.canvas = canvas
        self.picture = picture
        self.scratch = scratch
        self.loss = math.inf
        self.parts: dict[str, float] = {}

    def guarded(self, evaluate: Evaluate) -> Evaluate:
        """The same objective, which notes each canvas and raises `DivergedError` with the best one on NaN or ∞."""

        def evaluate_and_note(canvas: Tensor) -> Evaluation:
            now = evaluate(canvas)
            if not self.finite(canvas):
                raise self.diverged("canvas")
            if not math.isfinite(now.loss):
                raise self.diverged("loss")
            if not self.finite(now.gradient):
                raise self.diverged("gradient")
            if now.loss <= self.loss:
                self.canvas, self.loss, self.parts = canvas, now.loss, now.parts
            return now

        return evaluate_and_note

    def finite(self, tensor: Tensor) -> bool:
        """Whether no number in it is NaN or ∞."""
        return self.scratch.all(lambda part: part.isfinite().all(), tensor)

    def diverged(self, what: str) -> DivergedError:
        """The error for something that isn't finite."""
        return DivergedError(
            f"The {what} stopped being finite, also with shorter steps",
            "the last good picture was kept; use smaller weights or another `optimizer`",
            picture=self.picture(self.canvas),
        )
