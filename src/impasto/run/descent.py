"""Where a run is: its canvas, its optimiser, and the best iterate of the scale; all that changes while it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from impasto.errors import DivergedError, SettingsError
from impasto.images.size import size_of
from impasto.objective.evaluation import Evaluate, Evaluation
from impasto.objective.layer_pruning import LayerPruning
from impasto.run.optimizers.base import Optimizer, State
from impasto.run.plan import RunPlan
from impasto.run.state import RunState
from impasto.run.stop_rules import recent
from impasto.storage.scratch import MEMORY, Scratch

MakePicture = Callable[[Tensor], Tensor]
"""What makes a copy of a canvas that an event may own, (1, 3, h, w) in [0, 1]."""


class BestIterate:
    """The canvas of least loss so far at one scale; refuses evaluations that aren't finite."""

    def __init__(self, canvas: Tensor, picture: MakePicture, scratch: Scratch = MEMORY) -> None:
        self.canvas = canvas
        self.loss = math.inf
        self.parts: dict[str, float] = {}
        self._picture = picture
        self._scratch = scratch

    def wrap(self, evaluate: Evaluate) -> Evaluate:
        """The same objective, which notes each canvas and raises `DivergedError` with the best one on NaN or ∞."""

        def evaluate_and_note(canvas: Tensor) -> Evaluation:
            now = evaluate(canvas)
            if not self.is_finite(canvas):
                raise self.diverged("canvas")
            if not math.isfinite(now.loss):
                raise self.diverged("loss")
            if not self.is_finite(now.gradient):
                raise self.diverged("gradient")
            if now.loss <= self.loss:
                self.canvas, self.loss, self.parts = canvas, now.loss, now.parts
            return now

        return evaluate_and_note

    def is_finite(self, tensor: Tensor) -> bool:
        """Whether no number in it is NaN or ∞."""
        return self._scratch.all(lambda part: part.isfinite().all(), tensor)

    def diverged(self, what: str) -> DivergedError:
        """The error for something that isn't finite."""
        return DivergedError(
            f"The {what} stopped being finite, also with shorter steps",
            "the last good picture was kept; use smaller weights or another `optimizer`",
            picture=self._picture(self.canvas),
        )

    def state(self) -> State | None:
        """The canvas, its loss and the loss's parts; None before the first evaluation."""
        if not math.isfinite(self.loss):
            return None
        return {"canvas": self.canvas, "loss": self.loss, "parts": dict(self.parts)}

    def load_state(self, state: State | None) -> None:
        """Go on from where `state` was taken."""
        if state is not None:
            self.canvas, self.loss, self.parts = state["canvas"], state["loss"], state["parts"]


