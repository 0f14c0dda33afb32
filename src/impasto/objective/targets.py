"""What a canvas should become: statistics of the paintings, features of the photo, and the unit of each loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.size import size_of
from impasto.losses import content_loss, total_variation
from impasto.losses.catalogue import LayerLoss, hypercolumn_loss, layer_loss
from impasto.losses.hypercolumns import cells, jittered_grid, places_within, sample
from impasto.network.engine import Engine
from impasto.network.layers import feature_size, poolings_before
from impasto.network.stages import TileActivations, TiledNetwork, allocate_features, split_into_stages
from impasto.network.tiles import halo, stride
from impasto.settings.choices import Color, ContentLossName, StyleLossName
from impasto.storage.scratch import MEMORY, Scratch

SAMPLES = 1024
"""Places at which losses of hypercolumns look: as many as in STROTSS (Kolkin et al. 2019)."""

TINY = 1e-12
"""Least measure that a loss is divided by, for pictures in which a layer sees nothing at all."""


@dataclass(frozen=True)
class LossWeights:
    """α, β, the weight of total variation, each layer's share of the content and the style loss, and the strength.

    `strength` is how far from the photo's own statistics to the paintings' the targets lie, 0 to 1. Each loss is
    divided by its unit, if it has one: see `normalized`.
    """

    alpha: float
    beta: float
    content: Mapping[str, float]
    style: Mapping[str, float]
    tv: float = 0.0
    strength: float = 1.0
    units: Mapping[str, float] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that some loss needs, each once."""
        return tuple({**self.content, **self.style})

    def unit(self, loss: str) -> float:
        """What that loss is divided by."""
        return self.units.get(loss, 1.0)


@dataclass(frozen=True)
class Manner:
    """What is compared, and where: the losses by name, and masks (1, 1, h, w) in [0, 1] of any size.

    `masks` are the regions of the canvas, one for each painting; `style_masks` the parts of each painting that count.
    Empty means everywhere, and paintings that share the whole canvas are blended. With `erode` a mask counts only where
    all that a feature sees lies within it. `seed` draws places and directions.
    """

    style: StyleLossName = StyleLossName.GRAM
    content: ContentLossName = ContentLossName.FEATURES
    masks: Sequence[Tensor] = ()
    style_masks: Sequence[Tensor | None] = ()
    erode: bool = False
    seed: int = 0

    def generator(self) -> torch.Generator:
        """Random numbers that are the same whenever asked for."""
        return torch.Generator().manual_seed(self.seed)


class Gauge:
    """Measures what losses need of a picture of `size` (h, w), seen tile by tile: sums that add up over tiles.

    `masks` are its regions (1, 1, h, w); none means one region everywhere.
    """

    def __init__(
        self,
        manner: Manner,
        style: Iterable[str],
        content: Iterable[str],
        size: tuple[int, int],
        masks: Sequence[Tensor | None] = (),
    ) -> None:
        self.manner, self.style, self.size = manner, tuple(style), size
        self.regions = [Region(manner, self.style, size, mask) for mask in masks or (None,)]
        places = jittered_grid(SAMPLES, size, manner.generator())
        similar = content if manner.content.joint else ()
        self.similar = {name: cells(places, feature_size(name, size)) for name in similar}
        self._losses: dict[str, LayerLoss] = {}

    def measure(self, look: TileActivations) -> dict[str, Tensor]:
        """What a tile adds to each sum: 'style/relu1_1/0' for the first region, 'content/relu4_2' for samples of it."""
        sums: dict[str, Tensor] = {}
        for name in look.stage.layers:
            features = look.features[name]
            for number, region in enumerate(self.regions if name in self.style else ()):
                if region.cells:
                    sums[f"style/{name}/{number}"] = sampled(features, region.cells[name], name, look)
                else:
                    weight = look.tile.interior_of(name, region.guides[name]).to(features) if region.guides else None
                    sums[f"style/{name}/{number}"] = self.loss(name, features.shape[1]).measure(features, weight)
            if name in self.similar:
                sums[f"content/{name}"] = sampled(features, self.similar[name], name, look)
        return sums

    def loss(self, layer: str, channels: int = 0) -> LayerLoss:
        """The style loss of a layer, made when it is first asked for, with its number of channels."""
        if layer not in self._losses:
            self._losses[layer] = layer_loss(self.manner.style, channels, self.manner.generator())
        return self._losses[layer]


