"""The network cut into stages, so that tiles need small halos: their cost, and the pass over all tiles."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from impasto.images.size import size_of
from impasto.network.engine import Engine, EngineCost
from impasto.network.layers import (
    CHANNELS,
    ORDER,
    Layer,
    deepest,
    feature_size,
    layers_up_to,
    multiply_adds,
    poolings_before,
)
from impasto.network.tiles import Tile, TileGrid, cropped, split_into_tiles
from impasto.storage.devices import moved
from impasto.storage.pool import POOL
from impasto.storage.scratch import MEMORY, Scratch

CUT = "pool3"
"""Where the network is cut: features of a whole image take 16 bytes a pixel here, few for what the cut saves."""

WIDER = 2
"""Sides of the second stage's tiles relative to the first one's: behind the cut a pixel takes a seventh of the memory.
"""


@dataclass(frozen=True)
class Stage:
    """A part of the network that is run tile by tile: the network cut at pool3, or all of it.

    It starts from the boundary activations of the whole image at `below` (None: the image itself) and computes the
    `layers` that are wanted of it; with `above` it also computes that layer's boundary activations for the next stage.
    The tiles are windows of the image, in pixels.
    """

    below: str | None
    layers: tuple[str, ...]
    above: str | None
    tiles: TileGrid

    @property
    def computed(self) -> tuple[Layer, ...]:
        """The network's layers from the first to the deepest that is needed of it."""
        return layers_up_to(self.requested, self.below)

    @property
    def requested(self) -> tuple[str, ...]:
        """The names of all layers that an engine is asked for."""
        return (*self.layers, *([self.above] if self.above else []))

    def input_of(self, tile: Tile, whole: Tensor) -> Tensor:
        """A padded tile's part of a tensor (1, c, h, w) for the whole image at `below`; not a copy."""
        return tile.padded.pooled(0 if self.below is None else poolings_before(self.below)).crop(whole)


def split_into_stages(size: tuple[int, int], layers: Iterable[str], side: int | None = None) -> tuple[Stage, ...]:
    """The stages, in order, for an image of `size` (h, w) in tiles of at most `side` pixels.

    Tiles of a network cut in two need halos of 24 and 48 px instead of 80 px for relu5_1, and so little is computed
    twice. An image that isn't larger than a tile goes through all of the network at once.
    """
    layers = tuple(sorted(set(layers), key=ORDER.__getitem__))
    deep = tuple(name for name in layers if ORDER[name] > ORDER[CUT])
    if side is None or max(size) <= side or not deep:
        return (Stage(None, layers, None, split_into_tiles(size, layers, side)),)
    return (
        Stage(None, tuple(name for name in layers if name not in deep), CUT, split_into_tiles(size, [CUT], side)),
        Stage(CUT, deep, None, split_into_tiles(size, deep, WIDER * side, below=CUT)),
    )


@lru_cache(maxsize=256)
def evaluation_pixels(
    size: tuple[int, int], layers: tuple[str, ...], side: int | None, spare: int, cost: EngineCost
) -> float:
    """Work of one evaluation of an image (h, w) in tiles, in pixels sent through all of the network and back.

    A tile whose activations aren't kept in `spare` bytes goes forward twice, and a forward pass alone is half of a
    forward and a backward pass.
    """
    if not layers:
        return 0.0
    stages = split_into_stages(size, layers, side)
    ends = [None, *(stage.above or deepest(layers) for stage in stages)]
    work = [multiply_adds(end) - multiply_adds(start) for start, end in pairwise(ends)]
    kept = number_kept(stages, spare, cost)
    pixels = 0.0
    for stage, share in zip(reversed(stages), reversed(work), strict=True):
        once = min(kept, len(stage.tiles))
        pixels += share * (1.5 * stage.tiles.pixels.padded - 0.5 * stage.tiles.pixels_of_last(once).padded)
        kept -= once
    return pixels / sum(work)


@lru_cache(maxsize=256)
def forward_pixels(size: tuple[int, int], layers: tuple[str, ...], side: int | None, of: tuple[str, ...]) -> float:
    """Work of a forward pass of an image (h, w) in tiles, in pixels sent through the network up to layers `of`."""
    if not layers:
        return 0.0
    stages = split_into_stages(size, layers, side)
    ends = [None, *(stage.above or deepest(layers) for stage in stages)]
    work = [multiply_adds(end) - multiply_adds(start) for start, end in pairwise(ends)]
    pixels = sum(share * stage.tiles.pixels.padded for stage, share in zip(stages, work, strict=True))
    return pixels / multiply_adds(deepest(of))


def number_kept(stages: Sequence[Stage], spare: int, cost: EngineCost) -> int:
    """How many tiles, the last of the forward pass, can be kept in `spare` bytes for the backward one; at least one."""
    room, number = spare + kept_bytes(stages[-1], cost, 1), 0  # what the very last one takes is there anyway
    for stage in reversed(stages):
        bytes_of_last = partial(kept_bytes, stage, cost)
        kept = bisect_right(range(1, len(stage.tiles) + 1), room, key=bytes_of_last)
        number += kept
        room -= bytes_of_last(kept)
        if kept < len(stage.tiles):
            break
    return max(1, number)


