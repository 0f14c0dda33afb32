"""A whole job, from files to a picture with its recipe: what the command line and `stylize` share."""

from __future__ import annotations

import difflib
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from impasto import swatches
from impasto.errors import ImageError, ImpastoError, SettingsError
from impasto.images import io as images
from impasto.images.io import Picture
from impasto.images.size import fit, resize, size_of
from impasto.jobs.recipe import Ingredient, Recipe
from impasto.network import weights
from impasto.network.engine import Engine
from impasto.network.engines.choice import can_run, make_engine
from impasto.objective.targets import Remembered
from impasto.run.events import Event, Finished
from impasto.run.memory import Plan
from impasto.run.plan import Prospect, foresee, plan_memory
from impasto.run.scales import check_paintings, plan_scales
from impasto.run.state import RunState
from impasto.run.stylizer import Stylizer
from impasto.settings.choices import EngineName
from impasto.settings.schedule import Schedule, ScheduledChange
from impasto.settings.settings import Settings
from impasto.storage.pool import POOL
from impasto.storage.process import freed_memory_returned
from impasto.storage.scratch import Scratch

Source = str | os.PathLike[str] | PIL.Image.Image | np.ndarray | Picture
"""A picture: a path, a PIL image, an array (h, w[, channels]), or one loaded; for a style also the name of a swatch."""

SWATCH_SIDE = (256, 2048)
"""Least and greatest side in pixels at which a swatch is painted to serve as a style."""


class Origin(NamedTuple):
    """Where a network's weights came from; the weights themselves are the engine's, which may keep them otherwise."""

    source: str
    sha256: str


class Network(NamedTuple):
    """VGG19, ready to run, and where its weights came from."""

    engine: Engine
    origin: Origin


def load_network(settings: Settings) -> Network:
    """The network that `settings` ask for; raises `ImpastoError` where it can't be had."""
    loaded = weights.load(settings.weights)
    return Network(make_engine(settings, loaded), Origin(loaded.source, loaded.sha256))


