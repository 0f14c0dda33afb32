"""What a stylization starts with: content and styles, and where in the canvas each style belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


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
