"""Nearest neighbours as loss terms: each place of the canvas is to become like the place of the styles most like it.

Kolkin et al. 2022, 'Neural Neighbor Style Transfer' (NNST). A column is what all layers show in a square of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.size import Size, size_of
from impasto.losses.hypercolumns import means_in_squares
from impasto.losses.matching import SMALLEST, cosine_distances, nearest_neighbours, shared_out, unit_vectors
from impasto.network.engine import Engine
from impasto.network.layers import CHANNELS, deepest, multiply_adds, poolings_before
from impasto.network.tiled_network import TileActivations, run_stages, split_into_stages
from impasto.network.tiles import Window, halo
from impasto.objective.regions import guide, resized_mask
from impasto.objective.terms import TINY, Kind, LocalTerm
from impasto.storage.scratch import MEMORY, Scratch

POOLINGS = 2
"""Columns are as dense as features behind so many poolings: 4 px apart, a quarter of the picture's resolution."""

MOST = 16384
"""Columns of a style that are searched, evenly picked: all of them up to 512×512 px."""

SOME = 1024
"""Columns of a style, about, by which it is judged flat or not."""

BLOCK = 256
"""Columns of the canvas that are compared with all of a style's at a time: 16 MB of similarities."""

LEAST_DISTANCE = 1e-3
"""Mean distance to the nearest neighbours, at least, that a loss is divided by: for a content that is the style."""

LEAST_INSIDE, FEWEST_INSIDE = 0.1, 32
"""Share and number of a style's columns that don't see its border from which on these tell whether it is flat."""

FLAT = 0.05
"""Variance of a layer's columns as a share of their mean's square below which the layer counts as flat: paintings and
line drawings have 0.2 and more, one colour with noise of two levels of 255 has 0.007 at most."""

Columns = Mapping[str, Tensor]
"""An image's columns by layer: features (1, c, h, w), means over squares where the layer is finer than the grid."""


