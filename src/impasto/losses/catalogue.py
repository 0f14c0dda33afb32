"""Every style and content loss as the functions that an objective calls, all in the same order.

    statistics = measure(features)     of an image, or of its tiles: sums if the loss's name says it is `additive`
    target = prepare(statistics)       once, of a style
    compare(statistics, target)        the loss, a scalar; its gradient to the statistics is what tiles back-propagate

What a loss makes of the content is the unit for normalising it: compare(start, target), with the content's statistics.
What it makes of nothing, compare(torch.zeros_like(start), target), says which distances are too small to divide by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impasto.losses.gatys import style_layer_loss
from impasto.losses.gaussian import (
    gaussian_target,
    gaussian_w2,
    interpolate_gaussian,
    interpolate_gram,
    interpolate_mean_std,
    mean_std_loss,
    mean_std_target,
)
from impasto.losses.hypercolumns import sample, sample_mixture
from impasto.losses.matching import (
    interpolate_rows,
    moment_matching,
    relaxed_emd,
    self_similarity,
    self_similarity_loss,
)
from impasto.losses.moments import (
    TINY,
    averaged,
    channel_moments,
    counted_gram,
    mean_and_covariance_of_rows,
    mixture,
    moments,
)
from impasto.losses.sliced import directions, projected_quantiles, quantile_mixture, sliced_wasserstein
from impasto.settings.choices import ContentLossName, StyleLossName


@dataclass(frozen=True)
class LayerLoss:
    """A style loss of one layer.

    `measure` takes features (1, c, h, w) and weights (1, 1, h, w) in [0, 1] or None. `blend` mixes the statistics of
    several styles by shares. `interpolate` gives the statistics at a fraction of the way from the content's to the
    style's: the content's loss to them is fraction² of that to the style, whatever the pair; Gram matrices, which go
    along a curve, leave (1 − fraction)² of it.
    """

    measure: Callable[[Tensor, Tensor | None], Tensor]
    prepare: Callable[[Tensor], Any]
    compare: Callable[[Tensor, Any], Tensor]
    blend: Callable[[Sequence[Tensor], Sequence[float]], Tensor]
    interpolate: Callable[[Tensor, Tensor, float], Tensor]


@dataclass(frozen=True)
class HypercolumnLoss:
    """A loss of all its layers at once, at sampled places.

    `measure` takes a layer's features (1, c, h, w) and cells (n, 2), see `hypercolumns`, and gives samples
    (n, c). `prepare` and `compare` take all layers' samples; layer weights go into `prepare`. `blend` mixes one
    layer's samples of several styles by shares. `interpolate` makes of the content's samples and a style's, with layer
    weights, what `prepare` makes of the style's: the target at a fraction of the way.
    """

    prepare: Callable[[Sequence[Tensor], Sequence[float]], Any]
    compare: Callable[[Sequence[Tensor], Any], Tensor]
    measure: Callable[[Tensor, Tensor], Tensor] = sample
    blend: Callable[[Sequence[Tensor], Sequence[float]], Tensor] = sample_mixture
    interpolate: Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[float], float], Any] | None = None


def layer_loss(name: StyleLossName, channels: int, generator: torch.Generator) -> LayerLoss:
    """The style loss of that name for a layer of so many channels; the generator draws the directions of `swd`."""
    if name is StyleLossName.SWD:
        return _quantiles(directions(channels, generator))
    if name is StyleLossName.HISTOGRAM:
        return _quantiles(torch.eye(channels, dtype=torch.float64))
    return MOMENT_LOSSES[name]


def hypercolumn_loss(name: StyleLossName | ContentLossName) -> HypercolumnLoss:
    """The loss of that name, which has to be a `joint` one."""
    return CONTENT_LOSSES[name] if isinstance(name, ContentLossName) else JOINT_LOSSES[name]


def _gram_loss(statistics: Tensor, target: Tensor) -> Tensor:
    return style_layer_loss(averaged(statistics)[:, :-1, :-1], averaged(target)[:, :-1, :-1], m=1)


def _interpolate_quantiles(start: Tensor, target: Tensor, fraction: float) -> Tensor:
    return quantile_mixture([start, target], [1 - fraction, fraction])


def _as_it_is(statistics: Tensor) -> Tensor:
    return statistics


def _quantiles(along: Tensor) -> LayerLoss:
    measure = partial(projected_quantiles, along=along)
    return LayerLoss(
        lambda features, weight: measure(features, weight=weight),
        _as_it_is,
        sliced_wasserstein,
        quantile_mixture,
        _interpolate_quantiles,
    )


MOMENT_LOSSES: Mapping[StyleLossName, LayerLoss] = {
    StyleLossName.GRAM: LayerLoss(counted_gram, averaged, _gram_loss, mixture, interpolate_gram),
    StyleLossName.MEAN_STD: LayerLoss(channel_moments, mean_std_target, mean_std_loss, mixture, interpolate_mean_std),
    StyleLossName.W2: LayerLoss(moments, gaussian_target, gaussian_w2, mixture, interpolate_gaussian),
}
"""The style losses that are functions of sums over positions."""


class StyleColumns(NamedTuple):
    """A style's hypercolumns (m, d), with μ and Σ, and what each layer's samples were multiplied by (l,)."""

    scales: Tensor
    columns: Tensor
    mean: Tensor
    covariance: Tensor


class ContentColumns(NamedTuple):
    """A content image's self-similarity (n, n), and what each layer's samples were multiplied by (l,)."""

    scales: Tensor
    similarity: Tensor


def _scales(samples: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Factors that give each layer its weight's share of the squared length, and the mean square of an entry 1.

    The papers take features as they come, so that the layers with the largest values decide, and how much moments
    count beside cosines depends on the units of the weights. A layer without activations counts for nothing.
    """
    length = torch.stack([s.square().sum(dim=1).mean() for s in samples])
    width = sum(s.shape[1] for s in samples)
    shares = torch.tensor(weights, dtype=length.dtype, device=length.device) / max(sum(weights), TINY)
    nothing = length <= TINY * length.max()
    return torch.where(nothing, 0.0, (width * shares / length.masked_fill(nothing, 1.0)).sqrt())


