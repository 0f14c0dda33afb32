"""Canvas transforms: how what is optimised becomes the image that the network is given, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from impasto.images.size import Size, resize
from impasto.objective.colour_mode import ColourMode, grey_image
from impasto.objective.evaluation import Evaluate, Evaluation
from impasto.objective.local_weights import LocalWeights, local_weights
from impasto.objective.periodic import PeriodicCanvas
from impasto.objective.regions import resized_mask
from impasto.objective.weights import target_fraction
from impasto.settings.settings import Settings
from impasto.storage.devices import resident
from impasto.storage.scratch import Scratch


class StylizationTransform:
    """Canvases of one size as images: the colour mode, and the content where no region is or the strength map is black.

    Whatever is resized for it is resized once. `settings` are those of now: strength may change on the way.
    """

    def __init__(
        self,
        mode: ColourMode,
        masks: Sequence[Tensor],
        strength_map: Tensor | None,
        size: Size,
        scratch: Scratch,
        settings: Settings,
    ) -> None:
        self.mode, self.size, self.scratch = mode, size, scratch
        self.settings = settings
        self._whole_masks, self._whole_map = masks, strength_map

    @cached_property
    def masks(self) -> list[Tensor]:
        """The regions of the canvas, at its size."""
        return [resized_mask(mask, self.size).to(self.mode.content) for mask in self._whole_masks]

    @cached_property
    def strength_map(self) -> Tensor | None:
        """The share of the strength at each pixel (1, 1, h, w), None for all of it everywhere."""
        if self._whole_map is None or self._whole_map.min() == 1:
            return None
        return resized_mask(self._whole_map, self.size).to(self.mode.content)

    def local_weights(self, strength: float) -> LocalWeights | None:
        """What the strength map makes of the loss weights of a strength at each pixel; None without one."""
        return None if self.strength_map is None else local_weights(self.strength_map, strength)

    @cached_property
    def coverage(self) -> Tensor | None:
        """Where the canvas is painted at all, (1, 1, h, w) in [0, 1]; None for everywhere."""
        covered = sum(self.masks[1:], start=self.masks[0]).clamp(0, 1) if self.masks else None
        if self.strength_map is not None:
            anything = (self.strength_map > 0).to(self.strength_map)
            covered = anything if covered is None else covered * anything
        return None if covered is None or covered.min() == 1 else covered

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

    @cached_property
    def _tint(self) -> Tensor:
        """The chroma that pictures get after the fact."""
        assert self.mode.tint is not None
        return self.mode.tint.chroma(self.size)

    def wrap(self, evaluate: Evaluate) -> Evaluate:
        """An objective of images as one of canvases: see `CanvasTransform`."""
        evaluate = self.mode.wrap(evaluate, self.scratch)
        covered = self.coverage
        if covered is None:
            return evaluate

        def evaluate_composite(canvas: Tensor) -> Evaluation:
            now = evaluate(self._composite(canvas, covered))
            gradient = self.scratch.map_rows(torch.mul, canvas.shape[1], now.gradient, resident(covered, canvas))
            return now.with_gradient(gradient)

        return evaluate_composite

    def image(self, canvas: Tensor) -> Tensor:
        """What the network is given of a canvas: an image (1, 3, h, w)."""
        covered = self.coverage
        shown = canvas if covered is None else self._composite(canvas, covered)
        return shown if self.mode.chroma is None else grey_image(shown)

    def painted(self, canvas: Tensor) -> Tensor:
        """What was painted: see `CanvasTransform`."""
        covered = self.coverage
        shown = canvas if covered is None else self._composite(canvas, covered)
        return self.mode.picture(shown, self.scratch, self._chroma)

    @torch.no_grad()
    def picture(self, canvas: Tensor) -> Tensor:
        """What a canvas shows: see `CanvasTransform`; the content stays the content where no region is."""
        painted, tint = self.painted(canvas), self.mode.tint
        if tint is None:
            return painted
        tinted = tint.picture(painted, self._tint, self.scratch, self._tinted_share())
        if self.coverage is None:
            return tinted
        covered = self.coverage.to(painted)
        return self.scratch.map_rows(lambda m, t, p: torch.where(m > 0, t, p), 3, covered, tinted, painted)

    def _tinted_share(self) -> float | Tensor:
        """How much of the tint pictures get by the strength there is now: its target fraction."""
        if not self.settings.normalized:
            return 1.0
        if self.strength_map is None:
            return target_fraction(self.settings.strength)
        return target_fraction(self.settings.strength * self.strength_map)

    def _composite(self, canvas: Tensor, covered: Tensor) -> Tensor:
        background, covered = resident(self._background, canvas), resident(covered, canvas)
        return self.scratch.map_rows(torch.lerp, canvas.shape[1], background, canvas, covered)


@dataclass(frozen=True)
class PeriodicTransform:
    """Canvases as images: themselves, with their surroundings where they are periodic."""

    periodic: PeriodicCanvas | None
    scratch: Scratch

    def wrap(self, evaluate: Evaluate) -> Evaluate:
        """See `CanvasTransform`."""
        return evaluate if self.periodic is None else self.periodic.wrap(evaluate, self.scratch)

    def painted(self, canvas: Tensor) -> Tensor:
        """See `CanvasTransform`; the picture."""
        return self.picture(canvas)

    def picture(self, canvas: Tensor) -> Tensor:
        """See `CanvasTransform`."""
        return self.scratch.map(lambda x: x.clamp(0, 1), canvas.detach()).cpu()
