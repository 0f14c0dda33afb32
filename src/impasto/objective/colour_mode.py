"""How a run treats colour: what the network is shown, what is optimised, and how that becomes a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.images import colour
from impasto.images.size import resize, size_of
from impasto.objective import colour_matching
from impasto.run.optimizers import Evaluate, Evaluation
from impasto.settings.choices import Color
from impasto.storage.scratch import MEMORY, Scratch


@dataclass(frozen=True)
class ColourMode:
    """What the network is shown in place of the photo and the paintings, images (1, 3, h, w) in [0, 1].

    With `chroma` only lightness is optimised: the canvas is (1, 1, h, w), and its pictures get that photo's chroma.
    """

    photo: Tensor
    paintings: tuple[Tensor, ...]
    chroma: Tensor | None = None

    def canvas(self, start: Tensor, scratch: Scratch = MEMORY) -> Tensor:
        """What is optimised, beginning with an image (1, 3, h, w)."""
        return start if self.chroma is None else scratch.map_rows(colour.grey, 1, start)

    def canvas_of_detail(self, detail: Tensor) -> Tensor:
        """A difference of two images that the network is shown, as one of canvases."""
        return detail if self.chroma is None else detail[:, :1]

    def shown(self, image: Tensor) -> Tensor:
        """What the network would be shown of an image (1, 3, h, w): all of it, or its lightness alone."""
        return image if self.chroma is None else _channels(colour.grey(image))

    def seen(self, evaluate: Evaluate, scratch: Scratch = MEMORY) -> Evaluate:
        """An objective of images as one of canvases: the three channels of a grey share their value."""
        if self.chroma is None:
            return evaluate

        def evaluate_grey(canvas: Tensor) -> Evaluation:
            now = evaluate(_channels(canvas))
            return replace(now, gradient=scratch.map_rows(lambda g: g.sum(dim=1, keepdim=True), 1, now.gradient))

        return evaluate_grey

    def picture(self, canvas: Tensor, scratch: Scratch = MEMORY) -> Tensor:
        """A copy of a canvas that an event may own: (1, 3, h, w), clamped to [0, 1], on the CPU or in a file."""
        image = scratch.map(lambda x: x.clamp(0, 1), canvas.detach()).cpu()
        if self.chroma is None:
            return image
        chroma = resize(self.chroma, size_of(image), scratch)
        return scratch.map_rows(lambda x, c: colour.recoloured(_channels(x), c), 3, image, chroma)


def make(color: Color, photo: Tensor, paintings: Sequence[Tensor]) -> ColourMode:
    """The palette of that name for a photo and paintings (1, 3, h, w) in [0, 1], of any sizes."""
    return PALETTES[color](photo, tuple(paintings))


def _as_they_are(photo: Tensor, paintings: tuple[Tensor, ...]) -> ColourMode:
    return ColourMode(photo, paintings)


@torch.no_grad()
def _in_grey(photo: Tensor, paintings: tuple[Tensor, ...]) -> ColourMode:
    greys = tuple(_channels(colour_matching.grey_like(painting, photo)) for painting in paintings)
    return ColourMode(_channels(colour.grey(photo)), greys, chroma=photo)


@torch.no_grad()
def _in_the_photos_colours(photo: Tensor, paintings: tuple[Tensor, ...]) -> ColourMode:
    return ColourMode(photo, tuple(colour_matching.matched(painting, photo) for painting in paintings))


PALETTES: dict[Color, Callable[[Tensor, tuple[Tensor, ...]], ColourMode]] = {
    Color.STYLE: _as_they_are,
    Color.KEEP: _in_grey,
    Color.MATCH: _in_the_photos_colours,
}


def _channels(grey: Tensor) -> Tensor:
    """A grey as an image: (n, 1, h, w) -> (n, 3, h, w), without a copy."""
    return grey.expand(-1, 3, -1, -1)
