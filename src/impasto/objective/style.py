"""Style losses as loss terms: layer by layer, or of all layers at once at sampled places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.images.size import Size
from impasto.losses.catalogue import LayerLoss, hypercolumn_loss, layer_loss
from impasto.network.tiles import Tile
from impasto.objective.regions import guide, places_in, samples_at, taken_down
from impasto.objective.statistics import Statistic
from impasto.objective.terms import TINY, Kind, LossTerm, compare_with
from impasto.settings.choices import StyleLossName
from impasto.storage.devices import resident


@dataclass(frozen=True)
class StyleTarget:
    """What the styles ask for in one region of the canvas, by layer.

    `statistics` are what is measured there, `of_content` their values for the content image, to measure distances from,
    and `of_styles` their blended values for the styles. `share` is the region's weight among all, `reach` how far its
    targets lie relative to the target fraction.
    """

    statistics: Mapping[str, Statistic]
    of_content: Mapping[str, Tensor]
    of_styles: Mapping[str, Tensor]
    share: float
    reach: float = 1.0


class StyleLoss(Protocol):
    """A way to compare styles; layers that it compares, each by itself or all at once, are its own affair."""

    def statistics(self, size: Size, mask: Tensor | None, weights: Tensor | None = None) -> dict[str, Statistic]:
        """By layer, what is measured of an image of `size` within a mask (1, 1, h, w), None for everywhere.

        `weights` say how much each pixel (1, 1, h, w) of it counts.
        """
        ...

    def blend(self, layer: str, values: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
        """One value of a layer's statistic for several images by their shares, normalised to sum to 1."""
        ...

    def terms(
        self, targets: Sequence[StyleTarget], weights: Mapping[str, float], fraction: float, *, normalized: bool
    ) -> Iterator[LossTerm]:
        """The loss terms of these regions, with layer weights, at a target fraction.

        Normalised, a loss is the share of the content's distance to the style that is left.
        """
        ...


class LayerwiseStyle:
    """Style compared layer by layer, by a loss whose statistics may be weighted by a mask at each layer."""

    def __init__(self, name: StyleLossName, layers: Sequence[str], *, erode: bool, seed: int) -> None:
        self.name, self.layers, self.erode, self.seed = name, tuple(layers), erode, seed
        self._losses: dict[str, LayerLoss] = {}

    def statistics(self, size: Size, mask: Tensor | None, weights: Tensor | None = None) -> dict[str, Statistic]:
        """See `StyleLoss`."""
        return {layer: self._statistic(layer, size, mask, weights) for layer in self.layers}

    def _statistic(self, layer: str, size: Size, mask: Tensor | None, weights: Tensor | None) -> Statistic:
        guides = None if weights is None else taken_down(weights, layer)
        if mask is not None:
            guides = guide(mask, layer, size, erode=self.erode, weights=weights)

        def measure(features: Tensor, tile: Tile) -> Tensor:
            weight = None if guides is None else tile.interior_of(layer, resident(guides, features))
            return self._loss(layer, features.shape[1]).measure(features, weight)

        return Statistic(layer, measure)

    def _loss(self, layer: str, channels: int = 0) -> LayerLoss:
        """The loss of a layer, made when the number of its channels is first seen."""
        if layer not in self._losses:
            self._losses[layer] = layer_loss(self.name, channels, torch.Generator().manual_seed(self.seed))
        return self._losses[layer]

    def blend(self, layer: str, values: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
        """See `StyleLoss`."""
        return self._loss(layer).blend(values, shares)

    def terms(
        self, targets: Sequence[StyleTarget], weights: Mapping[str, float], fraction: float, *, normalized: bool
    ) -> Iterator[LossTerm]:
        """See `StyleLoss`; a term for each layer and region."""
        for layer, weight in weights.items():
            loss = self._loss(layer)
            for target in targets:
                content, style = target.of_content[layer], target.of_styles[layer]
                way = fraction * target.reach
                wanted = style if way == 1 else loss.interpolate(content, style, way)
                compare = partial(_compare_one, loss.compare, loss.prepare(wanted))
                unit = self._unit(layer, content, style) if normalized else 1.0
                yield LossTerm(
                    Kind.STYLE, f"style/{layer}", (target.statistics[layer],), compare, weight, target.share, unit
                )

    def _unit(self, layer: str, content: Tensor, style: Tensor) -> float:
        """The content's distance to the style, above a hundredth of what no features at all would have."""
        loss = self._loss(layer)
        target = loss.prepare(style)
        distance, size = (loss.compare(value, target).item() for value in (content, torch.zeros_like(content)))
        return max(distance, 1e-2 * size, TINY)


class HypercolumnStyle:
    """Style compared at sampled places, in all layers at once; a mask says where places may lie."""

    def __init__(self, name: StyleLossName, layers: Sequence[str], *, seed: int) -> None:
        self.name, self.layers, self.seed = name, tuple(layers), seed
        self._loss = hypercolumn_loss(name)

    def statistics(self, size: Size, mask: Tensor | None, weights: Tensor | None = None) -> dict[str, Statistic]:
        """See `StyleLoss`."""
        places = places_in(mask, size, torch.Generator().manual_seed(self.seed), weights)
        return {layer: samples_at(layer, places, size) for layer in self.layers}

    def blend(self, layer: str, values: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
        """See `StyleLoss`."""
        return self._loss.blend(values, shares)

    def terms(
        self, targets: Sequence[StyleTarget], weights: Mapping[str, float], fraction: float, *, normalized: bool
    ) -> Iterator[LossTerm]:
        """See `StyleLoss`; a term for each region."""
        if not weights:
            return
        for target in targets:
            statistics = tuple(target.statistics[layer] for layer in weights)
            wanted = self._prepared(target, weights, fraction * target.reach)
            compare = partial(compare_with, self._loss.compare, wanted)
            unit = 1.0
            if normalized:
                content = [target.of_content[layer] for layer in weights]
                unit = max(self._loss.compare(content, self._prepared(target, weights, 1.0)).item(), TINY)
            yield LossTerm(Kind.STYLE, f"style/{self.name}", statistics, compare, share=target.share, unit=unit)

    def _prepared(self, target: StyleTarget, weights: Mapping[str, float], fraction: float) -> Any:
        styles = [target.of_styles[layer] for layer in weights]
        if fraction == 1 or self._loss.interpolate is None:
            return self._loss.prepare(styles, list(weights.values()))
        content = [target.of_content[layer] for layer in weights]
        return self._loss.interpolate(content, styles, list(weights.values()), fraction)


def make_style_loss(name: StyleLossName, layers: Sequence[str], *, erode: bool = False, seed: int = 0) -> StyleLoss:
    """The style loss of that name on these layers; `seed` draws places and directions, `erode` shrinks masks."""
    if name.joint:
        return HypercolumnStyle(name, layers, seed=seed)
    return LayerwiseStyle(name, layers, erode=erode, seed=seed)


def _compare_one(compare: Callable[[Tensor, Any], Tensor], target: Any, values: Sequence[Tensor]) -> Tensor:
    return compare(values[0], target)
