"""The inputs of a job: content, styles, masks and an initial image, from files or from memory, checked."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.errors import ImageError, SettingsError
from impasto.images import camera, reading
from impasto.images.reading import Picture, SourceImage
from impasto.images.size import Size, canvas_size, resize, size_of
from impasto.jobs.local_strength import Faces, guarded_faces, strength_shares
from impasto.jobs.recipe import SINGLE, InputFile
from impasto.objective.inputs import Inputs, enlargement, measured_size
from impasto.run.memory_plan import resident_memory
from impasto.run.plan import Shapes
from impasto.settings.settings import Settings
from impasto.storage.scratch import Scratch
from impasto.swatches import catalogue as swatches

Source = Picture | SourceImage
"""An image: whatever `reading.load` takes, or one loaded; for a style also the name of a swatch."""

NO_STYLE = "check the path, or take one that 'impasto swatches' lists"

SWATCH_SIDE = (256, 2048)
"""Least and greatest side in pixels at which a swatch is painted to serve as a style."""


Opener = Callable[[str], SourceImage]
"""A way to open the files that settings name, such as one that opens each file once for many jobs."""


@dataclass(frozen=True)
class StylizationInputs:
    """The images of a stylization: content, styles, masks, the start and the strength map.

    What stands for no file is None. `faces` are those in the content, None where nobody asked for them.
    """

    content: SourceImage
    styles: tuple[SourceImage, ...]
    masks: tuple[SourceImage | None, ...] = ()
    style_masks: tuple[SourceImage | None, ...] = ()
    init: SourceImage | None = None
    strength_map: SourceImage | None = None
    faces: Faces | None = None

    @classmethod
    def open(
        cls,
        content: Source,
        styles: Sequence[Source],
        settings: Settings,
        opener: Opener | None = None,
        faces: Sequence[tuple[float, float, float, float]] | None = None,
    ) -> StylizationInputs:
        """The images given and those that settings name; raises `SettingsError` or `ImageError`.

        `faces` are known ones, which needn't be found again.
        """
        opener = opener or partial(open_image, settings=settings)
        _check_counts(settings, styles)
        style_masks = open_masks(settings.style_mask, "style_mask", "all", len(styles), opener)
        for mask in style_masks:
            _check_not_black(mask, "style_mask", "nothing of the style counts", "paint white what is to count")
        strength_map = opener(settings.strength_map) if settings.has_strength_map else None
        _check_not_black(strength_map, "strength_map", "nothing is to be painted", "paint white what is")
        photo = open_image(content, settings)
        longest = max(canvas_size(photo.size, settings.longest_side))
        return cls(
            photo,
            tuple(open_style(style, settings, longest) for style in styles),
            open_masks(settings.mask, "mask", "rest", len(styles), opener),
            style_masks,
            opener(settings.init) if settings.init_is_image else None,
            strength_map,
            guarded_faces(photo.pixels, settings, faces),
        )

    def canvas_size(self, longest: int | None) -> Size:
        """Height and width of the content when its longest side is `longest`, its own for None."""
        return canvas_size(self.content.size, longest)

    def dpi(self, settings: Settings) -> float | None:
        """The result's pixels an inch: the content's where it keeps its size, else those of the print, if it is one."""
        return self.content.dpi if settings.longest_side is None else settings.dpi

    def shapes(self, settings: Settings) -> Shapes:
        """What the plan of a run has to know of the images."""
        sizes = [style.size for style in self.styles]
        return shapes_of(self.canvas_size(settings.longest_side), sizes, settings)

    @property
    def style_sizes(self) -> list[tuple[str, Size]]:
        """Name and (h, w) of each style."""
        return [(style.name, style.size) for style in self.styles]

    def enlargements(self, settings: Settings) -> list[float]:
        """How many times as large each style is made for the picture; below 1 where it is shrunk."""
        canvas = self.canvas_size(settings.longest_side)
        return [enlargement(canvas, style.size, settings) for style in self.styles]

    def all_masks(self) -> list[SourceImage]:
        """The masks that are images, those of the canvas first."""
        return [mask for mask in (*self.masks, *self.style_masks) if mask is not None]

    def tensors(self) -> Inputs:
        """The same as tensors, with the region of each style."""
        return Inputs(
            self.content.pixels,
            tuple(style.pixels for style in self.styles),
            style_regions(self.masks),
            [None if mask is None else whiteness(mask) for mask in self.style_masks],
            None if self.init is None else self.init.pixels,
            self.strengths(),
        )

    def strengths(self) -> Tensor | None:
        """The share of the strength at each place (1, 1, h, w): the map's, times what faces get; None for all of it."""
        shares = None if self.strength_map is None else whiteness(self.strength_map)
        return strength_shares(shares, self.faces, self.content.size)

    def alpha(self, picture: Tensor, scratch: Scratch) -> Tensor | None:
        """The content's transparency (1, 1, h, w) at the size of `picture`, None where the content is opaque."""
        return None if self.content.alpha is None else resize(self.content.alpha, size_of(picture), scratch)

    def camera(self, settings: Settings) -> bytes | None:
        """What settings let the picture carry of the content's EXIF, None for nothing."""
        return camera.chosen(self.content.camera, camera=settings.keep_exif, place=settings.keep_gps)

    def with_paths(self, settings: Settings) -> dict[str, Any]:
        """Settings as JSON has them, with the absolute paths of the files that they name."""
        found = settings.model_dump(mode="json")
        for knob, images in (("mask", self.masks), ("style_mask", self.style_masks)):
            given = zip(images, found[knob], strict=True)
            found[knob] = [name if image is None else image.path or image.name for image, name in given]
        single = {knob: image for knob in SINGLE if (image := getattr(self, knob)) is not None}
        return found | {knob: image.path or image.name for knob, image in single.items()}


