"""A whole job, from files to a picture with its recipe: what the command line and `stylize` share."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Unpack

import torch
from torch import Tensor

from impasto.jobs.inputs import InMemory, Opener, Source, StylizationInputs, input_file
from impasto.jobs.network import Network, load_network
from impasto.jobs.recipe import Recipe, RunSteps
from impasto.jobs.style_scale import for_style_scale, settled_style_scale, unsettled
from impasto.jobs.surroundings import driven, usual_modes
from impasto.objective.stylization import (
    KnownStyles,
    LocalPasses,
    LocalTerm,
    MakePasses,
    MeasuredTargets,
    StylizationProblem,
)
from impasto.run.events import Event
from impasto.run.plan import plan_run, scales_of
from impasto.run.state import RunState
from impasto.run.stylizer import Stylizer
from impasto.settings.schedule import ScheduledChange, ScheduledKnobs
from impasto.settings.settings import Settings


class Stylization:
    """One job: its inputs, settings, network and plan, all checked and loaded; iterate over `events()` to run it.

    Jobs may share a `network` that fits the settings of each (with its `speed`, see `measure_speed`), and a way in
    which the files that settings name are opened, an `opener`. `schedule` are changes of knobs to make on the way, and
    `steps` and `faces` those of the run that goes on or is repeated, as its recipe has them.
    `asked` are the settings as they were given, `settings` the same with what they leave open decided.
    `masks`, `style_masks`, `start` and `strengths` are images, for which the knobs `mask`, `style_mask`, `init` and
    `strength_map` name files.

    `passes`, which may be set before its events, says who computes the tiles.
    """

    @usual_modes()
    def __init__(
        self,
        content: Source,
        styles: Sequence[Source],
        settings: Settings,
        *,
        masks: Sequence[Source] = (),
        style_masks: Sequence[Source] = (),
        start: Source | None = None,
        strengths: Source | None = None,
        network: Network | None = None,
        speed: float | None = None,
        schedule: Sequence[ScheduledChange] = (),
        opener: Opener | None = None,
        steps: RunSteps | None = None,
        faces: Sequence[tuple[float, float, float, float]] | None = None,
    ) -> None:
        starts, maps = ([] if image is None else [image] for image in (start, strengths))
        given = InMemory(settings, opener, mask=masks, style_mask=style_masks, init=starts, strength_map=maps)
        self.asked = given.settings
        settings = unsettled(given.settings)
        self.inputs = StylizationInputs.open(content, styles, settings, given.open, faces)
        # What can't be painted is refused before the network is loaded.
        scales = scales_of(settings, self.inputs.shapes(settings), self.inputs.style_sizes)
        self.network = network or load_network(settings)
        if settings is not given.settings:
            settings = settled_style_scale(
                given.settings, self.inputs.content, self.inputs.styles, lambda: self.network
            )
            self.inputs = for_style_scale(self.inputs, styles, settings)
        self.content, self.styles = self.inputs.content, self.inputs.styles
        shapes = self.inputs.shapes(settings)
        with usual_modes(settings.threads):
            self.plan = plan_run(settings, shapes, self.network.engine, scales=scales, speed=speed, steps=steps)
        self.settings = self.plan.settled(settings, self.network.engine)
        self.scratch = self.plan.memory.scratch()
        self.stylizer = Stylizer(self.settings, schedule)
        self.passes: MakePasses = LocalPasses

    def events(
        self,
        resume: RunState | None = None,
        measured: MeasuredTargets | None = None,
        known: KnownStyles | None = None,
    ) -> Iterator[Event]:
        """The run's events, see `Stylizer.run`; raises `ImpastoError` too where memory runs out all the same.

        Jobs that differ in nothing that targets depend on may share those that were `measured`, and jobs of one network
        what is `known` of styles.
        """
        return driven(self._events([resume], measured, known), self.plan, self.network.engine, self.settings)

    def _events(
        self, resume: list[RunState | None], measured: MeasuredTargets | None, known: KnownStyles | None
    ) -> Iterator[Event]:
        """The same in the modes of whoever asks; takes the state out of its list, so that nobody holds on to it."""
        problem = self.problem(measured, known)
        events = self.stylizer.run(problem, self.plan, resume.pop())
        del problem  # or its tensors would take memory until the end
        yield from events

    def problem(
        self,
        measured: MeasuredTargets | None = None,
        known: KnownStyles | None = None,
        more: Sequence[LocalTerm] = (),
    ) -> StylizationProblem:
        """What the run optimises, with `more` terms of whoever drives it by himself; see `events` for the rest."""
        return StylizationProblem(
            self.inputs.tensors(),
            self.settings,
            self.network.engine,
            self.plan.size,
            tile=self.plan.memory.tile,
            spare=self.plan.memory.spare,
            scratch=self.scratch,
            canvas_device=self.plan.memory.canvas_device,
            measured=measured,
            known=known,
            passes=self.passes,
            more=more,
        )

    def change(self, **knobs: Unpack[ScheduledKnobs]) -> None:
        """Change knobs of the run between two events, or before it begins; raises `SettingsError`."""
        self.stylizer.change(**knobs)
        logging.getLogger("impasto").info("from the next step on: %s", knobs)

    def alpha(self, picture: Tensor) -> Tensor | None:
        """The content's transparency (1, 1, h, w) at the size of `picture`, None where the content is opaque."""
        return self.inputs.alpha(picture, self.scratch)

    def camera(self) -> bytes | None:
        """What the picture is to carry of what a camera noted in the content, as EXIF, None for nothing."""
        return self.inputs.camera(self.settings)

    @property
    def dpi(self) -> float | None:
        """The result's resolution in pixels an inch, where the content or the settings tell one."""
        return self.inputs.dpi(self.settings)

    def recipe(self) -> Recipe:
        """What it takes to paint the same picture again, with the knobs that were changed so far.

        It names files by their whole paths: `recipe().without_folders()` is what a picture carries.
        """
        settings = self.inputs.with_paths(self.settings)
        settings["weights"] = self.network.source
        settings["scratch"] = "auto"  # the folder is one of this machine, and no pixel depends on it
        init, strength_map = self.inputs.init, self.inputs.strength_map
        return Recipe(
            version=version("impasto"),
            settings=settings,
            content=input_file(self.content),
            styles=tuple(input_file(style) for style in self.styles),
            init=None if init is None else input_file(init),
            strength_map=None if strength_map is None else input_file(strength_map),
            faces=self.inputs.faces,
            masks=tuple(input_file(mask) for mask in self.inputs.all_masks()),
            weights_sha256=self.network.sha256,
            torch=torch.__version__,
            threads=int(self.settings.threads),
            machine=_machine(self.network.engine.unit),
            schedule=self.stylizer.schedule.all_changes,
            steps=RunSteps(self.plan.steps, self.stylizer.taken or self.plan.taken),
        )


def _machine(unit: str) -> str:
    """The kind of processor, on which a picture's last bits depend."""
    return " ".join(filter(None, (platform.machine(), torch.backends.cpu.get_cpu_capability(), unit)))
