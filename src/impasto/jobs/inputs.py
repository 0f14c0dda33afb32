"""The inputs of a job: content, styles, masks and an initial image, from files or from memory, checked."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from impasto.errors import ImageError, SettingsError
from impasto.images import reading
from impasto.images.reading import SourceImage
from impasto.images.size import resize, size_of
from impasto.settings.settings import Settings
from impasto.swatches import catalogue as swatches

Source = str | os.PathLike[str] | PIL.Image.Image | np.ndarray | SourceImage
"""An image: a path, a PIL image, an array (h, w[, channels]), or one loaded; for a style also the name of a swatch."""

SWATCH_SIDE = (256, 2048)
"""Least and greatest side in pixels at which a swatch is painted to serve as a style."""


def open_image(source: Source, settings: Settings) -> SourceImage:
    """An image from a file or from memory; one that was loaded before is taken as it is."""
    return source if isinstance(source, SourceImage) else reading.load(source, max_pixels=settings.max_pixels)


def open_style(style: Source, settings: Settings) -> SourceImage:
    """A style image from a file or from memory; a name that is no file but a swatch's is painted on the spot."""
    if not isinstance(style, str) or Path(style).exists():
        return _visible(open_image(style, settings))
    if style not in swatches.names():
        if not Path(style).suffix and (near := difflib.get_close_matches(style, swatches.names(), n=1)):
            raise ImageError(f"{style!r} is neither a file nor a swatch", f"did you mean the swatch {near[0]!r}?")
        return reading.load(style, max_pixels=settings.max_pixels)  # which says that there is no such file
    side = min(max(settings.size, SWATCH_SIDE[0]), SWATCH_SIDE[1])
    painted = reading.load(swatches.paint(style, (side, side)))
    return replace(painted, name=style)


def open_masks(
    files: Sequence[str], knob: str, word: str, styles: int, opened: Callable[[str], SourceImage]
) -> tuple[SourceImage | None, ...]:
    """The images of masks, None for the `word` that stands for no file; raises `SettingsError` or `ImageError`."""
    if files and len(files) != styles:
        raise SettingsError(
            f"`{knob}` has {len(files)} values for {styles} styles", "give one per style", knob=knob, value=files
        )
    return tuple(None if file == word else opened(file) for file in files)


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


def _visible(style: SourceImage) -> SourceImage:
    if style.alpha is not None and not style.alpha.any():
        raise ImageError(f"The style {style.name!r} is transparent all over, so it shows no manner", "use another")
    return style
