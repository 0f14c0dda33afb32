"""A whole job, from files to a picture with its recipe: what the command line and `stylize` share."""

from __future__ import annotations

import difflib
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from impasto import engines, images, swatches, weights
from impasto.checkpoint import RunState
from impasto.errors import ImageError, ImpastoError, SettingsError
from impasto.events import Event, Finished
from impasto.images import Picture
from impasto.recipe import Ingredient, Recipe
from impasto.scratch import Scratch
from impasto.settings import EngineName, Settings
from impasto.stylizer import Stylizer

Source = str | os.PathLike[str] | PIL.Image.Image | np.ndarray
"""A picture: a path, a PIL image, or an array (h, w[, channels]); for a style also the name of a swatch."""

SWATCH_SIDE = (256, 2048)
"""Least and greatest side in pixels at which a swatch is painted to serve as a style."""


class Origin(NamedTuple):
    """Where a network's weights came from; the weights themselves are the engine's, which may keep them otherwise."""

    source: str
    sha256: str


class Painting:
    """One job: its pictures, settings and network, all checked and loaded; iterate over `events()` to paint it."""

    def __init__(self, content: Source, styles: Sequence[Source], settings: Settings) -> None:
        if not styles:
            raise SettingsError("No style was given: name at least one painting or swatch.")
        if settings.style_weights and len(settings.style_weights) != len(styles):
            raise SettingsError(
                f"--style-weights has {len(settings.style_weights)} values for {len(styles)} styles: "
                "give one per style."
            )
        self.settings = settings
        self.content = images.load(content, max_pixels=settings.max_pixels)
        self.styles = tuple(open_style(style, settings) for style in styles)
        self.init = None
        if settings.init_is_image:
            self.init = images.load(settings.init, max_pixels=settings.max_pixels)
        network = weights.load(settings.weights)
        self.weights = Origin(network.source, network.sha256)
        self.network = engines.make(settings, network)
        # What was left open is settled here, so that a recipe paints the same picture with other memory free.
        self.plan = Stylizer(settings, network=self.network).plan(images.fit(_size(self.content), settings.size))
        self.scratch = Scratch(self.plan.folder)
        self.settings = settings.model_copy(
            update={"engine": self.network.name, "tile": self.plan.tile or 0, "history": self.plan.history or "auto"}
        )

    def events(self, resume: RunState | None = None) -> Iterator[Event]:
        """The run's events, see `Stylizer.paint`; raises `ImpastoError` too where memory runs out all the same."""
        stylizer = Stylizer(self.settings, network=self.network)
        start = None if self.init is None else self.init.pixels
        with fitting(self.settings):
            yield from stylizer.paint(
                self.content.pixels, [style.pixels for style in self.styles], start, resume=resume
            )

    def alpha(self, picture: Tensor) -> Tensor | None:
        """The photo's transparency (1, 1, h, w) at the size of `picture`, None where the photo is opaque."""
        if self.content.alpha is None:
            return None
        return images.resize(self.content.alpha, (picture.shape[-2], picture.shape[-1]), self.scratch)

    def recipe(self) -> Recipe:
        """What it takes to paint the same picture again."""
        settings = self.settings.model_dump(mode="json") | {"weights": self.weights.source}
        settings["scratch"] = "auto"  # a folder of this machine, of which no pixel depends
        if self.init is not None:
            settings["init"] = self.init.path
        return Recipe(
            version=version("impasto"),
            settings=settings,
            content=_ingredient(self.content),
            styles=tuple(_ingredient(style) for style in self.styles),
            init=None if self.init is None else _ingredient(self.init),
            weights_sha256=self.weights.sha256,
            torch=torch.__version__,
            threads=torch.get_num_threads(),
            machine=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        )


def from_recipe(recipe: Recipe, *, content: Source | None = None, styles: Sequence[Source] = ()) -> Painting:
    """The job that a recipe describes, its inputs taken from the recorded paths or the ones given here.

    The engine is the recipe's where it can run here: the same to the bit needs the same engine. Raises `ImpastoError`
    where an input or the weights are not those of the recipe, by their SHA-256.
    """
    settings = recipe.checked_settings()
    if not engines.can_run(settings.engine):
        settings = settings.model_copy(update={"engine": EngineName.AUTO})
    painting = Painting(
        content if content is not None else _recorded(recipe.content),
        styles or [_recorded(style) for style in recipe.styles],
        settings,
    )
    pairs = [("content", painting.content, recipe.content)]
    if len(painting.styles) != len(recipe.styles):
        raise ImpastoError(
            f"The recipe has {len(recipe.styles)} styles but {len(painting.styles)} were given: give each."
        )
    pairs += [("style", mine, wanted) for mine, wanted in zip(painting.styles, recipe.styles, strict=True)]
    if painting.init is not None and recipe.init is not None:
        pairs.append(("init", painting.init, recipe.init))
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
    painting = Painting(content, styles, settings or Settings(**knobs))
    for event in painting.events():
        if isinstance(event, Finished):
            return images.to_pil(event.picture, painting.alpha(event.picture))
    raise ImageError("The run ended without a picture.")  # unreachable: Finished is always the last event


@contextmanager
def fitting(settings: Settings) -> Iterator[None]:
    """Raises `ImpastoError` where memory runs out in spite of the plan."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):  # torch has no error of its own on CPUs
            raise
        raise ImpastoError(
            f"Painting {settings.size} px took more memory than there was: close other programs or give a "
            "lower --max-memory."
        ) from error


def open_style(style: Source, settings: Settings) -> Picture:
    """A painting from a file or from memory; a name that is no file but a swatch's is painted on the spot."""
    if not isinstance(style, str) or Path(style).exists():
        return images.load(style, max_pixels=settings.max_pixels)
    if style not in swatches.names():
        if not Path(style).suffix and (near := difflib.get_close_matches(style, swatches.names(), n=1)):
            raise ImageError(f"{style!r} is neither a file nor a swatch: did you mean the swatch {near[0]!r}?")
        return images.load(style, max_pixels=settings.max_pixels)
    side = min(max(settings.size, SWATCH_SIDE[0]), SWATCH_SIDE[1])
    painted = images.load(swatches.paint(style, (side, side)))
    return replace(painted, name=style)


def _size(picture: Picture) -> tuple[int, int]:
    return picture.pixels.shape[-2], picture.pixels.shape[-1]


def _ingredient(picture: Picture) -> Ingredient:
    return Ingredient(picture.name, picture.path, picture.sha256)


def _recorded(ingredient: Ingredient) -> str:
    return ingredient.path if ingredient.path is not None else ingredient.name