class Stylization:
    """One job: its pictures, settings and network, all checked and loaded; iterate over `events()` to paint it.

    Jobs may share a `network` that fits the settings of each, and a way in which the files that settings name are
    `opened`. `steering` are changes of knobs to make on the way.
    """

    def __init__(
        self,
        content: Source,
        styles: Sequence[Source],
        settings: Settings,
        *,
        network: Network | None = None,
        steering: Sequence[ScheduledChange] = (),
        opened: Callable[[str], Picture] | None = None,
    ) -> None:
        opened = opened or partial(open_picture, settings=settings)
        if not styles:
            raise SettingsError("No style was given: name at least one painting or swatch.")
        if settings.style_weights and len(settings.style_weights) != len(styles):
            raise SettingsError(
                f"--style-weights has {len(settings.style_weights)} values for {len(styles)} styles: "
                "give one per style."
            )
        self.settings = settings
        self.content = open_picture(content, settings)
        self.styles = tuple(open_style(style, settings) for style in styles)
        self.init = opened(settings.init) if settings.init_is_image else None
        if settings.mask_erosion and not (settings.mask or settings.style_mask):
            raise SettingsError("--mask-erosion is set but there is no --mask: give one per style.")
        self.masks = open_masks(settings.mask, "--mask", "rest", len(styles), opened)
        self.style_masks = open_masks(settings.style_mask, "--style-mask", "all", len(styles), opened)
        # What can't be painted is refused before the network is loaded.
        size = fit(self.content.size, settings.size)
        self.scales = plan_scales(settings, size)
        check_paintings(settings, self.scales, [(style.name, style.size) for style in self.styles])
        self.network, self.weights = network or load_network(settings)
        self.remembered: Remembered | None = None  # of other runs' targets, see Stylizer
        # What was left open is settled here, so that a recipe paints the same picture with other memory free.
        self.plan = plan_memory(settings, self.network, size)
        self.scratch = Scratch(self.plan.folder)
        self.settings = settings.model_copy(
            update={"engine": self.network.name, "tile": self.plan.tile or 0, "history": self.plan.history or "auto"}
        )
        self.steering = tuple(steering)
        Schedule(self.settings, self.steering)  # what isn't allowed is refused now
        self.stylizer: Stylizer | None = None  # of the run that goes on, to be steered

    def events(self, resume: RunState | None = None) -> Iterator[Event]:
        """The run's events, see `Stylizer.paint`; raises `ImpastoError` too where memory runs out all the same."""
        stylizer = self.stylizer = Stylizer(self.settings, network=self.network, remembered=self.remembered)
        start = None if self.init is None else self.init.pixels
        events = stylizer.paint(
            self.content.pixels,
            [style.pixels for style in self.styles],
            start,
            masks=regions(self.masks),
            style_masks=[None if mask is None else whiteness(mask) for mask in self.style_masks],
            steering=self.steering,
            resume=resume,
        )
        del resume  # or its tensors would take memory until the end
        with fitting(self.plan):
            yield from events

    def prospect(self) -> Prospect:
        """The scales, the plan and the time of the run; takes a fraction of a second."""
        return foresee(self.settings, self.network, self.content.size)

    def alpha(self, picture: Tensor) -> Tensor | None:
        """The photo's transparency (1, 1, h, w) at the size of `picture`, None where the photo is opaque."""
        if self.content.alpha is None:
            return None
        return resize(self.content.alpha, size_of(picture), self.scratch)

    def recipe(self) -> Recipe:
        """What it takes to paint the same picture again, as the run was steered so far."""
        settings = self.settings.model_dump(mode="json") | {"weights": self.weights.source}
        for knob, pictures in (("mask", self.masks), ("style_mask", self.style_masks)):
            given = zip(pictures, settings[knob], strict=True)
            settings[knob] = [name if picture is None else picture.path for picture, name in given]
        settings["scratch"] = "auto"  # a folder of this machine, of which no pixel depends
        if self.init is not None:
            settings["init"] = self.init.path
        return Recipe(
            version=version("impasto"),
            settings=settings,
            content=_ingredient(self.content),
            styles=tuple(_ingredient(style) for style in self.styles),
            init=None if self.init is None else _ingredient(self.init),
            masks=tuple(_ingredient(mask) for mask in (*self.masks, *self.style_masks) if mask is not None),
            weights_sha256=self.weights.sha256,
            torch=torch.__version__,
            threads=torch.get_num_threads(),
            machine=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
            steering=self.steering if self.stylizer is None else self.stylizer.steering.plan,
        )


def from_recipe(recipe: Recipe, *, content: Source | None = None, styles: Sequence[Source] = ()) -> Stylization:
    """The job that a recipe describes, its inputs taken from the recorded paths or the ones given here.

    The engine is the recipe's where it can run here: the same to the bit needs the same engine. Raises `ImpastoError`
    where an input or the weights are not those of the recipe, by their SHA-256.
    """
    settings = recipe.checked_settings()
    if not can_run(settings.engine):
        settings = settings.model_copy(update={"engine": EngineName.AUTO})
    painting = Stylization(
        content if content is not None else _recorded(recipe.content),
        styles or [_recorded(style) for style in recipe.styles],
        settings,
        steering=recipe.steering,
    )
    pairs = [("content", painting.content, recipe.content)]
    if len(painting.styles) != len(recipe.styles):
        raise ImpastoError(
            f"The recipe has {len(recipe.styles)} styles but {len(painting.styles)} were given: give each."
        )
    pairs += [("style", mine, wanted) for mine, wanted in zip(painting.styles, recipe.styles, strict=True)]
    if painting.init is not None and recipe.init is not None:
        pairs.append(("init", painting.init, recipe.init))
    mine = [mask for mask in (*painting.masks, *painting.style_masks) if mask is not None]
    pairs += [("mask", mask, wanted) for mask, wanted in zip(mine, recipe.masks, strict=True)]
    for role, mine, wanted in pairs:
        if mine.sha256 != wanted.sha256:
            raise ImpastoError(
                f"The {role} image {mine.path or mine.name} is not the one of the recipe (SHA-256 {mine.sha256[:12]}…, "
                f"not {wanted.sha256[:12]}…): give the original with --{role}."
            )
    if painting.weights.sha256 != recipe.weights_sha256:
        raise ImpastoError(
            f"The weights {recipe.settings['weights']} are not those of the recipe (SHA-256 "
            f"{painting.weights.sha256[:12]}…, not {recipe.weights_sha256[:12]}…): put the original file back."
        )
    return painting


