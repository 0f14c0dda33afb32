"""Colour modes: what the network is given of content and styles, what is optimised, and how that becomes a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.images import colour
from impasto.images.size import resize, size_of
from impasto.objective.colour_matching import grey_like, matched
from impasto.objective.evaluation import Evaluate, Evaluation
from impasto.objective.inputs import Inputs
from impasto.objective.tint import Tint, make_tint
from impasto.settings.choices import Color
from impasto.settings.settings import Settings
from impasto.storage.scratch import MEMORY, Scratch


@dataclass(frozen=True)
class ColourMode:
    """What the network is given in place of content and styles, images (1, 3, h, w) in [0, 1].

    With `chroma` only lightness is optimised: the canvas is (1, 1, h, w), and its pictures get that image's chroma.
    With `tint` pictures get other colours than what was optimised.
    """

    content: Tensor
    styles: tuple[Tensor, ...]
    chroma: Tensor | None = None
    tint: Tint | None = None

    def canvas(self, start: Tensor, scratch: Scratch = MEMORY) -> Tensor:
        """What is optimised, beginning with an image (1, 3, h, w)."""
        return start if self.chroma is None else scratch.map_rows(colour.grey, 1, start)

    def canvas_of_detail(self, detail: Tensor) -> Tensor:
        """A difference of two images that the network is given, as one of canvases."""
        return detail if self.chroma is None else detail[:, :1]

    def image(self, image: Tensor) -> Tensor:
        """What the network would be given of an image (1, 3, h, w): all of it, or its lightness alone."""
        return image if self.chroma is None else grey_image(colour.grey(image))

    def chroma_at(self, size: tuple[int, int], scratch: Scratch = MEMORY) -> Tensor | None:
        """The image whose chroma pictures of a size get, None where they keep their own."""
        return None if self.chroma is None else resize(self.chroma, size, scratch)

    def wrap(self, evaluate: Evaluate, scratch: Scratch = MEMORY) -> Evaluate:
        """An objective of images as one of canvases: the three channels of a grey share their value."""
        if self.chroma is None:
            return evaluate

        def evaluate_grey(canvas: Tensor) -> Evaluation:
            now = evaluate(grey_image(canvas))
            return now.with_gradient(scratch.map_rows(lambda g: g.sum(dim=1, keepdim=True), 1, now.gradient))

        return evaluate_grey

    def picture(self, canvas: Tensor, scratch: Scratch = MEMORY, chroma: Tensor | None = None) -> Tensor:
        """A copy of a canvas as an image: (1, 3, h, w), clamped to [0, 1], on the CPU or in a file; without `tint`.

        `chroma` is `chroma_at` the canvas's size, where that is at hand.
        """
        image = scratch.map(lambda x: x.clamp(0, 1), canvas.detach()).cpu()
        chroma = self.chroma_at(size_of(image), scratch) if chroma is None else chroma
        if chroma is None:
            return image
        return scratch.map_rows(lambda x, c: colour.recoloured(grey_image(x), c), 3, image, chroma)


def colour_mode(color: Color, content: Tensor, styles: Sequence[Tensor]) -> ColourMode:
    """The colour mode of that name for content and styles (1, 3, h, w) in [0, 1], of any sizes."""
    return MODES[color](content, tuple(styles))


def colour_mode_of(settings: Settings, inputs: Inputs) -> ColourMode:
    """The colour mode of a run."""
    mode = colour_mode(settings.color, inputs.content, inputs.styles)
    if settings.color is not Color.TINT:
        return mode
    return replace(mode, tint=make_tint(inputs, settings.style_weights))


def _style_colours(content: Tensor, styles: tuple[Tensor, ...]) -> ColourMode:
    return ColourMode(content, styles)


@torch.no_grad()
def _lightness_only(content: Tensor, styles: tuple[Tensor, ...]) -> ColourMode:
    greys = tuple(grey_image(grey_like(style, content)) for style in styles)
    return ColourMode(grey_image(colour.grey(content)), greys, chroma=content)


@torch.no_grad()
def _matched_colours(content: Tensor, styles: tuple[Tensor, ...]) -> ColourMode:
    return ColourMode(content, tuple(matched(style, content) for style in styles))


MODES: dict[Color, Callable[[Tensor, tuple[Tensor, ...]], ColourMode]] = {
    Color.STYLE: _style_colours,
    Color.KEEP: _lightness_only,
    Color.MATCH: _matched_colours,
    Color.TINT: _style_colours,
}


def grey_image(grey: Tensor) -> Tensor:
    """A grey as an image: (n, 1, h, w) -> (n, 3, h, w), without a copy."""
    return grey.expand(-1, 3, -1, -1)
