"""What a run looks at: photo and paintings in the colours that the network sees, and the regions of the styles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.size import resize, size_of
from impasto.objective import colour_mode as palette
from impasto.objective.colour_mode import ColourMode
from impasto.run.memory import Plan
from impasto.run.optimizers import Evaluate, Evaluation
from impasto.settings.choices import Color
from impasto.storage.scratch import Scratch


class Scene:
    """A photo and paintings (1, 3, h, w) in [0, 1] with masks (1, 1, h, w), all of any size, for one run's plan."""

    def __init__(
        self,
        content: Tensor,
        styles: Sequence[Tensor],
        masks: Sequence[Tensor],
        style_masks: Sequence[Tensor | None],
        color: Color,
        plan: Plan,
        scratch: Scratch,
    ) -> None:
        self.content, self.styles = content, tuple(styles)
        self.masks, self.style_masks = tuple(masks), tuple(style_masks)
        self.plan, self.scratch = plan, scratch
        self.recolour(color)

    def recolour(self, color: Color) -> None:
        """Treat colour in another way from here on."""
        self.colours = palette.make(color, self.content, self.styles)
        self.photo, self.paintings = self.colours.photo, self.colours.paintings

    def masks_at(self, size: tuple[int, int]) -> list[Tensor]:
        """The regions of a canvas of `size` (h, w)."""
        return [_resized(mask, size).to(self.photo) for mask in self.masks]

    def coverage(self, size: tuple[int, int]) -> Tensor | None:
        """Where a canvas of `size` is painted at all, (1, 1, h, w) in [0, 1]; None for everywhere."""
        if not self.masks:
            return None
        covered = sum(self.masks_at(size)[1:], start=self.masks_at(size)[0]).clamp(0, 1)
        return None if covered.min() == 1 else covered

    def seen(self, evaluate: Evaluate, size: tuple[int, int]) -> Evaluate:
        """An objective of pictures as one of canvases of `size`: the photo shows where no region is."""
        colours = self.colours
        evaluate = colours.seen(evaluate, self.scratch)
        covered = self.coverage(size)
        if covered is None:
            return evaluate

        def evaluate_composite(canvas: Tensor) -> Evaluation:
            now = evaluate(self._composite(canvas, colours))
            gradient = self.scratch.map_rows(torch.mul, canvas.shape[1], now.gradient, covered.to(canvas))
            return replace(now, gradient=gradient)

        return evaluate_composite

    @property
    def picture(self) -> Callable[[Tensor], Tensor]:
        """What makes a copy of a canvas that an event may own, see `ColourMode.picture`, in the colours of now.

        The photo shows where no region is.
        """
        colours = self.colours
        return lambda canvas: colours.picture(self._composite(canvas, colours), self.scratch)

    def _composite(self, canvas: Tensor, colours: ColourMode) -> Tensor:
        size = size_of(canvas)
        covered = self.coverage(size)
        if covered is None:
            return canvas
        photo = colours.canvas(resize(colours.photo, size, self.scratch), self.scratch).to(canvas)
        return self.scratch.map_rows(torch.lerp, canvas.shape[1], photo, canvas, covered.to(canvas))


def _resized(mask: Tensor, size: tuple[int, int]) -> Tensor:
    if mask.shape[-2:] == size:
        return mask
    return F.interpolate(mask, size, mode="bilinear", antialias=True).clamp(0, 1)