def stylize(content: Source, *styles: Source, settings: Settings | None = None, **knobs: Any) -> PIL.Image.Image:
    """Paints a photo in the manner of one or more paintings and returns the picture, RGB or RGBA, 8 bits.

    Knobs are fields of `Settings`: `stylize("photo.jpg", "painting.jpg", size=512)`. Raises `ImpastoError`.
    """
    if settings is not None and knobs:
        raise SettingsError("Both settings and knobs were given: use settings.model_copy or knobs alone.")
    painting = Stylization(content, styles, settings or Settings(**knobs))
    for event in painting.events():
        if isinstance(event, Finished):
            return images.to_pil(event.picture, painting.alpha(event.picture))
    raise ImageError("The run ended without a picture.")  # unreachable: Finished is always the last event


def open_picture(source: Source, settings: Settings) -> Picture:
    """A picture from a file or from memory; one that was loaded before is taken as it is."""
    return source if isinstance(source, Picture) else images.load(source, max_pixels=settings.max_pixels)


@contextmanager
def fitting(plan: Plan) -> Iterator[None]:
    """Memory of a step is kept for the next; raises `ImpastoError` where it runs out in spite of the plan."""
    try:
        with POOL.kept(), ExitStack() as tight:
            if plan.tile is not None:
                tight.enter_context(freed_memory_returned())
            yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):  # torch has no error of its own on CPUs
            raise
        raise ImpastoError(
            f"Stylization {max(plan.size)} px took more memory than there was: close other programs or give a "
            "lower --max-memory."
        ) from error


def open_style(style: Source, settings: Settings) -> Picture:
    """A painting from a file or from memory; a name that is no file but a swatch's is painted on the spot."""
    if not isinstance(style, str) or Path(style).exists():
        return _seen(open_picture(style, settings))
    if style not in swatches.names():
        if not Path(style).suffix and (near := difflib.get_close_matches(style, swatches.names(), n=1)):
            raise ImageError(f"{style!r} is neither a file nor a swatch: did you mean the swatch {near[0]!r}?")
        return images.load(style, max_pixels=settings.max_pixels)  # which says that there is no such file
    side = min(max(settings.size, SWATCH_SIDE[0]), SWATCH_SIDE[1])
    painted = images.load(swatches.paint(style, (side, side)))
    return replace(painted, name=style)


def open_masks(
    files: Sequence[str], knob: str, word: str, styles: int, opened: Callable[[str], Picture]
) -> tuple[Picture | None, ...]:
    """The pictures of masks, None for the `word` that stands for no file; raises `SettingsError` or `ImageError`."""
    if files and len(files) != styles:
        raise SettingsError(f"{knob} has {len(files)} values for {styles} styles: give one per style.")
    return tuple(None if file == word else opened(file) for file in files)


def whiteness(mask: Picture) -> Tensor:
    """A mask (1, 1, h, w) in [0, 1] from a picture: its grey, and nothing where it is transparent."""
    grey = mask.pixels.mean(dim=1, keepdim=True)
    return grey if mask.alpha is None else grey * mask.alpha


def regions(masks: Sequence[Picture | None]) -> list[Tensor]:
    """The masks (1, 1, h, w) of a run's styles, of which one may be what the others leave of the canvas."""
    given = {number: whiteness(mask) for number, mask in enumerate(masks) if mask is not None}
    if len(given) == len(masks):
        return list(given.values())
    size = max((mask.shape[-2:] for mask in given.values()), key=lambda hw: hw[0] * hw[1])
    left = torch.ones(1, 1, *size)
    for mask in given.values():
        left = left - resize(mask.expand(-1, 3, -1, -1), (size[0], size[1]))[:, :1]
    return [given.get(number, left.clamp(0, 1)) for number in range(len(masks))]


def _seen(style: Picture) -> Picture:
    if style.alpha is not None and not style.alpha.any():
        raise ImageError(f"The style {style.name!r} is transparent all over, so it shows no manner: use another.")
    return style


def _ingredient(picture: Picture) -> Ingredient:
    return Ingredient(picture.name, picture.path, picture.sha256)


def _recorded(ingredient: Ingredient) -> str:
    return ingredient.path if ingredient.path is not None else ingredient.name
