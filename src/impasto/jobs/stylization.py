"""A whole job, from files to a picture with its recipe: what the command line and `stylize` share."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import PIL.Image
import torch
from torch import Tensor

from impasto.errors import ImageError, SettingsError
from impasto.images import writing
from impasto.images.reading import SourceImage
from impasto.images.size import fit, resize, size_of
from impasto.jobs.inputs import Source, open_image, open_masks, open_style, style_regions, whiteness
from impasto.jobs.memory import within_memory
from impasto.jobs.recipe import InputFile, Recipe
from impasto.network import weights
from impasto.network.engine import Engine
from impasto.network.engines.choice import make_engine
from impasto.objective.inputs import Inputs
from impasto.objective.stylization import StylizationProblem
from impasto.objective.targets import MeasuredTargets
from impasto.run.events import Event, Finished
from impasto.run.plan import Shapes, plan_run
from impasto.run.scales import check_styles, plan_scales
from impasto.run.state import RunState
from impasto.run.stylizer import Stylizer
from impasto.settings.schedule import ScheduledChange
from impasto.settings.settings import Settings
from impasto.storage.scratch import Scratch


class Network(NamedTuple):
    """VGG19, ready to run, with the source and the SHA-256 of its weights, which the engine may keep otherwise."""

    engine: Engine
    source: str
    sha256: str


def load_network(settings: Settings) -> Network:
    """The network that `settings` ask for; raises `ImpastoError` where it can't be had."""
    loaded = weights.load(settings.weights)
    return Network(make_engine(settings, loaded), loaded.source, loaded.sha256)


class Stylization:
    """One job: its inputs, settings, network and plan, all checked and loaded; iterate over `events()` to run it.

    Jobs may share a `network` that fits the settings of each (with its `speed`, see `measure_speed`), and a way in
    which the files that settings name are `opened`. `schedule` are changes of knobs to make on the way.
    """

    def __init__(
        self,
        content: Source,
        styles: Sequence[Source],
        settings: Settings,
        *,
        network: Network | None = None,
        speed: float | None = None,
        schedule: Sequence[ScheduledChange] = (),
        opened: Callable[[str], SourceImage] | None = None,
    ) -> None:
        opened = opened or partial(open_image, settings=settings)
        _check_counts(settings, styles)
        self.content = open_image(content, settings)
        self.styles = tuple(open_style(style, settings) for style in styles)
        self.init = opened(settings.init) if settings.init_is_image else None
        self.masks = open_masks(settings.mask, "mask", "rest", len(styles), opened)
        self.style_masks = open_masks(settings.style_mask, "style_mask", "all", len(styles), opened)
        # What can't be painted is refused before the network is loaded.
        shapes = Shapes(fit(self.content.size, settings.size), len(styles))
        scales = plan_scales(settings, shapes.canvas)
        check_styles(settings, scales, [(style.name, style.size) for style in self.styles])
        self.network = network or load_network(settings)
        self.plan = plan_run(settings, shapes, self.network.engine, scales=scales, speed=speed)
        self.settings = self.plan.settled(settings, self.network.engine)
        self.scratch = Scratch(self.plan.memory.folder)
        self.schedule = tuple(schedule)
        self.stylizer = Stylizer(self.settings, self.schedule)  # of the run that goes on, or is to begin
        self._begun = False
        self.measured: MeasuredTargets | None = None  # targets of other jobs, see StylizationProblem

    def events(self, resume: RunState | None = None) -> Iterator[Event]:
        """The run's events, see `Stylizer.run`; raises `ImpastoError` too where memory runs out all the same."""
        if self._begun:
            self.stylizer = Stylizer(self.settings, self.schedule)
        self._begun = True
        memory = self.plan.memory
        problem = StylizationProblem(
            self._inputs(),
            self.settings,
            self.network.engine,
            self.plan.size,
            tile=memory.tile,
            spare=memory.spare,
            scratch=self.scratch,
            measured=self.measured,
        )
        events = self.stylizer.run(problem, self.plan, resume)
        del resume, problem  # or their tensors would take memory until the end
        with within_memory(self.plan):
            yield from events

    def change(self, **knobs: Any) -> None:
        """Change knobs of the run between two events, or before it begins; raises `SettingsError`."""
        self.stylizer.change(**knobs)

    def alpha(self, picture: Tensor) -> Tensor | None:
        """The content's transparency (1, 1, h, w) at the size of `picture`, None where the content is opaque."""
        return None if self.content.alpha is None else resize(self.content.alpha, size_of(picture), self.scratch)

    def recipe(self) -> Recipe:
        """What it takes to paint the same picture again, with the knobs that were changed so far."""
        settings = self.settings.model_dump(mode="json") | {"weights": self.network.source}
        for knob, images in (("mask", self.masks), ("style_mask", self.style_masks)):
            given = zip(images, settings[knob], strict=True)
            settings[knob] = [name if image is None else image.path for image, name in given]
        settings["scratch"] = "auto"  # a folder of this machine, of which no pixel depends
        if self.init is not None:
            settings["init"] = self.init.path
        return Recipe(
            version=version("impasto"),
            settings=settings,
            content=_input_file(self.content),
            styles=tuple(_input_file(style) for style in self.styles),
            init=None if self.init is None else _input_file(self.init),
            masks=tuple(_input_file(mask) for mask in (*self.masks, *self.style_masks) if mask is not None),
            weights_sha256=self.network.sha256,
            torch=torch.__version__,
            threads=torch.get_num_threads(),
            machine=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
            schedule=self.stylizer.schedule.plan,
        )

    def _inputs(self) -> Inputs:
        return Inputs(
            self.content.pixels,
            tuple(style.pixels for style in self.styles),
            style_regions(self.masks),
            [None if mask is None else whiteness(mask) for mask in self.style_masks],
            None if self.init is None else self.init.pixels,
        )


def stylize(content: Source, *styles: Source, settings: Settings | None = None, **knobs: Any) -> PIL.Image.Image:
    """Paints a photo in the manner of one or more paintings and returns the picture, RGB or RGBA, 8 bits.

    Knobs are fields of `Settings`: `stylize("photo.jpg", "painting.jpg", size=512)`. Raises `ImpastoError`.
    """
    if settings is not None and knobs:
        raise SettingsError("Both settings and knobs were given", "use settings.model_copy or knobs alone")
    job = Stylization(content, styles, settings or Settings(**knobs))
    for event in job.events():
        if isinstance(event, Finished):
            return writing.to_pil(event.picture, job.alpha(event.picture))
    raise ImageError("The run ended without a picture")  # unreachable: Finished is always the last event


def _check_counts(settings: Settings, styles: Sequence[Source]) -> None:
    if not styles:
        raise SettingsError("No style was given", "name at least one painting or swatch")
    if (given := len(settings.style_weights)) and given != len(styles):
        raise SettingsError(
            f"`style_weights` has {given} values for {len(styles)} styles",
            "give one per style",
            knob="style_weights",
            value=settings.style_weights,
        )
    if settings.mask_erosion and not (settings.mask or settings.style_mask):
        raise SettingsError("`mask_erosion` is set but there is no `mask`", "give one per style", knob="mask_erosion")


def _input_file(image: SourceImage) -> InputFile:
    return InputFile(image.name, image.path, image.sha256)