class Region:
    """A part of a picture: its mask at each layer, or the places in it at which hypercolumns are sampled."""

    def __init__(self, manner: Manner, layers: Sequence[str], size: tuple[int, int], mask: Tensor | None) -> None:
        self.area = 1.0 if mask is None else mask.mean().item()
        self.guides: dict[str, Tensor] = {}
        self.cells: dict[str, Tensor] = {}
        if manner.style.joint:
            draw = manner.generator()
            places = jittered_grid(SAMPLES, size, draw) if mask is None else places_within(mask, SAMPLES, draw)
            self.cells = {name: cells(places, feature_size(name, size)) for name in layers}
        elif mask is not None:
            self.guides = {name: guide(mask, name, size, erode=manner.erode) for name in layers}


def sampled(features: Tensor, at: Tensor, layer: str, look: TileActivations) -> Tensor:
    """A tile's part of the samples (n, c) of a whole picture's features at cells (n, 2)."""
    corner = look.tile.interior.pooled(poolings_before(layer))
    return sample(features, at.to(features) - features.new_tensor([corner.top, corner.left]))


def guide(mask: Tensor, layer: str, size: tuple[int, int], *, erode: bool = False) -> Tensor:
    """A mask (1, 1, h, w) taken down to a layer of a picture of `size`: the mean of the pixels behind each position.

    With `erode`, first the least of all pixels that a position's features depend on, so that they don't see across the
    border (Gatys et al. 2017, section 4.1), unless nothing would be left.
    """
    if mask.shape[-2:] != size:
        mask = F.interpolate(mask, size, mode="bilinear", antialias=True).clamp(0, 1)
    if erode:
        reach = halo([layer])
        least = -F.max_pool2d(-mask, (2 * reach + 1, 1), stride=1, padding=(reach, 0))
        least = -F.max_pool2d(-least, (1, 2 * reach + 1), stride=1, padding=(0, reach))
        mask = least if least.any() else mask
    step = stride([layer])
    return F.avg_pool2d(mask, step) if step > 1 else mask


@dataclass(frozen=True)
class Targets:
    """What the photo and the paintings ask for; and where the photo stands, to measure distances from.

    `content` are the photo's features (1, c, h, w) by layer. `start` and `style` are what the gauge measures of the
    photo and, blended, of the paintings, by the gauge's names; `shares` the weight of each region, 1 in all.
    """

    gauge: Gauge
    content: Mapping[str, Tensor]
    start: Mapping[str, Tensor]
    style: Mapping[str, Tensor]
    shares: Sequence[float]
    start_variation: float


Remembered = dict[tuple[Color, tuple[int, int], int | None], Targets]
"""Targets that were measured, by whose colours, the canvas's size (h, w) and the tile, which may follow free memory."""


