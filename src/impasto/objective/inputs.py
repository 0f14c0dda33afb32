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
    that a run starts from where its settings name one.
    """

    content: Tensor
    styles: Sequence[Tensor]
    masks: Sequence[Tensor] = ()
    style_masks: Sequence[Tensor | None] = ()
    init: Tensor | None = None


def style_at(size: Size, style: Tensor, settings: Settings, scratch: Scratch) -> Tensor:
    """A style image for a canvas of `size`: strokes keep their size relative to the canvas.

    One that is larger than the canvas is measured in tiles, or, by losses that can't be, as far as its middle. None is
    made so small that a layer would have no position.
    """
    whole, full = max(size), size_of(style)
    longest = max(1, round(settings.style_scale * whole))
    least = smallest_side(settings.style_layers or ["relu1_1"])
    if min(fit(full, longest)) < least:
        longest = math.ceil(least * max(full) / min(full))
    resized = resize(style, fit(full, longest), scratch)
    if longest <= whole or settings.style_loss.additive:
        return resized
    h, w = size_of(resized)
    top, left = max(0, (h - whole) // 2), max(0, (w - whole) // 2)
    return resized[..., top : top + whole, left : left + whole]