def kept_bytes(stage: Stage, cost: EngineCost, count: int | None = None) -> float:
    """Bytes in which a stage's last `count` tiles (None: all of them) are kept for the backward pass.

    That is their inputs, the features of their interiors, and the engine's own.
    """
    pixels = stage.tiles.pixels if count is None else stage.tiles.pixels_of_last(count)
    of_interior, of_padded = _kept_of_pixel(stage.below, stage.requested, cost)
    return of_interior * pixels.interior + of_padded * pixels.padded


@lru_cache(maxsize=64)
def _kept_of_pixel(below: str | None, requested: tuple[str, ...], cost: EngineCost) -> tuple[float, float]:
    """Bytes kept of a pixel for being in a tile's interior, and for being in its padded part."""
    of_padded = 4 * (3 if below is None else CHANNELS[below] / 4 ** poolings_before(below))
    of_interior = 0.0
    for layer in layers_up_to(requested, below):
        values = layer.channels / 4 ** poolings_before(layer.name)
        of_padded += cost.kept(layer.kind) * values
        of_interior += 4 * values if layer.name in requested else 0
    return of_interior, of_padded


def pass_bytes(stage: Stage, cost: EngineCost) -> float:
    """Bytes that the largest of a stage's tiles takes forward and backward, gradients and losses included."""
    a_pixel = {layer: 4 * layer.channels / 4 ** poolings_before(layer.name) for layer in stage.computed}
    pass_cost = cost.whole if len(stage.tiles) == 1 else cost.tile  # one has no halo, several have
    found = (
        pass_cost.activations * sum(size for layer, size in a_pixel.items() if layer.kind != "conv")
        + pass_cost.relus * sum(size for layer, size in a_pixel.items() if layer.kind == "relu")
        + pass_cost.requested * sum(size for layer, size in a_pixel.items() if layer.name in stage.requested)
        + pass_cost.largest * max(a_pixel.values())
    )
    return found * stage.tiles.most_padded_pixels


@dataclass
class TileActivations:
    """A tile's `input`, a leaf of autograd's graph, and the features (1, c, h, w) of its interior by layer.

    `statistics` has room for what is measured on them.
    """

    stage: Stage
    tile: Tile
    input: Tensor
    features: Mapping[str, Tensor]
    statistics: Mapping[Any, Tensor] = field(default_factory=dict)


def run_tile(engine: Engine, stage: Stage, tile: Tile, image: Tensor, *, differentiable: bool) -> TileActivations:
    """A stage's network on a padded tile's part (1, c, h, w) of what the stage starts from."""
    image = image.detach().requires_grad_(differentiable)
    with torch.set_grad_enabled(differentiable):
        features = engine.features(image, stage.requested, below=stage.below)
        return TileActivations(stage, tile, image, cropped(tile, features))


def run_tiles(engine: Engine, stage: Stage, whole: Tensor, scratch: Scratch = MEMORY) -> Iterator[TileActivations]:
    """A stage's tiles, one after another; `whole` (1, c, h, w) is what it starts from. Not differentiable."""
    for tile in stage.tiles:
        image = moved(scratch.read(stage.input_of(tile, whole)), engine.device)
        yield run_tile(engine, stage, tile, image, differentiable=False)


class Boundary:
    """A stage's boundary activations of a whole image of `size` (h, w) on `device`, put together from its tiles'."""

    def __init__(self, stage: Stage, size: tuple[int, int], scratch: Scratch, device: torch.device) -> None:
        self.stage, self.size, self.scratch, self.device = stage, size, scratch, device
        self.whole: Tensor | None = None

    def add(self, tile: Tile, part: Tensor | None) -> None:
        """Put in a tile's part (1, c, h, w), which is there where the stage has a boundary above it."""
        if self.stage.above is None or part is None:
            return
        if self.whole is None:
            self.whole = allocate_features(self.stage.above, part, self.size, self.scratch, self.device)
        self.scratch.write(tile.interior_of(self.stage.above, self.whole), part)


def run_stages(
    engine: Engine, stages: Sequence[Stage], image: Tensor, scratch: Scratch = MEMORY
) -> Iterator[TileActivations]:
    """Every tile of every stage for an image (1, 3, h, w): a forward pass, to measure it. Not differentiable."""
    whole = image
    for stage in stages:
        boundary = Boundary(stage, size_of(image), scratch, image.device)
        for activations in run_tiles(engine, stage, whole, scratch):
            boundary.add(activations.tile, activations.features.get(stage.above or ""))
            yield activations
            del activations  # the memory is needed for the next tile
        if boundary.whole is not None:
            whole = boundary.whole
            trim(scratch)


def trim(scratch: Scratch) -> None:
    """Between stages, whose features have other sizes; canvases are in files because memory is short."""
    if scratch.folder is not None:
        POOL.trim()


def allocate_features(
    layer: str, features: Tensor, size: tuple[int, int], scratch: Scratch, device: torch.device
) -> Tensor:
    """An empty tensor on `device` for a layer's features of a whole image (h, w), for parts like `features`.

    A position's channels lie side by side: a tile is then few pieces of a file.
    """
    n, c = features.shape[:2]
    like = features.new_empty(0, device=device)
    return scratch.empty((n, *feature_size(layer, size), c), like).permute(0, 3, 1, 2)


def zeros_like(whole: Tensor, scratch: Scratch) -> Tensor:
    """Zeros in the shape of an image or of a whole image's features, in the same order in memory."""
    if whole.stride(1) == 1:
        return zeros_like(whole.permute(0, 2, 3, 1), scratch).permute(0, 3, 1, 2)
    return scratch.zeros(whole.shape, whole)