@torch.no_grad()
def measure_targets(
    engine: Engine,
    weighting: LossWeights,
    content: Tensor,
    styles: Iterable[Tensor],
    shares: Sequence[float] = (),
    *,
    manner: Manner | None = None,
    tile: int | None = None,
    scratch: Scratch = MEMORY,
) -> Targets:
    """The targets set by a photo and paintings, images (1, 3, h, w) in [0, 1] of any sizes, seen in tiles if asked to.

    Several styles without masks are blended by their statistics. For Gram matrices that is to minimise the weighted sum
    of losses: for shares s_i that sum to 1, Σ s_i |G − A_i|² and |G − Σ s_i A_i|² differ by a constant. With masks,
    every style has its region, and shares weight those. `scratch` is where the photo's features are kept.
    """
    manner = manner or Manner()
    gauge = Gauge(manner, weighting.style, weighting.content, size_of(content), manner.masks)
    kept = () if manner.content.joint else weighting.content
    start, features = survey(engine, gauge, content, kept, tile=tile, scratch=scratch)
    theirs = []
    for number, style in enumerate(styles):
        mask = manner.style_masks[number] if manner.style_masks else None
        mine = Gauge(manner, weighting.style, (), size_of(style), [mask])
        theirs.append(survey(engine, mine, style, tile=tile, scratch=scratch)[0])
    shares = shares or [1.0] * len(theirs)
    blended: dict[str, Tensor] = {}
    for name in weighting.style:
        blend = hypercolumn_loss(manner.style).blend if manner.style.joint else gauge.loss(name).blend
        stats = [one[f"style/{name}/0"] for one in theirs]
        if manner.masks:
            blended |= {f"style/{name}/{number}": blend([one], [1.0]) for number, one in enumerate(stats)}
        else:
            blended[f"style/{name}/0"] = blend(stats, shares)
    areas = [region.area for region in gauge.regions]
    if manner.masks:
        areas = [area * share for area, share in zip(areas, shares, strict=True)]
    weights = [area / sum(areas) for area in areas]
    return Targets(gauge, features, start, blended, weights, variation(content, scratch))


