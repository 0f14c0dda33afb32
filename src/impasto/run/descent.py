"""Where a run is: its canvas, its optimiser, and the best iterate of the scale; all that changes while it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from impasto.errors import DivergedError, SettingsError
from impasto.images.size import size_of
from impasto.objective.evaluation import Evaluate, Evaluation, QueuedEvaluation
from impasto.objective.layer_pruning import LayerPruning
from impasto.run.optimizers.base import Optimizer, State
from impasto.run.plan import RunPlan
from impasto.run.state import RunState
from impasto.run.stop_rules import recent
from impasto.storage.devices import finish, read
from impasto.storage.scratch import MEMORY, Scratch

MakePicture = Callable[[Tensor], Tensor]
"""What makes a copy of a canvas that an event may own, (1, 3, h, w) in [0, 1]."""


WATCHED = 10
"""Steps of a scale after which a device is waited for, to see whether the canvas is still finite."""


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
        """Whether no number in it is NaN or ∞: then their sum isn't either, unless it is too large for float32."""
        finite = self._scratch.all(lambda part: part.sum().isfinite(), tensor)
        return finite or self._scratch.all(lambda part: part.isfinite().all(), tensor)

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


class QueuedBest(BestIterate):
    """The same on a device whose work is queued: it is noted there which canvas is best, and nobody waits.

    `loss` and `parts` are waited for. What isn't finite is no best iterate; it is found by `Descent.watch`.
    """

    def __init__(self, canvas: Tensor, picture: MakePicture, scratch: Scratch = MEMORY) -> None:
        super().__init__(canvas, picture, scratch)
        self._noted: QueuedEvaluation | None = None

    def wrap(self, evaluate: Evaluate) -> Evaluate:
        """The same objective, which notes each canvas."""

        def evaluate_and_note(canvas: Tensor) -> Evaluation:
            now = evaluate(canvas)
            assert isinstance(now, QueuedEvaluation), "whoever makes the descent knows that the device queues"
            least = self._least(now)
            unfit = self._scratch.total(lambda g: g.isfinite().logical_not().any(), now.gradient)
            better = (now.total <= least[0]) & (unfit == 0)  # NaN isn't less
            self._noted = QueuedEvaluation(
                torch.where(better, now.numbers, least), now.names, now.gradient.new_empty(0)
            )
            self.canvas = self._scratch.map(lambda x, y: torch.where(better, x, y), canvas, self.canvas)
            return now

        return evaluate_and_note

    def _least(self, now: QueuedEvaluation) -> Tensor:
        """The numbers of the best iterate, of a loss of ∞ before there is one."""
        if self._noted is not None and self._noted.names == now.names:
            return self._noted.numbers
        values = [self.loss, *(self.parts.get(name, math.inf) for name in now.names)]
        return torch.tensor(values, dtype=now.numbers.dtype).to(now.numbers.device)

    def read(self) -> None:
        """Wait for the numbers, and have them in `loss` and `parts`."""
        if self._noted is not None:
            self.loss, self.parts = self._noted.loss, self._noted.parts

    def state(self) -> State | None:
        """See `BestIterate`; waits for the device."""
        self.read()
        return super().state()


class Descent:
    """A canvas on its way down an objective; `scale` and `step` count from 1 and are 0 before the first.

    `pruning` is the objective with its negligible layers left out, None between two scales. `start` is the canvas that
    the scale began with, if it is kept, `taken` are the steps of the scales before, `losses` those of the last steps
    at this one. `queued`, no step waits for its device, and whether all is finite is looked at every `WATCHED` steps.
    """

    def __init__(
        self,
        canvas: Tensor,
        optimizer: Optimizer,
        picture: MakePicture,
        scratch: Scratch = MEMORY,
        *,
        queued: bool = False,
    ) -> None:
        self.canvas, self.optimizer, self.picture, self.queued = canvas, optimizer, picture, queued
        self._scratch = scratch
        self._make_best = QueuedBest if queued else BestIterate
        self.best = self._make_best(canvas, picture, scratch)
        self.pruning: LayerPruning | None = None
        self.scale = self.step = self.restarts = 0
        self.start: Tensor | None = None
        self.taken: tuple[int, ...] = ()
        self._losses: tuple[float | Tensor, ...] = ()

    @classmethod
    def from_state(
        cls,
        state: RunState,
        optimizer: Optimizer,
        picture: MakePicture,
        scratch: Scratch = MEMORY,
        *,
        queued: bool = False,
    ) -> Descent:
        """A descent that is where `state` was taken, by an optimiser of the same kind."""
        found = cls(state.canvas, optimizer.load_state(state.optimizer), picture, scratch, queued=queued)
        found.best.load_state(state.best)
        found.scale, found.step, found.restarts = state.scale, state.step, state.restarts
        found.start = state.start
        found.taken, found._losses = tuple(state.taken or ()), tuple(state.losses)
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
        if self.queued and self.steps_of_scale % WATCHED == 0:
            self.watch()
        canvas, now = self.optimizer.step(self.canvas, evaluate)
        if not self.queued:
            self._check(canvas)
        self.canvas = canvas
        self.step += 1
        self._losses = recent(self._losses, now.total if isinstance(now, QueuedEvaluation) else now.loss)
        return now

    def watch(self) -> None:
        """Wait for the canvas; raises `DivergedError` where it isn't finite."""
        self._check(self.canvas)

    def _check(self, canvas: Tensor) -> None:
        if not self.best.is_finite(canvas):
            raise self.best.diverged("canvas")

    def wait(self) -> None:
        """Wait for the device, so that a step has taken the time it takes."""
        finish(self.canvas.device)

    @property
    def losses(self) -> tuple[float, ...]:
        """Those of the last steps at this scale, waited for."""
        return tuple(read(self._losses))

    def roll_back(self) -> None:
        """Back to the best iterate, with shorter steps from there."""
        self.restarts += 1
        self.canvas, self._losses = self.best.canvas, ()
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
        self.best, self._losses = self._make_best(self.canvas, self.picture, self._scratch), ()

    def change_canvas(self, canvas: Tensor, picture: MakePicture) -> None:
        """Go on with another kind of canvas, and another way to make pictures of it."""
        self.canvas, self.picture = canvas, picture
        self.start = None if self.start is None else canvas
        self.optimizer = self.optimizer.reset()
        self.best, self._losses = self._make_best(canvas, picture, self._scratch), ()

    def measure_again(self, evaluate: Evaluate) -> None:
        """Forget what was noted of the best iterate, and note what another objective says of the canvas."""
        self.best = self._make_best(self.canvas, self.picture, self._scratch)
        self.best.wrap(evaluate)(self.canvas)

    def end_scale(self) -> None:
        """Go on from the best iterate; raises `DivergedError` where there is none."""
        if isinstance(self.best, QueuedBest):
            self.best.read()
            if not math.isfinite(self.best.loss):
                raise self.best.diverged("loss")
        self.canvas = self.best.canvas

    def forget_optimizer(self) -> None:
        """Drop what the optimiser has learnt, which takes memory and isn't needed any more."""
        self.optimizer = self.optimizer.reset()

    def state(self, seconds: float, schedule: list[dict[str, Any]]) -> RunState:
        """All of it, `seconds` after the run began, with the schedule of changed knobs."""
        losses = self.losses
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
            losses if all(map(math.isfinite, losses)) else (),
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
