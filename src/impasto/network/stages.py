"""The network cut into stages, so that tiles need small halos; a picture's way up and its gradient's way down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from impasto.images.size import size_of
from impasto.network.engine import Engine
from impasto.network.layers import CHANNELS, LAYERS, ORDER, Layer, deepest, feature_size, multiply_adds, poolings_before
from impasto.network.tiles import Tile, cropped, split
from impasto.settings.choices import EngineName
from impasto.storage.pool import POOL
from impasto.storage.scratch import MEMORY, Scratch

CUT = "pool3"
"""Where the network is cut: features of a whole picture take 16 bytes a pixel here, few for what the cut saves."""

WIDER = 2
"""Sides of the upper stage's tiles relative to the lower one's: up there a pixel takes a seventh of the memory."""


@dataclass(frozen=True)
class Stage:
    """A part of the network that is walked through tile by tile, from the features at `below` (None: the picture).

    `layers` are those wanted of it; with `above` it also hands that layer's features to the next stage. The tiles are
    windows of the picture, in pixels.
    """

    below: str | None
    layers: tuple[str, ...]
    above: str | None
    tiles: tuple[Tile, ...]

    @property
    def passed(self) -> tuple[Layer, ...]:
        """The network's layers from the first to the deepest that is needed of it."""
        first = 0 if self.below is None else ORDER[self.below] + 1
        return LAYERS[first : ORDER[self.above or deepest(self.layers)] + 1]

    def shown(self, tile: Tile, whole: Tensor) -> Tensor:
        """What the network is shown of the whole picture's features (1, c, h, w) at `below`; not a copy."""
        return tile.padded.pooled(0 if self.below is None else poolings_before(self.below)).crop(whole)


def split_into_stages(size: tuple[int, int], layers: Iterable[str], side: int | None = None) -> tuple[Stage, ...]:
    """The network for a picture of `size` (h, w) seen in tiles of at most `side` pixels, from the bottom up.

    Tiles of a network cut in two need halos of 24 and 48 px instead of 80 px for relu5_1, and so little is computed
    twice. A picture that isn't larger than a tile is seen by all of the network at once.
    """
    layers = tuple(sorted(set(layers), key=ORDER.__getitem__))
    deep = tuple(name for name in layers if ORDER[name] > ORDER[CUT])
    if side is None or max(size) <= side or not deep:
        return (Stage(None, layers, None, split(size, layers, side)),)
    return (
        Stage(None, tuple(name for name in layers if name not in deep), CUT, split(size, [CUT], side)),
        Stage(CUT, deep, None, split(size, deep, WIDER * side, below=CUT)),
    )


@lru_cache(maxsize=256)
def network_pixels(
    size: tuple[int, int], layers: tuple[str, ...], side: int | None, spare: int = 0, engine: str = EngineName.TORCH
) -> float:
    """Work of one evaluation of a picture (h, w) in tiles, in pixels sent through all of the network and back.

    A tile that isn't kept in `spare` bytes is looked at twice, and looking alone is half of looking and coming back.
    """
    if not layers:
        return 0.0
    rising = split_into_stages(size, layers, side)
    ends = [None, *(stage.above or deepest(layers) for stage in rising)]
    work = [multiply_adds(end) - multiply_adds(start) for start, end in pairwise(ends)]
    kept = number_kept(rising, spare, engine)
    pixels = 0.0
    for stage, share in zip(reversed(rising), reversed(work), strict=True):
        for tile in reversed(stage.tiles):
            pixels += (1.0 if kept > 0 else 1.5) * share * tile.padded.pixels
            kept -= 1
    return pixels / sum(work)


def number_kept(rising: Sequence[Stage], spare: int, engine: str) -> int:
    """How many looks, the last ones of the way up, can be kept in `spare` bytes for the way down; at least the last."""
    downwards = [(stage, tile) for stage in reversed(rising) for tile in reversed(stage.tiles)]
    number = 1
    for stage, tile in downwards[1:]:
        spare -= kept_bytes(stage, tile, engine)
        if spare < 0:
            break
        number += 1
    return number


def kept_bytes(stage: Stage, tile: Tile, engine: str) -> int:
    """Bytes in which a look is kept for the way down: what is wanted of its core, and how gradients pass the rest."""
    wanted = {*stage.layers, stage.above}
    shown = 3 if stage.below is None else CHANNELS[stage.below] / 4 ** poolings_before(stage.below)
    found = 4 * shown * tile.padded.pixels
    for layer in stage.passed:
        bytes_seen = KEPT[EngineName(engine)].get(layer.kind, 0) * tile.padded.pixels
        bytes_of_core = 4 * tile.interior.pixels if layer.name in wanted else 0
        found += (bytes_seen + bytes_of_core) * layer.channels / 4 ** poolings_before(layer.name)
    return int(found)


