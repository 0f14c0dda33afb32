"""Texture synthesis as a problem (Gatys, Ecker & Bethge 2015, NIPS): a style alone, on a canvas of any size."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from impasto.images.size import Size, enlarge, fit, resize, size_of
from impasto.network.engine import Engine
from impasto.network.layers import smallest_side
from impasto.objective.initial_canvas import initial_canvas
from impasto.objective.objective import make_objective
from impasto.objective.periodic import enlarge_periodic, periodic_canvas
from impasto.objective.problem import ScaleProblem
from impasto.objective.targets import Comparison, Targets, measure_targets, variation
from impasto.objective.transforms import PeriodicTransform
from impasto.objective.weights import LossWeights, style_layer_weights
from impasto.settings.settings import Settings
from impasto.storage.scratch import MEMORY, Scratch


class TextureProblem:
    """A style image (1, 3, h, w) in [0, 1] as a `Problem`: its statistics alone, from noise in its colours.

    The canvas's final size is `size`; a seamless one is periodic. The style image is taken in its own pixels, or shrunk
    to the canvas's longest side: a bigger canvas gets more of it, not more magnified. Settings are `texture_settings`.
    """

    def __init__(
        self,
        style: Tensor,
        settings: Settings,
        engine: Engine,
        size: Size,
        *,
        seamless: bool = False,
        tile: int | None = None,
        spare: int = 0,
        scratch: Scratch = MEMORY,
        canvas_device: torch.device | None = None,
    ) -> None:
        self.style, self.settings, self.engine, self.size, self.seamless = style, settings, engine, size, seamless
        self.tile, self.spare, self.scratch = tile, spare, scratch
        self.device = engine.device if canvas_device is None else canvas_device
        self._measured: tuple[Size, Targets] | None = None  # of the scale that is worked on

    def first_canvas(self, size: Size) -> Tensor:
        """See `Problem`: noise in the style's colours."""
        blank = self.style.new_empty(1, 3, *size)
        return initial_canvas(self.settings, blank, self.style, None, self.scratch).to(self.device)

    def enlarged(self, canvas: Tensor, size: Size) -> Tensor:
        """See `Problem`."""
        return enlarge_periodic(canvas, size, self.scratch) if self.seamless else enlarge(canvas, size, self.scratch)

    def at(self, size: Size, start: Tensor | None = None) -> ScaleProblem:
        """See `Problem`."""
        s, transform = self.settings, self.transform(size)
        if self._measured is None or self._measured[0] != size:
            self._measured = size, self._measure(size, transform)
        objective = make_objective(
            self.engine,
            self._measured[1],
            LossWeights(alpha=0.0, beta=s.style_weight, style=style_layer_weights(s), tv=s.tv_weight, fraction=1.0),
            size if transform.periodic is None else transform.periodic.surrounded_size,
            normalized=s.normalized,
            tile=self.tile,
            spare=self.spare,
            scratch=self.scratch,
        )
        return ScaleProblem(objective, transform)

    def _measure(self, size: Size, transform: PeriodicTransform) -> Targets:
        """Noise of this size sets the units of losses; a mask keeps a periodic canvas's copies from counting."""
        s, start = self.settings, self.first_canvas(size)
        comparison = Comparison(s.style_layers, style_loss=s.style_loss, seed=s.seed)
        varying, local = variation(start, self.scratch), None
        if (periodic := transform.periodic) is not None:
            local = periodic.counting(start)
            comparison = replace(comparison, masks=[local.fraction])
            start = periodic.surrounded(start, self.scratch)
        style = self.style_at(size).to(self.device)
        targets = measure_targets(self.engine, comparison, start, [style], tile=self.tile, scratch=self.scratch)
        return replace(targets, local=local, variation=varying, styles_variation=math.inf)

    def transform(self, size: Size) -> PeriodicTransform:
        """See `Problem`."""
        periodic = periodic_canvas(size, self.settings.style_layers) if self.seamless else None
        return PeriodicTransform(periodic, self.scratch)

    def change(self, settings: Settings) -> bool:
        """See `Problem`; whatever may change, the canvas is of the same kind."""
        self.settings = settings
        return False

    def canvas_from(self, picture: Tensor) -> Tensor:
        """See `Problem`."""
        return picture.to(self.device)

    def style_at(self, size: Size) -> Tensor:
        """The style image for a scale, never too small for its layers."""
        return resize(self.style, measured_size(size, self.size, size_of(self.style), self.settings), self.scratch)


def measured_size(size: Size, final: Size, style: Size, settings: Settings) -> Size:
    """(h, w) at which a style image of (h, w) is measured for a canvas of `size`, whose `final` size is given too."""
    longest = round(min(max(style), max(final)) * settings.style_factor * max(size) / max(final))
    least = -(-smallest_side(settings.style_layers) * max(style) // min(style))
    return fit(style, max(longest, least))
