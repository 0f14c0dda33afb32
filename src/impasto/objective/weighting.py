"""How much each loss counts at a size: content against style, and layer against layer, by the settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from impasto.objective.targets import LossWeights
from impasto.settings.choices import ObjectiveName
from impasto.settings.settings import Settings

CONTENT_RANGE = 5.0
"""α at strength 0 relative to the default; 1 at 0.5, and its inverse at 1, where little else holds the photo."""


def balance(settings: Settings, size: tuple[int, int], final: tuple[int, int]) -> LossWeights:
    """The weights of a run's losses at (h, w) pixels on the way to a `final` size, and its strength."""
    s = settings
    weighting = LossWeights(
        alpha=s.content_weight,
        beta=s.style_weight,
        content=layer_shares(s.content_layers, s.content_layer_weights),
        style=layer_shares(s.style_layers, s.layer_weights),
        tv=s.tv_weight,
    )
    if s.objective is ObjectiveName.NORMALIZED:
        alpha = s.content_weight * CONTENT_RANGE ** (1 - 2 * s.strength)
        return replace(weighting, alpha=alpha, strength=way(s.strength))
    # The paper's content loss sums over positions and its style loss averages: at a coarser scale α grows as the
    # positions get fewer, so that every scale seeks the final size's balance.
    share = math.prod(size) / math.prod(final)
    return replace(weighting, alpha=weighting.alpha / share, tv=weighting.tv / share)


def layer_shares(layers: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """The weight of each layer: the ones given, or equal ones that sum to 1 (w_l = 1/5 for the paper's five)."""
    return dict(zip(layers, weights or [1 / len(layers)] * len(layers), strict=True)) if layers else {}


def way(strength: float) -> float:
    """How far from the photo's statistics to the painting's the targets of a strength lie: 0, .44, .75, .94, 1.

    Steep at first, so that the middle of the knob is a painting and its end the last bit of one.
    """
    return 1 - (1 - strength) ** 2