def _joined(samples: Sequence[Tensor], scales: Tensor) -> Tensor:
    return torch.cat([s * scale for s, scale in zip(samples, scales, strict=True)], dim=1)


def _style_columns(samples: Sequence[Tensor], weights: Sequence[float]) -> StyleColumns:
    scales = _scales(samples, weights)
    columns = _joined(samples, scales)
    return StyleColumns(scales, columns, *mean_and_covariance_of_rows(columns))


def _interpolate_columns(
    content: Sequence[Tensor], style: Sequence[Tensor], weights: Sequence[float], fraction: float
) -> StyleColumns:
    scales = _scales(style, weights)
    x, y = _joined(content, scales), _joined(style, scales)
    ends = zip(mean_and_covariance_of_rows(x), mean_and_covariance_of_rows(y), strict=True)
    mean, covariance = (torch.lerp(a, b, fraction) for a, b in ends)
    return StyleColumns(scales, interpolate_rows(x, y, fraction), mean, covariance)


def _content_columns(samples: Sequence[Tensor], weights: Sequence[float]) -> ContentColumns:
    scales = _scales(samples, weights)
    return ContentColumns(scales, self_similarity(_joined(samples, scales)))


def _relaxed(samples: Sequence[Tensor], target: StyleColumns) -> Tensor:
    """ℓ_r + ℓ_m of STROTSS; without its ℓ_p for colours (1/α there), which relu1_1 and `color` look after here."""
    columns = _joined(samples, target.scales)
    return relaxed_emd(columns, target.columns) + moment_matching(columns, target.mean, target.covariance)


def _similar(samples: Sequence[Tensor], target: ContentColumns) -> Tensor:
    return self_similarity_loss(_joined(samples, target.scales), target.similarity)


JOINT_LOSSES: Mapping[StyleLossName, HypercolumnLoss] = {
    StyleLossName.REMD: HypercolumnLoss(_style_columns, _relaxed, interpolate=_interpolate_columns),
}
"""The style losses that are functions of hypercolumns."""

CONTENT_LOSSES: Mapping[ContentLossName, HypercolumnLoss] = {
    ContentLossName.SELF_SIMILARITY: HypercolumnLoss(_content_columns, _similar),
}
"""The content losses that are functions of hypercolumns; `content_loss` is the one that isn't."""