def shapes_of(canvas: Size, styles: Sequence[Size], settings: Settings) -> Shapes:
    """What the plan of a stylization has to know: (h, w) of the canvas and of every style image."""

    def measured(size: Size) -> list[Size]:
        return [measured_size(size, style, settings) for style in styles]

    return Shapes(canvas, len(styles), style_sizes=measured)


class InMemory:
    """Images given for what settings name files for: settings that name them, and an opener that finds them again."""

    def __init__(self, settings: Settings, opener: Opener | None, **given: Sequence[Source]) -> None:
        self._opener = opener or partial(open_image, settings=settings)
        self._limits = settings
        self._images: dict[str, Source] = {}
        update: dict[str, Any] = {}
        for knob, sources in given.items():
            if not sources:
                continue
            if getattr(settings, knob) != Settings.model_fields[knob].default:
                raise SettingsError(f"`{knob}` is in the settings and given as an image too", "drop one", knob=knob)
            update[knob] = tuple(self._named(knob, number, source) for number, source in enumerate(sources, start=1))
        update |= {knob: update[knob][0] for knob in SINGLE if knob in update}
        self.settings = Settings(**settings.model_dump() | update) if update else settings

    def _named(self, knob: str, number: int, source: Source) -> str:
        if isinstance(source, str):  # a file, or a word that stands for none
            return source
        name = os.fspath(source) if isinstance(source, os.PathLike) else f"{knob} {number} in memory"
        self._images[name] = source
        return name

    def open(self, file: str) -> SourceImage:
        """The image that a name stands for."""
        source = self._images.get(file)
        return self._opener(file) if source is None else open_image(source, self._limits)


def input_file(image: SourceImage) -> InputFile:
    """What a recipe says of an image."""
    return InputFile(image.name, image.path, image.sha256)


