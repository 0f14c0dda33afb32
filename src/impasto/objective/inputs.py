"""What a stylization starts with: content and styles, and where in the canvas each style belongs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from impasto.images.size import Size, fit, resize, size_of
from impasto.network.layers import smallest_side
from impasto.settings.settings import Settings
from impasto.storage.scratch import Scratch


@dataclass(frozen=True)
class Inputs:
    """Content and styles (1, 3, h, w) in [0, 1] with masks (1, 1, h, w), all of any size.

    `masks` are the regions of the styles, `style_masks` the parts of the style images that count, `init` is the image
    that a run starts from where its settings name one, `strength_map` the share of the strength at each place.
    """

    content: Tensor
    styles: Sequence[Tensor]
    masks: Sequence[Tensor] = ()
    style_masks: Sequence[Tensor | None] = ()
    init: Tensor | None = None
    strength_map: Tensor | None = None


def style_at(size: Size, style: Tensor, settings: Settings, scratch: Scratch) -> Tensor:
    """A style image for a canvas of `size`, resized, and of that as much as `measured_size` says, from its middle."""
    resized = resize(style, _style_size(size, size_of(style), settings), scratch)
    (full_height, full_width), (height, width) = size_of(resized), measured_size(size, size_of(style), settings)
    if (full_height, full_width) == (height, width):
        return resized
    top, left = (full_height - height) // 2, (full_width - width) // 2
    return resized[..., top : top + height, left : left + width]


def measured_size(size: Size, style: Size, settings: Settings) -> Size:
    """(h, w) of what is measured of a style image of (h, w) for a canvas of `size`.

    One that is larger than the canvas is measured in tiles, or, by losses that can't be, as far as its middle.
    """
    height, width = _style_size(size, style, settings)
    if max(height, width) <= max(size) or settings.style_loss.additive:
        return height, width
    return min(height, max(size)), min(width, max(size))


def enlargement(size: Size, style: Size, settings: Settings) -> float:
    """How many times as large a style image of (h, w) is made for a canvas of `size`; below 1 where it is shrunk."""
    return max(_style_size(size, style, settings)) / max(style)


def measuring_tile(size: Size, settings: Settings, tile: int | None) -> int | None:
    """Side of the tiles in which images are measured for a canvas of `size`, whose own tiles have the side `tile`."""
    return tile or (max(size) if settings.style_factor > 1 and settings.style_loss.additive else None)


def _style_size(size: Size, style: Size, settings: Settings) -> Size:
    """(h, w) of a style image for a canvas of `size`: strokes keep their size relative to the canvas.

    None is made so small that a layer would have no position.
    """
    longest = max(1, round(settings.style_factor * max(size)))
    least = smallest_side(settings.style_layers or ["relu1_1"])
    if min(fit(style, longest)) < least:
        longest = math.ceil(least * max(style) / min(style))
    return fit(style, longest)
