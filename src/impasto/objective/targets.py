"""Targets: what content and styles ask of a canvas, measured once for a size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from impasto.images.size import Size, size_of
from impasto.losses.gatys import total_variation
from impasto.network.engine import Engine
from impasto.objective.content import ContentLoss, ContentTarget, make_content_loss
from impasto.objective.known_styles import KnownStyles
from impasto.objective.local_weights import LocalWeights
from impasto.objective.neighbours import Grid, Neighbours, Region, extract_columns, guides, rows_of_style
from impasto.objective.statistics import Statistic, Statistics, extract_statistics, in_order
from impasto.objective.style import StyleLoss, StyleTarget, make_style_loss
from impasto.settings.choices import ContentLossName, StyleLossName
from impasto.storage.scratch import MEMORY, Scratch


@dataclass(frozen=True)
class Comparison:
    """What is compared, and where: the layers, the losses by name, and masks (1, 1, h, w) in [0, 1] of any size.

    `masks` are the regions of the canvas, one for each style; `style_masks` the parts of each style image that count.
    Empty means everywhere, and styles that share the whole canvas are blended. With `erode` a mask counts only where
    all that a feature depends on lies within it. `seed` draws places and directions. `local` are the weights of
    the canvas's pixels.
    """

    style_layers: tuple[str, ...] = ()
    content_layers: tuple[str, ...] = ()
    style_loss: StyleLossName = StyleLossName.GRAM
    content_loss: ContentLossName = ContentLossName.FEATURES
    masks: Sequence[Tensor] = ()
    style_masks: Sequence[Tensor | None] = ()
    erode: bool = False
    seed: int = 0
    local: LocalWeights | None = None


@dataclass(frozen=True)
class Targets:
    """What content and styles ask for at one size: the losses with their targets, and how much they vary themselves.

    `styles` has a target for each region of the canvas. `variation` is the total variation of a canvas that varies as
    much as the content does or as the styles do, whichever is more: a flat photo gets strokes all the same.
    `styles_variation` is that of one that varies as the styles do, ∞ where that doesn't matter. `local` are the weights
    of the canvas's pixels.
    """

    style_loss: StyleLoss
    styles: tuple[StyleTarget, ...]
    content_loss: ContentLoss
    content: ContentTarget
    variation: float
    neighbours: Neighbours | None = None
    local: LocalWeights | None = None
    styles_variation: float = math.inf

    def variation_unit(self, fraction: float) -> float:
        """What total variation is divided by at a target fraction: `variation`, less where the styles hardly vary.

        A picture that is to be as flat as a flat style has room for the content's features in faint grids of dots
        only, which cost nothing by the content's own variation (docs/decisions/0021-flat-and-small-styles.md).
        """
        left = max((1 - fraction) ** 2, LEAST_VARIATION)  # of the content's, as amplitudes go that fraction of the way
        return max(min(self.variation, MUCH_FLATTER * self.styles_variation), left * self.variation)


MUCH_FLATTER = 10
"""How many times less the styles vary than the content where they count as flat; The Scream varies a fifth as much as a
line drawing, and no painting that was measured less."""

LEAST_VARIATION = 0.2
"""Share of the content's variation that the picture may have all the same, or little would be seen of the content."""


@torch.no_grad()
def measure_targets(
    engine: Engine,
    comparison: Comparison,
    content: Tensor,
    styles: Iterable[Tensor],
    shares: Sequence[float] = (),
    *,
    tile: int | None = None,
    scratch: Scratch = MEMORY,
    known: KnownStyles | None = None,
) -> Targets:
    """The targets set by content and style images (1, 3, h, w) in [0, 1] of any sizes, in tiles if asked to.

    Several styles without masks are blended by their statistics. For Gram matrices that is to minimise the weighted sum
    of losses: for shares s_i that sum to 1, Σ s_i |G − A_i|² and |G − Σ s_i A_i|² differ by a constant. With masks,
    every style has its region, and shares weight those. `scratch` is where the content's features are kept. What is
    `known` of the styles isn't measured again.
    """
    c, size = comparison, size_of(content)
    if c.style_loss.local and c.style_layers:  # none of its targets is a statistic
        varying: list[float] = []
        noted = _noting(styles, varying, size, scratch)
        neighbours = _measure_neighbours(engine, c, content, noted, shares, tile, scratch)
        rest = replace(c, style_loss=StyleLossName.GRAM, style_layers=(), masks=())
        found = measure_targets(engine, rest, content, (), tile=tile, scratch=scratch)
        return replace(found, styles=(), neighbours=neighbours, styles_variation=_blended(varying, shares))
    style = make_style_loss(c.style_loss, c.style_layers, erode=c.erode, seed=c.seed)
    counting = None if c.local is None else c.local.counting
    regions = [style.statistics(size, mask, counting) for mask in c.masks or (None,)]
    alphas = None if c.local is None else c.local.alpha
    content_loss = make_content_loss(c.content_loss, c.content_layers, seed=c.seed, weights=alphas)
    samples = content_loss.statistics(size)
    everything = in_order([*(s for region in regions for s in region.values()), *samples.values()])
    features_of = content_loss.features()
    of_content, features = extract_statistics(engine, content, everything, features_of, tile=tile, scratch=scratch)
    variations: list[float] = []
    noted = _noting(styles, variations, size, scratch)
    measured = _measure_styles(engine, c, style, noted, tile, scratch, known)
    shares = shares or [1.0] * len(measured)
    of_styles = [
        {layer: style.blend(layer, [values[layer] for values in group], weights) for layer in c.style_layers}
        for group, weights in _groups(measured, shares, masked=bool(c.masks))
    ]
    targets = tuple(
        StyleTarget(region, _by_layer(region, of_content), goal, share * part, reach)
        for region, goal, share, (part, reach) in zip(
            regions, of_styles, _region_shares(c.masks, shares), _region_weights(c), strict=True
        )
    )
    content_target = ContentTarget(features, samples, _by_layer(samples, of_content))
    of_the_styles = _blended(variations, shares)
    most = max(variation(content, scratch), of_the_styles)
    flatness = of_the_styles if measured else math.inf
    return Targets(style, targets, content_loss, content_target, most, local=c.local, styles_variation=flatness)