class Descent:
    """A canvas on its way down an objective; `scale` and `step` count from 1 and are 0 before the first.

    `pruning` is the objective with its negligible layers left out, None between two scales. `start` is the canvas that
    the scale began with, if it is kept, `taken` are the steps of the scales before, `losses` those of the last steps
    at this one.
    """

    def __init__(self, canvas: Tensor, optimizer: Optimizer, picture: MakePicture, scratch: Scratch = MEMORY) -> None:
        self.canvas, self.optimizer, self.picture = canvas, optimizer, picture
        self._scratch = scratch
        self.best = BestIterate(canvas, picture, scratch)
        self.pruning: LayerPruning | None = None
        self.scale = self.step = self.restarts = 0
        self.start: Tensor | None = None
        self.taken: tuple[int, ...] = ()
        self.losses: tuple[float, ...] = ()

    @classmethod
    def from_state(
        cls, state: RunState, optimizer: Optimizer, picture: MakePicture, scratch: Scratch = MEMORY
    ) -> Descent:
        """A descent that is where `state` was taken, by an optimiser of the same kind."""
        found = cls(state.canvas, optimizer.load_state(state.optimizer), picture, scratch)
        found.best.load_state(state.best)
        found.scale, found.step, found.restarts = state.scale, state.step, state.restarts
        found.start = state.start
        found.taken, found.losses = tuple(state.taken or ()), tuple(state.losses)
        return found

    @property
    def steps_taken(self) -> int:
        """How many steps were taken, those that were taken again counted too."""
        return self.step + self.restarts

    @property
    def steps_of_scale(self) -> int:
        """How many steps were taken at this scale."""
        return self.step - sum(self.taken)

    def advance(self, evaluate: Evaluate) -> Evaluation:
        """Take a step; the objective where it started. Raises `DivergedError`, and nothing has moved."""
        canvas, now = self.optimizer.step(self.canvas, evaluate)
        if not self.best.is_finite(canvas):
            raise self.best.diverged("canvas")
        self.canvas = canvas
        self.step += 1
        self.losses = recent(self.losses, now.loss)
        return now

    def roll_back(self) -> None:
        """Back to the best iterate, with shorter steps from there."""
        self.restarts += 1
        self.canvas, self.losses = self.best.canvas, ()
        self.optimizer = self.optimizer.with_shorter_steps()

    def begin_scale(self, scale: int, canvas: Tensor, picture: MakePicture) -> None:
        """Go on at another scale, from this canvas."""
        self.taken = (*self.taken, self.steps_of_scale) if self.scale else ()
        self.scale, self.canvas, self.picture = scale, canvas, picture
        self.pruning = None
        self.change_objective()

    def descend_by(self, pruning: LayerPruning) -> None:
        """Take up the objective of the next steps, with its negligible layers left out."""
        self.pruning = pruning

    def change_objective(self) -> None:
        """Go on towards another objective: nothing is known of it yet."""
        self.optimizer = self.optimizer.at_scale(size_of(self.canvas))
        self.best, self.losses = BestIterate(self.canvas, self.picture, self._scratch), ()

    def change_canvas(self, canvas: Tensor, picture: MakePicture) -> None:
        """Go on with another kind of canvas, and another way to make pictures of it."""
        self.canvas, self.picture = canvas, picture
        self.start = None if self.start is None else canvas
        self.optimizer = self.optimizer.reset()
        self.best, self.losses = BestIterate(canvas, picture, self._scratch), ()

    def measure_again(self, evaluate: Evaluate) -> None:
        """Forget what was noted of the best iterate, and note what another objective says of the canvas."""
        self.best = BestIterate(self.canvas, self.picture, self._scratch)
        self.best.wrap(evaluate)(self.canvas)

    def end_scale(self) -> None:
        """Go on from the best iterate."""
        self.canvas = self.best.canvas

    def forget_optimizer(self) -> None:
        """Drop what the optimiser has learnt, which takes memory and isn't needed any more."""
        self.optimizer = self.optimizer.reset()

    def state(self, seconds: float, schedule: list[dict[str, Any]]) -> RunState:
        """All of it, `seconds` after the run began, with the schedule of changed knobs."""
        return RunState(
            self.step,
            self.scale,
            self.restarts,
            seconds,
            self.canvas,
            self.best.state(),
            self.optimizer.state(),
            None if self.pruning is None else self.pruning.state(),
            schedule,
            self.start,
            self.taken,
            self.losses,
        )


def checked(state: RunState, plan: RunPlan) -> RunState:
    """The state, with the steps that each scale before took; raises `SettingsError` if it isn't one of this plan."""
    size = size_of(state.canvas)
    if not 1 <= state.scale <= len(plan.scales) or plan.scales[state.scale - 1].size != size:
        raise SettingsError(
            f"The state is of a canvas of {size[1]}×{size[0]} px at scale {state.scale}, which this run doesn't have",
            "go on with the inputs and settings that it began with",
        )
    planned, here = plan.steps[: state.scale - 1], plan.steps[state.scale - 1]
    taken = tuple(planned if state.taken is None else state.taken)
    fewer = len(taken) == len(planned) and all(1 <= t <= p for t, p in zip(taken, planned, strict=True))
    if not (fewer and sum(taken) <= state.step <= sum(taken) + here) or state.step == 0:
        raise SettingsError(
            f"The state is of step {state.step}, which isn't one of scale {state.scale} in this run",
            "go on with the settings that it began with",
        )
    return replace(state, taken=taken)
