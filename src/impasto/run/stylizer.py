"""The coarse-to-fine loop: a generator of events, driven by whoever wants the picture."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, Unpack

from impasto.errors import DivergedError
from impasto.images.size import size_of
from impasto.objective.evaluation import Evaluate, QueuedEvaluation
from impasto.objective.layer_pruning import LayerPruning
from impasto.objective.problem import Problem, ScaleProblem
from impasto.run.beginning import begin_descent
from impasto.run.descent import Descent
from impasto.run.events import EpochDone, Event, Finished, QueuedStepped, Restarted, ScaleDone, Started, Stepped
from impasto.run.plan import RunPlan
from impasto.run.state import RunState
from impasto.settings.schedule import Schedule, ScheduledChange, ScheduledKnobs, difference
from impasto.settings.settings import Settings

MOST_RESTARTS = 3
"""How often a run begins again, each time with shorter steps, after one that led to NaN or ∞."""


class Stylizer:
    """Runs a problem, a stylization or a texture, by descending on the pixels from a coarse canvas to the final size.

    `planned` are changes of knobs to make on the way. `schedule` has what was changed in the run that goes on, `taken`
    the steps of each scale once a run has finished.
    """

    def __init__(self, settings: Settings, planned: Sequence[ScheduledChange] = ()) -> None:
        self.settings = settings
        self.planned = tuple(planned)
        self.schedule = Schedule(settings, self.planned)
        self.taken: tuple[int, ...] = ()

    def change(self, **knobs: Unpack[ScheduledKnobs]) -> None:
        """Change knobs between two events, or before a run: it goes on from its canvas with them.

        Raises `SettingsError` for knobs that can't change while a run goes on, or values that aren't allowed.
        """
        self.schedule.request(knobs)

    def run(self, problem: Problem, plan: RunPlan, resume: RunState | None = None) -> Iterator[Event]:
        """The events of a run. Close the generator to stop, call `change` between events to change knobs.

        `resume` is where a run with the same inputs and settings was, whatever was changed on the way: this one goes on
        from there to the same pixels, to the bit. Raises `DivergedError` with the last good picture when loss, gradient
        or canvas stop being finite for good.
        """
        began = time.perf_counter() - (0.0 if resume is None else resume.seconds)
        pruning = None if resume is None else resume.pruning
        self._begin_schedule(resume)
        problem.change(self.schedule.settings)
        descent = begin_descent(self.settings, problem, plan, resume)
        del resume  # or its tensors would take memory until the end
        yield Started(plan, str(problem.device))

        if descent.steps_of_scale:  # the state was saved before what its step ended
            yield from _epochs_of_step(descent, plan)
        for number, scale in enumerate(plan.scales, start=1):
            if number < descent.scale:
                continue
            if number > descent.scale:
                self._apply_changes(descent, problem)  # what was asked for after a scale's last step
                canvas = problem.enlarged(descent.canvas, scale.size) if descent.scale else descent.canvas
                descent.begin_scale(number, canvas, problem.transform(scale.size).picture)
                descent.start = canvas if self.settings.style_loss.local and number > 1 else None
                pruning = None
                del canvas
            yield from self._descend(descent, problem, plan, pruning, began)
        self.taken = (*descent.taken, descent.steps_of_scale)
        descent.forget_optimizer()
        best = descent.best
        seconds = time.perf_counter() - began
        yield Finished(descent.picture(best.canvas), best.loss, best.parts, descent.step, seconds)

    def _begin_schedule(self, resume: RunState | None) -> None:
        """The schedule of a new run, or of the one that `resume` was taken of, with what was requested already."""
        requested = difference(self.schedule.settings, self.schedule.requested)
        if resume is None:
            self.schedule = Schedule(self.settings, self.planned)
        else:
            changes = [ScheduledChange(**change) for change in resume.schedule]
            self.schedule = Schedule(self.settings, changes, resume.steps_taken)
        if requested:
            self.schedule.request(requested)

    def _descend(
        self, descent: Descent, problem: Problem, plan: RunPlan, pruning: dict[str, Any] | None, began: float
    ) -> Iterator[Event]:
        """The steps of a scale, as long as its stop rules let it, towards what the settings ask for as they change."""
        scale, negligible = descent.scale, self.settings.negligible
        size, planned = plan.scales[scale - 1].size, plan.steps[scale - 1]
        (steps, ended_by), step_seconds = plan.end_of(scale), 0.0
        current = problem.at(size, descent.start)
        evaluate = _stack(descent, current, LayerPruning(current.objective, negligible, pruning))
        while descent.steps_of_scale < steps:
            if self._apply_changes(descent, problem):
                current = problem.at(size, descent.start)
                evaluate = _stack(descent, current, LayerPruning(current.objective, negligible))
            now_began = time.perf_counter()
            losses = descent.losses if plan.stops.watching else ()
            if ended := plan.stops.reason(scale, losses, now_began - began, step_seconds):
                ended_by = ended
                break
            try:
                now = descent.advance(evaluate)
                if plan.stops.deadlines:
                    descent.wait()
                step_seconds = time.perf_counter() - now_began
            except DivergedError:
                if descent.restarts == MOST_RESTARTS:
                    raise
                descent.roll_back()
                yield Restarted(descent.step + 1, descent.restarts, MOST_RESTARTS)
                continue
            epoch, seconds = plan.epoch_of(plan.behind(scale, descent.steps_of_scale)), time.perf_counter() - began
            shot, state = partial(descent.picture, descent.canvas), partial(self._state, descent, seconds)
            taken = (*descent.taken, descent.steps_of_scale)
            if isinstance(now, QueuedEvaluation):
                yield QueuedStepped(
                    now.with_gradient(now.gradient.new_empty(0)),
                    step=descent.step,
                    epoch=epoch,
                    scale=scale,
                    size=size,
                    seconds=seconds,
                    picture=shot,
                    state=state,
                    taken=taken,
                )
            else:
                yield Stepped(descent.step, epoch, scale, size, now.loss, now.parts, seconds, shot, state, taken)
            del now, shot  # a gradient and a canvas: whole ones needn't be kept through the next step
            yield from _epochs_of_step(descent, plan)
        with suppress(DivergedError):  # then the last step wasn't the best
            evaluate(descent.canvas)
        descent.end_scale()
        if negligible:  # what was left out is part of the result
            descent.measure_again(current.transform.wrap(current.objective.evaluate))
        skipped = plan.epochs_ended(plan.behind(scale, descent.steps_of_scale), plan.behind(scale, planned))
        yield from _epochs_done(descent, skipped)
        yield ScaleDone(scale, descent.picture(descent.canvas), descent.steps_of_scale, planned, ended_by)

    def _apply_changes(self, descent: Descent, problem: Problem) -> bool:
        """Go on from the canvas by what was asked for since the last step; whether that is something new."""
        if not self.schedule.apply(descent.steps_taken):
            return False
        before = problem.transform(size_of(descent.canvas))
        if problem.change(self.schedule.settings):
            canvas = problem.canvas_from(before.painted(descent.canvas))
            descent.change_canvas(canvas, problem.transform(size_of(canvas)).picture)
        else:
            descent.change_objective()
        return True

    def _state(self, descent: Descent, seconds: float) -> RunState:
        """All that the rest of the run depends on."""
        return descent.state(seconds, [asdict(change) for change in self.schedule.record(descent.steps_taken)])


def _epochs_of_step(descent: Descent, plan: RunPlan) -> Iterator[Event]:
    """The epochs that the last step of a scale ended."""
    behind = plan.behind(descent.scale, descent.steps_of_scale)
    yield from _epochs_done(descent, plan.epochs_ended(behind - 1, behind))


def _epochs_done(descent: Descent, epochs: Iterable[int]) -> Iterator[Event]:
    """These epochs, each with a picture of the canvas of its own."""
    for epoch in epochs:
        yield EpochDone(epoch, descent.picture(descent.canvas))


def _stack(descent: Descent, current: ScaleProblem, pruning: LayerPruning) -> Evaluate:
    """What the optimiser is given: best iterate ∘ canvas transform (regions, colours, period) ∘ pruned objective."""
    descent.descend_by(pruning)
    whole = pruning.evaluate if pruning.threshold else current.evaluation()
    return descent.best.wrap(current.transform.wrap(whole))