def _measure_styles(
    engine: Engine,
    comparison: Comparison,
    loss: StyleLoss,
    styles: Iterable[Tensor],
    tile: int | None,
    scratch: Scratch,
    known: KnownStyles | None,
) -> list[dict[str, Tensor]]:
    """By style and layer, what the loss compares, within the style's mask."""
    c = comparison
    how = f"{c.style_loss} {c.style_layers} {c.erode} {c.seed} {tile} {engine.name} {engine.device}"

    def measure(image: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        theirs = loss.statistics(size_of(image), mask)
        found, _ = extract_statistics(engine, image, in_order(theirs.values()), tile=tile, scratch=scratch)
        return _by_layer(theirs, found)

    measured: list[dict[str, Tensor]] = []
    for number, image in enumerate(styles):
        mask = c.style_masks[number] if c.style_masks else None
        anew = partial(measure, image, mask)
        measured.append(anew() if known is None else known.of(image, mask, how, anew))
    return measured


def _measure_neighbours(
    engine: Engine,
    comparison: Comparison,
    content: Tensor,
    styles: Iterable[Tensor],
    shares: Sequence[float],
    tile: int | None,
    scratch: Scratch,
) -> Neighbours:
    """What nearest neighbours need of content and styles."""
    c, grid = comparison, Grid(comparison.style_layers, size_of(content))
    measured: list[dict[str, Tensor]] = []
    for number, image in enumerate(styles):
        columns = extract_columns(engine, image, c.style_layers, tile=tile, scratch=scratch)
        mask = c.style_masks[number] if c.style_masks else None
        measured.append(rows_of_style(columns, Grid(c.style_layers, size_of(image)), mask, c.seed))
    shares = shares or [1.0] * len(measured)
    regions = [
        Region(
            {layer: torch.cat([rows[layer] for rows in group]) for layer in c.style_layers},
            [len(rows[c.style_layers[0]]) for rows in group],
            weights,
            None if mask is None else guides(mask, grid, erode=c.erode),
            share,
        )
        for mask, (group, weights), share in zip(
            c.masks or (None,),
            _groups(measured, shares, masked=bool(c.masks)),
            _region_shares(c.masks, shares),
            strict=True,
        )
    ]
    columns = extract_columns(engine, content, c.style_layers, tile=tile, scratch=scratch)
    fractions = None if c.local is None else guides(c.local.fraction, grid)
    return Neighbours(grid, columns, regions, scratch, fractions)


def _noting(styles: Iterable[Tensor], variations: list[float], size: Size, scratch: Scratch) -> Iterator[Tensor]:
    """The styles, of each of which is noted how much a canvas of `size` would vary that varies as it does."""
    for image in styles:
        variations.append(variation(image, scratch) * math.prod(size) / math.prod(size_of(image)))
        yield image


def _blended(variations: Sequence[float], shares: Sequence[float]) -> float:
    shares = shares or [1.0] * len(variations)
    return sum(v * share for v, share in zip(variations, shares, strict=True)) / (sum(shares) or 1.0)


def _by_layer(statistics: dict[str, Statistic], values: Statistics) -> dict[str, Tensor]:
    return {layer: values[statistic] for layer, statistic in statistics.items()}


def _groups(
    measured: Sequence[dict[str, Tensor]], shares: Sequence[float], *, masked: bool
) -> list[tuple[Sequence[dict[str, Tensor]], Sequence[float]]]:
    """The styles of each region, with their shares: one each, or all of them together."""
    return [([values], [1.0]) for values in measured] if masked else [(measured, shares)]


def _region_shares(masks: Sequence[Tensor], shares: Sequence[float]) -> list[float]:
    """Each region's weight, 1 in all: its area times its style's share; 0 where no region has an area."""
    areas = [mask.mean().item() * share for mask, share in zip(masks, shares, strict=True)] if masks else [1.0]
    return [area / (sum(areas) or 1.0) for area in areas]


def _region_weights(comparison: Comparison) -> list[tuple[float, float]]:
    """Of each region of the canvas, the part that counts and its reach: see `LocalWeights.of_region`."""
    local, masks = comparison.local, comparison.masks or (None,)
    return [(1.0, 1.0) if local is None else local.of_region(mask) for mask in masks]


def variation(image: Tensor, scratch: Scratch) -> float:
    """Total variation of an image (1, 3, h, w), summed over bands of rows."""
    h, w = size_of(image)
    bands = scratch.windows(h, 3 * w * image.element_size())
    return sum((total_variation(image[..., b.start : b.stop + 1, :], (b.stop - b.start, w)).item() for b in bands), 0.0)
