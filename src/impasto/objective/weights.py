"""How much each loss counts at a size: content against style, and layer against layer, by the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from impasto.images.size import Size
from impasto.network.layers import CHANNELS, feature_size
from impasto.settings.choices import ObjectiveName
from impasto.settings.settings import Settings

CONTENT_RANGE = 8.0
"""α at strength 0 relative to the middle's; its inverse at 1, where little else holds the content."""

Strength = TypeVar("Strength", float, Tensor)
"""A strength, or the strengths at many places."""


@dataclass(frozen=True)
class LossWeights:
    """α, β, the weight of total variation, and each layer's share of the content and the style loss.

    `fraction`, 0 to 1, is how far from the content's own statistics to the styles' the targets lie.
    """

    alpha: float
    beta: float
    content: Mapping[str, float] = field(default_factory=dict)
    style: Mapping[str, float] = field(default_factory=dict)
    tv: float = 0.0
    fraction: float = 1.0


def loss_weights(settings: Settings, size: Size, final: Size) -> LossWeights:
    """The weights of a run's losses at `size` on the way to the `final` size."""
    s = settings
    content, style = layer_weights(s.content_layers, s.content_layer_weights), style_layer_weights(s)
    if s.normalized:
        alpha = s.content_weight * alpha_factor(s.strength)
        fraction = target_fraction(s.strength)  # total variation follows it: at strength 0 the photo stays as it is
        return LossWeights(alpha, s.style_weight, content, style, fraction * s.tv_weight, fraction)
    # The paper's content loss sums over positions and its style loss averages: at a coarser scale α grows as the
    # positions get fewer, so that every scale seeks the final size's balance.
    share = math.prod(size) / math.prod(final)
    if s.objective is ObjectiveName.NOTEBOOK:  # mean((F − P)²), which is the same at every size, from ½ Σ (F − P)²
        means = {
            layer: 2 * w / (CHANNELS[layer] * math.prod(feature_size(layer, size))) for layer, w in content.items()
        }
        return LossWeights(s.content_weight, s.style_weight, means, style, s.tv_weight / share)
    return LossWeights(s.content_weight / share, s.style_weight, content, style, s.tv_weight / share)


def style_layer_weights(settings: Settings) -> dict[str, float]:
    """What E_l of each style layer is multiplied by: w_l (Gatys et al. 2015, eq. 5), in the notebook w_l 4/N².

    Its layers' losses are 1/N² mean((G/M − A/M)²) over the N² elements of a Gram matrix, 4/N² E_l.
    """
    weights = layer_weights(settings.style_layers, settings.layer_weights)
    if settings.objective is ObjectiveName.NOTEBOOK:
        return {layer: 4 * weight / CHANNELS[layer] ** 2 for layer, weight in weights.items()}
    return weights


def layer_weights(layers: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """The weight of each layer: the ones given, or equal ones that sum to 1 (w_l = 1/5 for the paper's five)."""
    return dict(zip(layers, weights or [1 / len(layers)] * len(layers), strict=True)) if layers else {}


def alpha_factor(strength: Strength) -> Strength:
    """What α is multiplied by at a strength, 1 in the middle."""
    return CONTENT_RANGE ** (1 - 2 * strength)  # pyright: ignore[reportReturnType]


def target_fraction(strength: Strength) -> Strength:
    """How far from the content's statistics to the styles' the targets of a strength lie: 0, .68, .94, .996, 1.

    Steep at first: half of a painting's palette is no palette. From the middle on α alone makes the difference
    (docs/decisions/0015-the-front.md).
    """
    return 1 - (1 - strength) ** 4