@torch.no_grad()
def survey(
    engine: Engine,
    gauge: Gauge,
    image: Tensor,
    content: Iterable[str] = (),
    *,
    tile: int | None = None,
    scratch: Scratch = MEMORY,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What a gauge measures of an image (1, 3, h, w), and its features (1, c, h, w) at the layers `content`."""
    content = tuple(content)
    sums: dict[str, Tensor] = {}
    whole: dict[str, Tensor] = {}
    stages = split_into_stages(gauge.size, (*gauge.style, *gauge.similar, *content), tile)
    for look in TiledNetwork(engine, stages, image, scratch).forward():
        sums = added(sums, gauge.measure(look))
        for name in (name for name in look.stage.layers if name in content):
            if name not in whole:
                whole[name] = allocate_features(name, look.features[name], gauge.size, scratch)
            scratch.write(look.tile.interior_of(name, whole[name]), look.features[name])
    return sums, whole


def added(sums: Mapping[str, Tensor], more: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The sums of both, by name."""
    return {**sums, **{name: sums[name] + part if name in sums else part for name, part in more.items()}}


def variation(image: Tensor, scratch: Scratch) -> float:
    """Total variation, summed over bands of rows."""
    h, w = image.shape[-2:]
    bands = scratch.windows(h, 3 * w * image.element_size())
    return sum((total_variation(image[..., b.start : b.stop + 1, :], (b.stop - b.start, w)).item() for b in bands), 0.0)


def variance(features: Tensor, scratch: Scratch) -> tuple[float, float]:
    """½ Σ (P − mean)² and ½ Σ P² of features (1, c, h, w), the mean being each channel's."""
    row = features[:, :, 0].numel() * features.element_size()

    def added(part: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.stack([part(features[:, :, rows]) for rows in scratch.windows(features.shape[2], row)]).sum(dim=0)

    mean = added(lambda p: p.sum(dim=(2, 3), keepdim=True)) / features[0, 0].numel()
    return added(lambda p: content_loss(p, mean)).item(), added(lambda p: content_loss(p, torch.zeros_like(p))).item()


class Goals:
    """The targets at a strength, ready to be compared with: every loss that is a function of sums."""

    def __init__(self, targets: Targets, weighting: LossWeights) -> None:
        self.targets, self.weighting = targets, weighting
        self.manner, self.gauge = targets.gauge.manner, targets.gauge
        regions = range(len(self.gauge.regions))
        if self.manner.style.joint:
            self._prepared = {number: self._prepare_columns(number) for number in regions} if weighting.style else {}
        else:
            self._prepared = {
                (name, number): self._prepare(name, f"style/{name}/{number}")
                for name in weighting.style
                for number in regions
            }
        self._photo: Any = None
        if self.gauge.similar:
            samples = [targets.start[f"content/{name}"] for name in self.gauge.similar]
            weights = [weighting.content[name] for name in self.gauge.similar]
            self._photo = hypercolumn_loss(self.manner.content).prepare(samples, weights)

    def compare(self, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each loss of these sums before weights and units: 'style/relu1_1/0' in the first region, and so on."""
        found: dict[str, Tensor] = {}
        for at, target in self._prepared.items():
            if isinstance(at, int):
                samples = [sums[f"style/{name}/{at}"] for name in self.weighting.style]
                found[f"style/{self.manner.style}/{at}"] = hypercolumn_loss(self.manner.style).compare(samples, target)
            else:
                name, number = at
                found[f"style/{name}/{number}"] = self.gauge.loss(name).compare(sums[f"style/{name}/{number}"], target)
        if self._photo is not None:
            samples = [sums[f"content/{name}"] for name in self.gauge.similar]
            loss = hypercolumn_loss(self.manner.content)
            found[f"content/{self.manner.content}"] = loss.compare(samples, self._photo)
        return found

    def losses(self, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The losses in their units, regions put together by their shares: 'style/relu1_1', and so on."""
        found: dict[str, Tensor] = {}
        for key, loss in self.compare(sums).items():
            name, _, region = key.rpartition("/") if key.startswith("style/") else (key, "", "")
            share = self.targets.shares[int(region)] if region else 1.0
            found = added(found, {name: share * loss / self.weighting.unit(key)})
        return found

    def _prepare(self, layer: str, key: str) -> Any:
        loss, strength = self.gauge.loss(layer), self.weighting.strength
        style = self.targets.style[key]
        return loss.prepare(style if strength == 1 else loss.between(self.targets.start[key], style, strength))

    def _prepare_columns(self, number: int) -> Any:
        loss, strength = hypercolumn_loss(self.manner.style), self.weighting.strength
        keys = [f"style/{name}/{number}" for name in self.weighting.style]
        shares = [1 - strength, strength]
        samples = [loss.blend([self.targets.start[key], self.targets.style[key]], shares) for key in keys]
        return loss.prepare(samples, list(self.weighting.style.values()))


@torch.no_grad()
def normalized(weighting: LossWeights, targets: Targets, scratch: Scratch = MEMORY) -> LossWeights:
    """Each loss divided by what it measures on this pair, so that a weight means the same on every pair and size.

    A style loss becomes the share of the photo's distance to the painting that is left, the content loss the share of
    the photo's feature variance that is lost (of its self-similarity, the share of what shuffling would lose), total
    variation a multiple of the photo's own. Floors keep units above 0 where the photo is flat or equals the painting.
    """
    units = {"tv": max(targets.start_variation, TINY)}
    for name, p in targets.content.items():
        lost, everything = variance(p, scratch)
        units[f"content/{name}"] = max(lost, 1e-3 * everything, TINY)
    goals = Goals(targets, replace(weighting, strength=1.0, units={}))
    sums = dict(targets.start)
    order = torch.randperm(SAMPLES * 2, generator=targets.gauge.manner.generator())
    for name in targets.gauge.similar:
        samples = sums[f"content/{name}"]
        sums[f"content/{name}"] = samples[order[order < len(samples)].to(samples.device)]
    distances = goals.compare(sums)
    joint = targets.gauge.manner.style.joint
    nothing = {} if joint else goals.compare({key: torch.zeros_like(stats) for key, stats in sums.items()})
    for key, distance in distances.items():
        least = 1e-2 * nothing[key].item() if key in nothing and key.startswith("style/") else 0.0
        units[key] = max(distance.item(), least, TINY)
    return replace(weighting, units=units)
