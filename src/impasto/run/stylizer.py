"""The coarse-to-fine loop that paints: a generator of events, driven by whoever wants the picture."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from torch import Tensor

from impasto.errors import DivergedError
from impasto.images.size import resize, size_of
from impasto.network.engine import Engine
from impasto.objective.aims import detail_at, objective_at, targets_at
from impasto.objective.initial_canvas import first_canvas
from impasto.objective.inputs import Scene
from impasto.objective.layer_pruning import LayerPruning
from impasto.objective.objective import Objective
from impasto.objective.targets import Remembered, Targets
from impasto.run import optimizers
from impasto.run.events import EpochDone, Event, Finished, Restarted, ScaleDone, Started, Stepped
from impasto.run.optimizers import Evaluate
from impasto.run.plan import foresee
from impasto.run.progress import Best, Run
from impasto.run.state import RunState
from impasto.settings.schedule import Schedule, ScheduledChange
from impasto.settings.settings import Settings
from impasto.storage.scratch import Scratch

MOST_RESTARTS = 3
"""How often a run begins again, each time with shorter steps, after one that led to NaN or ∞."""


class Stylizer:
    """Paints by descending on the pixels, from a coarse picture to the final size.

    Runs that differ in nothing that targets depend on may share what is `remembered` of them.
    """

    def __init__(self, settings: Settings, *, network: Engine, remembered: Remembered | None = None) -> None:
        self.steering = Schedule(settings)
        self.network = network
        self.remembered = remembered
        self.device = network.device

    def steer(self, **knobs: Any) -> None:
        """Change knobs of `SCHEDULABLE` between two events: the run goes on from its canvas with them.

        Raises `SettingsError` for other knobs, or values that aren't allowed.
        """
        self.steering.request(knobs)

    def paint(
        self,
        content: Tensor,
        styles: Sequence[Tensor],
        init: Tensor | None = None,
        *,
        masks: Sequence[Tensor] = (),
        style_masks: Sequence[Tensor | None] = (),
        steering: Sequence[ScheduledChange] = (),
        resume: RunState | None = None,
    ) -> Iterator[Event]:
        """Events of painting `content` (1, 3, h, w) in [0, 1] in the manner of `styles`, images of any sizes.

        `init` is the image that `Settings.init` names, if it names one; `masks` (1, 1, h, w) in [0, 1] are the regions
        of the styles, of any size, `style_masks` the parts of them that count. Close the generator to stop, call
        `steer` between events to change weights; `steering` are such changes to make again. `resume` is where a run
        with the same inputs and settings was, steered or not: this one goes on from there to the same pixels, to the
        bit. Raises `DivergedError` with the last good picture when loss, gradient or canvas stop being finite for good.
        """
        began = time.perf_counter() - (0.0 if resume is None else resume.seconds)
        s = self.steering.requested
        prospect = foresee(s, self.network, size_of(content))
        scales, plan = prospect.scales, prospect.plan
        sizes, steps = tuple(scale.size for scale in scales), tuple(scale.steps for scale in scales)
        scratch = Scratch(plan.folder)
        if resume is None:
            self.steering = Schedule(s, steering)
        else:
            self.steering = Schedule(s, [ScheduledChange(**change) for change in resume.steering], resume.taken)
        color = self.steering.settings.color
        scene = Scene(content, tuple(styles), tuple(masks), tuple(style_masks), color, plan, scratch)
        optimizer = optimizers.make(s.optimizer, learning_rate=s.learning_rate, history=plan.history, scratch=scratch)
        canvas = self._first_canvas(scene, sizes[0], init) if resume is None else resume.canvas
        run = Run(canvas.to(self.device), optimizer, scene.picture, self.steering, scratch, began)
        del canvas
        if resume is not None:
            run.go_on(resume.to(self.device), [(scale.size, scale.steps) for scale in scales])
            del resume  # or its tensors would take memory until the end
        yield Started(
            sizes, steps, str(self.device), plan.tile, plan.history, plan.peak, prospect.seconds, plan.disk, plan.folder
        )

        if run.step and run.step % s.steps_per_epoch == 0:  # the state was saved before this was told
            yield EpochDone(run.step // s.steps_per_epoch, run.picture(run.canvas))
        for number, scale in enumerate(scales[max(0, run.scale - 1) :], start=max(1, run.scale)):
            if number > run.scale:
                self._heed(run, scene)  # what was asked for after a scale's last step
                detail = detail_at(scale.size, scene, self.steering.settings, run.canvas) if run.scale else None
                run.enter(number, scale.size, detail)
                del detail
            yield from self._descend(run, scene, scale.size, sum(steps[:number]))
            yield ScaleDone(number, run.picture(run.canvas))
        run.optimizer = optimizer  # as it began: what it has learnt takes memory and isn't needed any more
        best = run.best
        yield Finished(run.picture(best.canvas), best.loss, best.parts, run.step, time.perf_counter() - began)

    def _descend(self, run: Run, scene: Scene, size: tuple[int, int], last: int) -> Iterator[Event]:
        """The steps of a scale towards what the settings ask for, also where they change meanwhile."""
        negligible, targets = self.steering.settings.negligible, self._targets(scene, size)
        objective = self._objective(scene, size, targets)
        run.sparing = LayerPruning(objective, negligible, run.sparing_state)

        def changed() -> Evaluate | None:
            nonlocal targets, objective
            colours = scene.colours
            if not self._heed(run, scene):
                return None
            if scene.colours is not colours:
                targets = self._targets(scene, size)
            objective = self._objective(scene, size, targets)
            run.sparing = LayerPruning(objective, negligible)
            return scene.seen(run.sparing.evaluate, size)

        yield from descend(run, scene.seen(run.sparing.evaluate, size), size, last, changed)
        if negligible:  # what was left out is part of the result
            run.best = Best(run.canvas, run.picture, scene.scratch)
            run.best.guarded(scene.seen(objective.evaluate, size))(run.canvas)

    def _heed(self, run: Run, scene: Scene) -> bool:
        """Go on from the canvas by what was asked for since the last step; whether that is something new."""
        color = self.steering.settings.color
        if not self.steering.apply(run.taken):
            return False
        if self.steering.settings.color is color:
            run.steered()
        else:
            picture = run.picture(run.canvas)
            scene.recolour(self.steering.settings.color)
            run.recoloured(scene.colours.canvas(picture, scene.scratch).to(self.device), scene.picture)
        return True

    def _targets(self, scene: Scene, size: tuple[int, int]) -> Targets:
        """The targets at (h, w) pixels: as another run remembers them, or measured."""
        settings = self.steering.settings
        at = (settings.color, size, scene.plan.tile)
        if self.remembered is not None and at in self.remembered:
            return self.remembered[at]
        found = targets_at(size, scene, settings, self.network)
        if self.remembered is not None:
            self.remembered[at] = found
        return found

    def _objective(self, scene: Scene, size: tuple[int, int], targets: Targets) -> Objective:
        return objective_at(size, scene, self.steering.settings, self.network, targets)

    def _first_canvas(self, scene: Scene, size: tuple[int, int], init: Tensor | None) -> Tensor:
        """What a new run starts from at (h, w) pixels."""
        photo = resize(scene.photo, size, scene.scratch)
        canvas = first_canvas(self.steering.settings, photo, scene.paintings[0], init, scene.scratch)
        return scene.colours.canvas(canvas, scene.scratch)


def descend(
    run: Run,
    evaluate: Evaluate,
    size: tuple[int, int],
    last: int,
    changed: Callable[[], Evaluate | None] = lambda: None,
) -> Iterator[Event]:
    """The steps of a scale, up to the run's step `last`; then the best canvas is the run's.

    `changed` gives another objective where there is one from the next step on.
    """
    guarded, per_epoch = run.best.guarded(evaluate), run.steering.settings.steps_per_epoch
    while run.step < last:
        if (other := changed()) is not None:
            guarded = run.best.guarded(other)
        try:
            now = run.advance(guarded)
        except DivergedError:
            if run.restarts == MOST_RESTARTS:
                raise
            run.start_again()
            yield Restarted(run.step + 1, run.restarts, MOST_RESTARTS)
            continue
        epoch = math.ceil(run.step / per_epoch)
        seconds = time.perf_counter() - run.began
        shot, state = partial(run.picture, run.canvas), partial(run.state, seconds)
        yield Stepped(run.step, epoch, run.scale, size, now.loss, now.parts, seconds, shot, state)
        del now, shot  # a gradient and a canvas: whole ones needn't be kept through the next step
        if run.step == epoch * per_epoch:
            yield EpochDone(epoch, run.picture(run.canvas))
    with suppress(DivergedError):  # then the last step wasn't the best
        guarded(run.canvas)
    run.canvas = run.best.canvas