def open_image(source: Source, settings: Settings, needed: int | None = None) -> SourceImage:
    """An image from a file or from memory, read within the budget; one that was loaded before is taken as it is.

    `needed` pixels of its longest side count; None stands for what `size` says, and for all where that is the photo's.
    """
    if not isinstance(source, SourceImage):
        budget = settings.max_memory_bytes
        room = None if budget is None else budget - resident_memory()
        return reading.load(source, max_pixels=settings.max_pixels, needed=needed or settings.longest_side, room=room)
    if not source.pixels.is_inference():
        return source
    # One that was loaded under inference mode has to be copied before it can take part in gradients.
    return replace(source, pixels=source.pixels.clone(), alpha=None if source.alpha is None else source.alpha.clone())


def open_style(style: Source, settings: Settings, longest: int | None = None) -> SourceImage:
    """A style image from a file or from memory; a name that is no file but a swatch's is painted on the spot.

    A swatch is as large as the canvas, whose longest side is `longest` (None: as the settings say), within
    `SWATCH_SIDE`.
    """
    if not isinstance(style, str) or Path(style).exists():
        longest = longest or settings.longest_side
        return _visible(open_image(style, settings, None if longest is None else style_pixels(longest, settings)))
    if style not in swatches.names():
        if reading.ADDRESS.match(style):
            return reading.load(style)  # which says so
        likeness = 0.8 if Path(style).suffix else 0.6  # of a file's name less is likely to be a swatch's
        near = difflib.get_close_matches(Path(style).stem, swatches.names(), n=1, cutoff=likeness)
        hint = f"did you mean the swatch {near[0]!r}? 'impasto swatches' lists them all" if near else NO_STYLE
        raise ImageError(f"{style!r} is neither a file nor a swatch", hint)
    side = min(max(longest or settings.longest_side or 0, SWATCH_SIDE[0]), SWATCH_SIDE[1])
    painted = reading.load(swatches.paint(style, (side, side)))
    return replace(painted, name=style)


def style_pixels(longest: int, settings: Settings) -> int:
    """How many pixels of a style's longest side count for a canvas whose own is `longest`."""
    return math.ceil(longest * settings.style_factor)


def open_masks(
    files: Sequence[str], knob: str, word: str, styles: int, opener: Opener
) -> tuple[SourceImage | None, ...]:
    """The images of masks, None for the `word` that stands for no file; raises `SettingsError` or `ImageError`."""
    if files and len(files) != styles:
        raise SettingsError(
            f"`{knob}` has {len(files)} values for {styles} styles", "give one per style", knob=knob, value=files
        )
    return tuple(None if file == word else opener(file) for file in files)


def whiteness(mask: SourceImage) -> Tensor:
    """A mask (1, 1, h, w) in [0, 1] from an image: its grey, and nothing where it is transparent."""
    grey = mask.pixels.mean(dim=1, keepdim=True)
    return grey if mask.alpha is None else grey * mask.alpha


def style_regions(masks: Sequence[SourceImage | None]) -> list[Tensor]:
    """The masks (1, 1, h, w) of a run's styles, of which one may be what the others leave of the canvas."""
    given = {number: whiteness(mask) for number, mask in enumerate(masks) if mask is not None}
    if len(given) == len(masks):
        return list(given.values())
    size = max((size_of(mask) for mask in given.values()), key=lambda hw: hw[0] * hw[1])
    left = torch.ones(1, 1, *size)
    for mask in given.values():
        left = left - resize(mask.expand(-1, 3, -1, -1), size)[:, :1]
    return [given.get(number, left.clamp(0, 1)) for number in range(len(masks))]


def _check_not_black(mask: SourceImage | None, knob: str, so: str, cure: str) -> None:
    """Raise `ImageError` for a mask that lets nothing through."""
    if mask is not None and not whiteness(mask).any():
        name = mask.path or mask.name
        raise ImageError(f"The `{knob}` {name} is black all over, so that {so}", cure, knob=knob, value=mask.path)


def _visible(style: SourceImage) -> SourceImage:
    if style.alpha is not None and not style.alpha.any():
        raise ImageError(f"The style {style.name!r} is transparent all over, so it shows no manner", "use another")
    return style


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