KEPT = {EngineName.TORCH: {"relu": 4, "pool": 8}, EngineName.NATIVE: {"relu": 1, "pool": 0}}
"""Bytes that an engine keeps of an activation for the way back: torch keeps it, and 8 bytes of what a pooling took."""


@dataclass
class TileActivations:
    """What the network showed of one tile: the features (1, c, h, w) of its core by layer, of `shown`, a leaf.

    `sums` has room for what is measured on them.
    """

    stage: Stage
    tile: Tile
    shown: Tensor
    features: Mapping[str, Tensor]
    sums: Mapping[str, Tensor] = field(default_factory=dict)


class TiledNetwork:
    """A picture (1, 3, h, w) on its way up through the stages, tile by tile, and its gradient on the way down.

    What the network showed of the last tiles on the way up is kept for the way down, as far as `spare` bytes last; the
    others are looked at again.
    """

    def __init__(
        self,
        engine: Engine,
        rising: Sequence[Stage],
        picture: Tensor,
        scratch: Scratch = MEMORY,
        *,
        spare: int = 0,
    ) -> None:
        self.engine = engine
        self.scratch = scratch
        self.stages = rising
        self.size = size_of(picture)
        self.floors = [picture]
        self.spare = spare
        self._kept: list[TileActivations] = []

    def forward(self, *, and_down: bool = False) -> Iterator[TileActivations]:
        """Every tile of every stage; where the way leads down again, the last ones are differentiable and kept."""
        left = sum(len(stage.tiles) for stage in self.stages)
        kept = number_kept(self.stages, self.spare, self.engine.name) if and_down else 0
        for stage in self.stages:
            handed: Tensor | None = None
            for tile in stage.tiles:
                keep, left = left <= kept, left - 1
                look = self._look(stage, tile, self.floors[-1], grad=keep)
                if stage.above is not None:
                    if handed is None:
                        handed = room_for(stage.above, look.features[stage.above], self.size, self.scratch)
                    self.scratch.write(tile.interior_of(stage.above, handed), look.features[stage.above])
                if keep:
                    self._kept.append(look)
                yield look
                del look  # the memory is needed for the next tile
            if handed is not None:
                self.floors.append(handed)
                self._let_go()

    def backward(self, share: Callable[[TileActivations], Tensor]) -> Tensor:
        """The gradient to the picture of the sum over tiles of `share`, a tile's part of the loss, a scalar."""
        from_above: Tensor | None = None
        for stage, floor in zip(reversed(self.stages), reversed(self.floors), strict=True):
            gradient = zeros_like(floor, self.scratch)
            for tile in reversed(stage.tiles):
                look = self._kept.pop() if self._kept else self._look(stage, tile, floor, grad=True)
                loss = share(look)
                if stage.above is not None and from_above is not None:
                    asked = self.scratch.read(tile.interior_of(stage.above, from_above))
                    loss = loss + (asked * look.features[stage.above]).sum()
                (part,) = torch.autograd.grad(loss, look.shown)
                self.scratch.write(stage.shown(tile, gradient), part, add=True)
                del look, loss, part  # the memory is needed for the next tile
            from_above = gradient
            self._let_go()
        assert from_above is not None, "there is at least one stage"
        return from_above

    def _let_go(self) -> None:
        """Between stages, whose features have other sizes; canvases are in files because memory is short."""
        if self.scratch.folder is not None:
            POOL.trim()

    def _look(self, stage: Stage, tile: Tile, floor: Tensor, *, grad: bool) -> TileActivations:
        shown = self.scratch.read(stage.shown(tile, floor)).detach().requires_grad_(grad)
        names = {*stage.layers, *([stage.above] if stage.above else [])}
        with torch.set_grad_enabled(grad):
            features = self.engine.features(shown, names, below=stage.below)
            return TileActivations(stage, tile, shown, cropped(tile, features))


def room_for(layer: str, features: Tensor, size: tuple[int, int], scratch: Scratch) -> Tensor:
    """An empty tensor for a layer's features of a whole picture (h, w), for parts like `features` (1, c, h', w').

    A position's channels lie side by side: a tile is then few pieces of a file.
    """
    n, c = features.shape[:2]
    return scratch.empty((n, *feature_size(layer, size), c), features).permute(0, 3, 1, 2)


def zeros_like(whole: Tensor, scratch: Scratch) -> Tensor:
    """Zeros in the shape of a picture or of a whole picture's features, in the same order in memory."""
    if whole.stride(1) == 1:
        return zeros_like(whole.permute(0, 2, 3, 1), scratch).permute(0, 3, 1, 2)
    return scratch.zeros(whole.shape, whole)