@dataclass(frozen=True)
class Grid:
    """The squares of an image of `size` (h, w) that columns stand for, and what of each layer belongs to them."""

    layers: tuple[str, ...]
    size: Size

    @property
    def poolings(self) -> int:
        """A square's side, as a number of halvings; no larger than a position of the deepest layer."""
        return min(POOLINGS, poolings_before(deepest(self.layers)))

    def side(self, layer: str) -> int:
        """Positions of a layer along a square's side; 1 also where several squares share a position."""
        return 1 << max(0, self.poolings - poolings_before(layer))

    def sharing(self, layer: str) -> int:
        """Squares along a side that share a position of a layer; 1 also where a square has several."""
        return 1 << max(0, poolings_before(layer) - self.poolings)

    def window(self, layer: str, window: Window | None = None) -> Window:
        """The part of a layer's columns that a window of the image has, whose corner is on the grid."""
        window, side = Window(0, 0, *self.size) if window is None else window, self.side(layer)
        top, left, bottom, right = (
            -(-(x >> poolings_before(layer)) // side) for x in (window.top, window.left, window.bottom, window.right)
        )
        return Window(top, left, bottom, right)

    def places(self) -> Tensor:
        """(row, column) of every square, (n, 2)."""
        return torch.cartesian_prod(*(torch.arange(-(-length >> self.poolings)) for length in self.size))

    def rows(self, layer: str, columns: Columns, places: Tensor) -> Tensor:
        """A layer's columns at places (n, 2): (n, c)."""
        features = columns[layer][0].permute(1, 2, 0)
        last = places.new_tensor(features.shape[:2]) - 1
        y, x = (places // self.sharing(layer)).minimum(last).to(features.device).unbind(dim=1)
        return features[y, x]


def matched_pixels(canvas: Size, styles: Sequence[Size], layers: Sequence[str]) -> float:
    """Pixels whose way through the network, forward, takes as much work as finding all nearest neighbours once."""

    def columns(size: Size) -> int:
        return len(Grid(tuple(layers), size).places())

    pairs = columns(canvas) * sum(min(MOST, columns(style)) for style in styles)
    return pairs * sum(CHANNELS[layer] for layer in layers) / multiply_adds(deepest(layers))


@torch.no_grad()
def extract_columns(
    engine: Engine, image: Tensor, layers: Sequence[str], *, tile: int | None = None, scratch: Scratch = MEMORY
) -> Columns:
    """The columns of an image (1, 3, h, w) in [0, 1], in tiles if asked to."""
    grid = Grid(tuple(layers), size_of(image))
    stages = split_into_stages(grid.size, grid.layers, tile)
    found: dict[str, Tensor] = {}
    for activations in run_stages(engine, stages, image, scratch):
        for layer in activations.stage.layers:
            part = means_in_squares(activations.features[layer], grid.side(layer))
            if layer not in found:
                whole = grid.window(layer)
                found[layer] = scratch.empty((1, whole.bottom, whole.right, part.shape[1]), part).permute(0, 3, 1, 2)
            scratch.write(grid.window(layer, activations.tile.interior).crop(found[layer]), part)
    return found


def guides(mask: Tensor, grid: Grid, *, erode: bool = False) -> dict[str, Tensor]:
    """By layer, the weights of an image's columns in a region of it, a mask (1, 1, h, w)."""
    return {
        layer: means_in_squares(guide(mask, layer, grid.size, erode=erode), grid.side(layer)) for layer in grid.layers
    }


@torch.no_grad()
def rows_of_style(columns: Columns, grid: Grid, mask: Tensor | None, seed: int) -> dict[str, Tensor]:
    """By layer, the columns of a style (m, c) that are searched: those within a mask (1, 1, h, w), `MOST` at most.

    What a flat style shows at its border are the zeros that convolutions put around it: these columns are left out.
    """
    places = grid.places()
    margin, last = -(-halo(grid.layers) >> grid.poolings), places[-1]
    if mask is not None:
        weight = means_in_squares(resized_mask(mask, grid.size), 1 << grid.poolings).flatten()
        if weight.max() <= 0:
            raise SettingsError("The mask is black all over, so there is nothing to match", "paint its region white")
        places = places[(weight >= weight.max() / 2).cpu()]
    inside = places[((places >= margin) & (places <= last - margin)).all(dim=1)]
    some = inside[:: len(inside) // SOME + 1]
    telling = len(inside) >= max(FEWEST_INSIDE, LEAST_INSIDE * len(places))
    if telling and all(variety(grid.rows(layer, columns, some)) < 1 for layer in grid.layers):
        places = inside
    if len(places) > MOST:
        order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))
        places = places[order[:MOST].sort().values]
    return {layer: grid.rows(layer, columns, places) for layer in grid.layers}


def variety(rows: Tensor) -> float:
    """How much columns (m, c) vary, below 1 only for flat ones: their variance by `FLAT` of their mean's square."""
    return rows.var(dim=0, correction=0).sum().item() / (FLAT * rows.mean(dim=0).square().sum().item() + TINY)


@dataclass(frozen=True)
class Region:
    """A region of the canvas: by layer, its styles' columns one after the other (m, c), `counts` of each.

    `shares` say how much of the region each style is to have. `guides` are the weights (1, 1, h, w) of a layer's
    columns of the canvas, None for 1 everywhere; `share` is the region's weight.
    """

    rows: Mapping[str, Tensor]
    counts: Sequence[int]
    shares: Sequence[float]
    guides: Mapping[str, Tensor] | None
    share: float


@dataclass(frozen=True)
class Neighbours:
    """What is searched, and for what: the content's columns, and for every region its styles' ones.

    `fractions` are by layer what multiplies the target fraction at each of the canvas's columns (1, 1, h, w).
    """

    grid: Grid
    content: Columns
    regions: Sequence[Region]
    scratch: Scratch
    fractions: Mapping[str, Tensor] | None = None

    def columns_of(self, engine: Engine, canvas: Tensor, tile: int | None) -> Columns:
        """The columns of a canvas (1, 3, h, w), as the network is given it."""
        return extract_columns(engine, canvas, self.grid.layers, tile=tile, scratch=self.scratch)

    @torch.no_grad()
    def match(self, canvas: Columns | None = None, share: float | Tensor = 1.0) -> list[Tensor]:
        """For every region, which row of its styles' columns is nearest to each column of the canvas: (h, w) numbers.

        Of the content, a `share`, or one for each pixel (1, 1, h, w), is mixed into what is compared; without a canvas
        that is the content alone.
        """
        if isinstance(share, Tensor):
            share = means_in_squares(share, 1 << self.grid.poolings)[0, 0]
        return [self._match(region, canvas, share) for region in self.regions]

    def _match(self, region: Region, canvas: Columns | None, share: float | Tensor) -> Tensor:
        grid, places = self.grid, self.grid.places()
        # By the paper's rule layers with many channels would decide; so each has the same share of the variance.
        scales = {name: (rows.var(dim=0, correction=0).sum() + TINY).rsqrt() for name, rows in region.rows.items()}

        def queries(block: Tensor) -> Tensor:
            columns = []
            mixed = share[block.unbind(dim=1)][:, None] if isinstance(share, Tensor) else share
            for layer, scale in scales.items():
                content = grid.rows(layer, self.content, block)
                if canvas is not None:
                    painted = grid.rows(layer, canvas, block)
                    content = torch.lerp(painted, content, mixed.to(content) if isinstance(mixed, Tensor) else mixed)
                columns.append(content * scale)
            return torch.cat(columns, dim=1)

        blocks = places.split(BLOCK)
        mean = torch.stack([queries(block).sum(dim=0) for block in blocks]).sum(dim=0) / len(places)
        similarities, numbers, first = [], [], 0
        for count in region.counts:
            y = torch.cat([region.rows[name][first : first + count] * scale for name, scale in scales.items()], dim=1)
            similarity, found = nearest_neighbours(map(queries, blocks), mean, y)
            similarities.append(similarity)
            numbers.append(found + first)
            first += count
        given = shared_out(torch.stack(similarities), region.shares)
        return torch.stack(numbers).gather(0, given[None]).view([int(n) + 1 for n in places[-1]])

    @torch.no_grad()
    def terms(
        self, weights: Mapping[str, float], fraction: float, matches: Sequence[Tensor] | None
    ) -> Iterator[LocalTerm]:
        """The loss terms at a target fraction, with layer weights: for each layer, one for each region.

        Normalised, a loss is the share of the content's distance to its nearest neighbours that is left.
        """
        matches = self.match() if matches is None else matches
        for layer, weight in weights.items():
            for region, match in zip(self.regions, matches, strict=True):
                if region.share:
                    loss = LayerOfRegion(self, region, layer, match)
                    unit = max(loss.of_content(), LEAST_DISTANCE) / region.share
                    measure = partial(loss.of_tile, fraction)
                    yield LocalTerm(Kind.STYLE, f"style/{layer}", layer, measure, weight, unit)


class LayerOfRegion:
    """1/n Σ (1 − cos) of a layer's columns in a region and their targets, around the mean of its styles' columns.

    The paper compares whole columns. Layer by layer, each needs no more than a tile of its own part of the network.
    Targets are made where they are needed.
    """

    def __init__(self, neighbours: Neighbours, region: Region, layer: str, match: Tensor) -> None:
        self.grid, self.scratch, self.layer, self.match = neighbours.grid, neighbours.scratch, layer, match
        self.content, rows = neighbours.content[layer], region.rows[layer]
        self.guide = None if region.guides is None else region.guides[layer].to(rows)
        self.fractions = None if neighbours.fractions is None else neighbours.fractions[layer].to(rows)
        # As in the search: around 0 all features are so much alike that colours come out pale and flat parts speckled.
        # But columns that are all alike have no direction around their mean: a flat style is compared around 0.
        mean = min(1.0, variety(rows)) * rows.mean(dim=0)
        self.mean = mean[:, None, None]
        self.least = SMALLEST * rows.var(dim=0, correction=0).sum().item() + TINY
        self.rows = unit_vectors(rows - mean, self.least)
        self.count = self.content[0, 0].numel() if self.guide is None else max(self.guide.sum().item(), TINY)

    def of_tile(self, fraction: float, activations: TileActivations, _: Tensor | None = None) -> Tensor:
        """A tile's part of it, with targets at a fraction of the way from the content to the styles."""
        features = means_in_squares(activations.features[self.layer], self.grid.side(self.layer))
        window = self.grid.window(self.layer, activations.tile.interior)
        way = fraction if self.fractions is None else fraction * window.crop(self.fractions)
        return self._distance(features, window, way)

    def of_content(self) -> float:
        """The content's own, to the styles."""
        whole = self.grid.window(self.layer)
        bands = self.scratch.windows(whole.bottom, self.content[:, :, 0].numel() * self.content.element_size())
        parts = [Window(band.start, 0, band.stop, whole.right) for band in bands]
        return sum(self._distance(part.crop(self.content), part, 1.0).item() for part in parts)

    def _distance(self, features: Tensor, window: Window, fraction: float | Tensor) -> Tensor:
        distances = cosine_distances(features - self.mean, self._targets(window, fraction), self.least)
        return (distances if self.guide is None else window.crop(self.guide) * distances).sum() / self.count

    def _targets(self, window: Window, fraction: float | Tensor) -> Tensor:
        """Targets (1, c, h, w) in a window of the layer's columns; of squares that share a position, the mean."""
        n = self.grid.sharing(self.layer)
        squares = Window(window.top * n, window.left * n, window.bottom * n, window.right * n)
        style = self.rows[squares.crop(self.match)].permute(2, 0, 1)[None]
        style = F.avg_pool2d(style, n) if n > 1 else style
        if not isinstance(fraction, Tensor) and fraction == 1:
            return style
        content = self.scratch.read(window.crop(self.content)) - self.mean
        return torch.lerp(unit_vectors(content, self.least), style, fraction)


def bytes_of_columns(layers: Sequence[str], size: Size) -> int:
    """Bytes of an image's columns (h, w)."""
    grid = Grid(tuple(layers), size)
    windows = {layer: grid.window(layer) for layer in grid.layers}
    return sum(4 * CHANNELS[layer] * window.pixels for layer, window in windows.items())


def bytes_to_match(layers: Sequence[str], size: Size, regions: int) -> int:
    """Bytes, beside columns, that matching (h, w) pixels takes: styles' rows, a block, and what was found."""
    width = sum(CHANNELS[layer] for layer in layers)
    return 4 * (3 * MOST * width + BLOCK * (MOST + 4 * width)) * regions + regions * prod(size) * 3
