"""What a stylization starts with: content and styles, and where in the canvas each style belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from impasto.images.size import Size, resize
from impasto.objective.colour_mode import ColourMode
from impasto.objective.evaluation import Evaluate, Evaluation
from impasto.objective.regions import resized_mask
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


class StylizationTransform:
    """Canvases of one size as images: the colour mode, and the content where no region is.

    Whatever is resized for it is resized once.
    """

    def __init__(self, mode: ColourMode, masks: Sequence[Tensor], size: Size, scratch: Scratch) -> None:
        self.mode, self.size, self.scratch = mode, size, scratch
        self._whole_masks = masks

    @cached_property
    def masks(self) -> list[Tensor]:
        """The regions of the canvas, at its size."""
        return [resized_mask(mask, self.size).to(self.mode.content) for mask in self._whole_masks]

    @cached_property
    def coverage(self) -> Tensor | None:
        """Where the canvas is painted at all, (1, 1, h, w) in [0, 1]; None for everywhere."""
        if not self.masks:
            return None
        covered = sum(self.masks[1:], start=self.masks[0]).clamp(0, 1)
        return None if covered.min() == 1 else covered

    def content(self) -> Tensor:
        """The content at the canvas's size, as the network is given it."""
        return resize(self.mode.content, self.size, self.scratch)

    @cached_property
    def _background(self) -> Tensor:
        """The content as a canvas, which shows where no region is."""
        return self.mode.canvas(self.content(), self.scratch)

    @cached_property
    def _chroma(self) -> Tensor | None:
        return self.mode.chroma_at(self.size, self.scratch)

    def wrap(self, evaluate: Evaluate) -> Evaluate:
        """An objective of images as one of canvases: see `CanvasTransform`."""
        evaluate = self.mode.wrap(evaluate, self.scratch)
        covered = self.coverage
        if covered is None:
            return evaluate

        def evaluate_composite(canvas: Tensor) -> Evaluation:
            now = evaluate(self._composite(canvas, covered))
            gradient = self.scratch.map_rows(torch.mul, canvas.shape[1], now.gradient, covered.to(canvas))
            return replace(now, gradient=gradient)

        return evaluate_composite

    def picture(self, canvas: Tensor) -> Tensor:
        """What a canvas shows: see `CanvasTransform`."""
        covered = self.coverage
        shown = canvas if covered is None else self._composite(canvas, covered)
        return self.mode.picture(shown, self.scratch, self._chroma)

    def _composite(self, canvas: Tensor, covered: Tensor) -> Tensor:
        background = self._background.to(canvas)
        return self.scratch.map_rows(torch.lerp, canvas.shape[1], background, canvas, covered.to(canvas))
