"""Content losses as loss terms: the features' values at each place, or how much places resemble one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from impasto.images.size import Size
from impasto.losses.catalogue import hypercolumn_loss
from impasto.losses.gatys import content_loss
from impasto.network.tiled_network import TileActivations
from impasto.objective.regions import SAMPLES, places_in, samples_at, taken_down
from impasto.objective.statistics import Statistic
from impasto.objective.terms import TINY, Kind, LocalTerm, LossTerm, compare_with
from impasto.settings.choices import ContentLossName
from impasto.storage.devices import resident
from impasto.storage.scratch import Scratch


@dataclass(frozen=True)
class ContentTarget:
    """What the content image asks for: its features (1, c, h, w) by layer, or statistics with their values."""

    features: Mapping[str, Tensor] = field(default_factory=dict)
    statistics: Mapping[str, Statistic] = field(default_factory=dict)
    of_content: Mapping[str, Tensor] = field(default_factory=dict)


class ContentLoss(Protocol):
    """A way to compare content."""

    layers: tuple[str, ...]

    def features(self) -> tuple[str, ...]:
        """The layers whose features it needs of the whole content image."""
        ...

    def statistics(self, size: Size) -> dict[str, Statistic]:
        """By layer, what it measures of an image of `size`."""
        ...

    def terms(self, target: ContentTarget, weights: Mapping[str, float], *, normalized: bool) -> Iterator[LossTerm]:
        """The loss terms on statistics, with layer weights.

        Normalised, a loss is the share that is lost of the content's own variance, or of its self-similarity.
        """
        ...

    def local_terms(
        self, target: ContentTarget, weights: Mapping[str, float], scratch: Scratch, *, normalized: bool
    ) -> Iterator[LocalTerm]:
        """The loss terms that are themselves sums over positions, likewise; `scratch` is where features are kept."""
        ...


class FeatureContent:
    """The content loss of the paper: ½ Σ (F − P)² at each layer. Gatys et al. 2015, eq. 1.

    `weights` (1, 1, h, w) multiply what each pixel's positions lose.
    """

    def __init__(self, layers: Sequence[str], weights: Tensor | None = None) -> None:
        self.layers, self.weights = tuple(layers), weights

    def features(self) -> tuple[str, ...]:
        """See `ContentLoss`."""
        return self.layers

    def statistics(self, size: Size) -> dict[str, Statistic]:
        """See `ContentLoss`; none."""
        return {}

    def terms(self, target: ContentTarget, weights: Mapping[str, float], *, normalized: bool) -> Iterator[LossTerm]:
        """See `ContentLoss`; none."""
        return iter(())

    def local_terms(
        self, target: ContentTarget, weights: Mapping[str, float], scratch: Scratch, *, normalized: bool
    ) -> Iterator[LocalTerm]:
        """See `ContentLoss`; one for each layer."""
        for layer, weight in weights.items():
            p = target.features[layer]
            roots = None if self.weights is None else taken_down(self.weights, layer).sqrt()
            measure = partial(_content_of_tile, layer, roots)
            unit = self._unit(p, scratch) if normalized else 1.0
            yield LocalTerm(Kind.CONTENT, f"content/{layer}", layer, measure, weight, unit, target=p)

    def _unit(self, p: Tensor, scratch: Scratch) -> float:
        """½ Σ (P − mean)², above a thousandth of ½ Σ P²."""
        lost, everything = variance(p, scratch)
        return max(lost, 1e-3 * everything, TINY)


class SimilarityContent:
    """Self-similarity of hypercolumns at sampled places, of all layers at once. Kolkin et al. 2019 (STROTSS).

    With `weights` (1, 1, h, w) of an image's pixels, places are as dense as those are high, and their mean multiplies
    the loss.
    """

    def __init__(
        self, name: ContentLossName, layers: Sequence[str], *, seed: int, weights: Tensor | None = None
    ) -> None:
        self.name, self.layers, self.seed, self.weights = name, tuple(layers), seed, weights
        self._loss = hypercolumn_loss(name)

    def features(self) -> tuple[str, ...]:
        """See `ContentLoss`; none."""
        return ()

    def statistics(self, size: Size) -> dict[str, Statistic]:
        """See `ContentLoss`."""
        uneven = None if self.weights is None or self.weights.min() == self.weights.max() else self.weights
        places = places_in(None, size, torch.Generator().manual_seed(self.seed), uneven)
        return {layer: samples_at(layer, places, size) for layer in self.layers}

    def local_terms(
        self, target: ContentTarget, weights: Mapping[str, float], scratch: Scratch, *, normalized: bool
    ) -> Iterator[LocalTerm]:
        """See `ContentLoss`; none."""
        return iter(())

    def terms(self, target: ContentTarget, weights: Mapping[str, float], *, normalized: bool) -> Iterator[LossTerm]:
        """See `ContentLoss`; one term."""
        if not weights:
            return
        statistics = tuple(target.statistics[layer] for layer in weights)
        samples = [target.of_content[layer] for layer in weights]
        compare = partial(compare_with, self._loss.compare, self._loss.prepare(samples, list(weights.values())))
        unit = self._unit(samples, compare) if normalized else 1.0
        mean = 1.0 if self.weights is None else self.weights.mean().item()
        yield LossTerm(Kind.CONTENT, f"content/{self.name}", statistics, compare, share=mean, unit=unit)

    def _unit(self, samples: Sequence[Tensor], compare: Callable[[Sequence[Tensor]], Tensor]) -> float:
        """The loss of the content's own samples in another order."""
        order = torch.randperm(SAMPLES * 2, generator=torch.Generator().manual_seed(self.seed))
        shuffled = [values[order[order < len(values)].to(values.device)] for values in samples]
        return max(compare(shuffled).item(), TINY)


def make_content_loss(
    name: ContentLossName, layers: Sequence[str], *, seed: int = 0, weights: Tensor | None = None
) -> ContentLoss:
    """The content loss of that name on these layers; `seed` draws places, `weights` (1, 1, h, w) are the pixels'."""
    if name.joint:
        return SimilarityContent(name, layers, seed=seed, weights=weights)
    return FeatureContent(layers, weights)


def variance(features: Tensor, scratch: Scratch) -> tuple[float, float]:
    """½ Σ (P − mean)² and ½ Σ P² of features (1, c, h, w), the mean being each channel's."""
    row = features[:, :, 0].numel() * features.element_size()

    def added(part: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.stack([part(features[:, :, rows]) for rows in scratch.windows(features.shape[2], row)]).sum(dim=0)

    mean = added(lambda p: p.sum(dim=(2, 3), keepdim=True)) / features[0, 0].numel()
    return added(lambda p: content_loss(p, mean)).item(), added(lambda p: content_loss(p, torch.zeros_like(p))).item()


def _content_of_tile(layer: str, roots: Tensor | None, activations: TileActivations, wanted: Tensor | None) -> Tensor:
    """A tile's part of ½ Σ (F − P)², each position's weighted by the square of its root in `roots` (1, 1, h, w)."""
    assert wanted is not None
    features = activations.features[layer]
    if roots is None:
        return content_loss(features, wanted)
    root = activations.tile.interior_of(layer, resident(roots, features))
    return content_loss(root * features, root * wanted)
