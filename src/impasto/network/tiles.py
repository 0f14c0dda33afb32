"""Cutting an image into padded tiles, whose interiors have the features that the whole image has there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor

from impasto.network.layers import deepest, layers_up_to, poolings_before
from impasto.storage.pool import POOL


@dataclass(frozen=True)
class Window:
    """Rows from `top` to before `bottom` and columns from `left` to before `right`, in pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def pixels(self) -> int:
        """How many pixels it holds."""
        return (self.bottom - self.top) * (self.right - self.left)

    def crop(self, image: Tensor) -> Tensor:
        """That part of an image (…, h, w), not a copy."""
        return image[..., self.top : self.bottom, self.left : self.right]

    def relative_to(self, outer: Window) -> Window:
        """The same window, counted from the corner of `outer`."""
        return Window(self.top - outer.top, self.left - outer.left, self.bottom - outer.top, self.right - outer.left)

    def pooled(self, poolings: int) -> Window:
        """The window's place in features behind that many poolings, which round down."""
        return Window(self.top >> poolings, self.left >> poolings, self.bottom >> poolings, self.right >> poolings)


@dataclass(frozen=True)
class Tile:
    """A part of an image: `interior` is what counts in results, `padded` what the network computes, the halo included.

    Interiors cover the image once; padded tiles overlap.
    """

    interior: Window
    padded: Window

    def crop(self, layer: str, features: Tensor) -> Tensor:
        """A padded tile's features (1, c, h, w) at a layer, cut down to its interior's."""
        if self.interior == self.padded:
            return features
        window = self.interior.relative_to(self.padded).pooled(poolings_before(layer))
        if features.stride(1) != 1:
            return window.crop(features).contiguous()  # once: every loss would make a copy of its own to flatten it
        return _Crop.apply(features, window)  # pyright: ignore[reportReturnType]

    def interior_of(self, layer: str, features: Tensor) -> Tensor:
        """The interior's part of a whole image's features (1, c, h, w) at a layer; not a copy."""
        return self.interior.pooled(poolings_before(layer)).crop(features)


class Span(NamedTuple):
    """A tile along one axis, in pixels: its interior from `start` to before `end`, and its padded part."""

    start: int
    end: int
    padded_start: int
    padded_end: int

    @property
    def length(self) -> int:
        """The interior's height or width."""
        return self.end - self.start

    @property
    def padded_length(self) -> int:
        """The padded tile's height or width."""
        return self.padded_end - self.padded_start


class Pixels(NamedTuple):
    """How many pixels the interiors of some tiles hold, and how many the network computes for them."""

    interior: int
    padded: int


@dataclass(frozen=True)
class TileGrid(Sequence[Tile]):
    """The tiles of an image, row by row: every span of `rows` with every one of `columns`.

    A print has up to a hundred thousand of them, so they are made only when they are asked for, and what is summed
    over them comes from the sums along both axes.
    """

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def __len__(self) -> int:
        """How many tiles there are."""
        return len(self.rows) * len(self.columns)

    @overload
    def __getitem__(self, index: int) -> Tile: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Tile, ...]: ...
    def __getitem__(self, index: int | slice) -> Tile | tuple[Tile, ...]:
        """One tile, or several."""
        if isinstance(index, slice):
            return tuple(self[i] for i in range(len(self))[index])
        row, column = divmod(range(len(self))[index], len(self.columns))
        y, x = self.rows[row], self.columns[column]
        return Tile(
            Window(y.start, x.start, y.end, x.end),
            Window(y.padded_start, x.padded_start, y.padded_end, x.padded_end),
        )

    @property
    def pixels(self) -> Pixels:
        """The pixels of all tiles together."""
        return Pixels(
            sum(row.length for row in self.rows) * sum(column.length for column in self.columns),
            sum(row.padded_length for row in self.rows) * sum(column.padded_length for column in self.columns),
        )

    @property
    def most_padded_pixels(self) -> int:
        """The pixels of the largest padded tile."""
        return max(row.padded_length for row in self.rows) * max(column.padded_length for column in self.columns)

    def pixels_of_last(self, count: int) -> Pixels:
        """The pixels of the last `count` tiles together: of whole rows and of a part of the one before them."""
        whole, rest = divmod(count, len(self.columns))
        first = len(self.rows) - whole
        rows = TileGrid(self.rows[first:], self.columns).pixels
        part = TileGrid(self.rows[max(0, first - 1) : first], self.columns[len(self.columns) - rest :]).pixels
        return Pixels(rows.interior + part.interior, rows.padded + part.padded)


def halo(layers: Iterable[str], below: str | None = None) -> int:
    """Pixels around an interior that its features at `layers` depend on, from those at `below` (None: the pixels).

    Each 3×3 convolution reaches one position further, and a position behind p poolings is 2^p pixels wide: 80 px for
    relu5_1, 32 px for relu4_1. It is rounded up to the pooling stride: a tile's corners must lie on its multiples, so
    that its poolings take the same pixels together as the whole image's.
    """
    layers = tuple(layers)
    reach = sum(1 << poolings_before(layer.name) for layer in layers_up_to(layers, below) if layer.kind == "conv")
    return -(-reach // stride(layers)) * stride(layers)


def stride(layers: Iterable[str]) -> int:
    """Pixels that a position of the deepest layer is wide."""
    return 1 << poolings_before(deepest(layers))


def split_into_tiles(
    size: tuple[int, int], layers: Iterable[str], side: int | None = None, *, below: str | None = None
) -> TileGrid:
    """Tiles whose interiors cover an image of `size` (h, w) once, at most `side` pixels high and wide.

    None, or a side that the image fits in, gives one tile for all of it. Sides are rounded down to the pooling stride,
    and interiors are of even size rather than full ones with a narrow remainder.
    """
    layers = tuple(layers)
    h, w = size
    if side is None or max(size) <= side or not layers:
        return TileGrid((Span(0, h, 0, h),), (Span(0, w, 0, w),))
    step, margin = stride(layers), halo(layers, below)
    return TileGrid(_even_spans(h, side, step, margin), _even_spans(w, side, step, margin))


def cropped(tile: Tile, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each layer's features of a padded tile, cut down to its interior's."""
    return {name: tile.crop(name, f) for name, f in features.items()}


class _Crop(torch.autograd.Function):
    """A window of features that have their channels side by side in memory, and so has its copy and its gradient.

    What autograd makes of slices has them apart: reordering them took a quarter of a tiled evaluation.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, window: Window) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.shape, ctx.window = features.shape, window
        part = window.crop(features)
        n, c, h, w = part.shape
        return POOL.like(part, n, h, w, c).permute(0, 3, 1, 2).copy_(part)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        n, c, h, w = ctx.shape
        window, whole = ctx.window, POOL.like(d, n, h, w, c).permute(0, 3, 1, 2)
        window.crop(whole).copy_(d)
        whole[..., : window.top, :] = whole[..., window.bottom :, :] = 0
        whole[..., : window.left] = whole[..., window.right :] = 0
        return whole, None


def _even_spans(length: int, side: int, step: int, margin: int) -> tuple[Span, ...]:
    """Spans that cover a length, no longer than `side` rounded down to `step`, with borders on multiples of `step`.

    Each is padded by `margin` pixels as far as the length goes.
    """
    blocks, most = -(-length // step), max(1, side // step)
    count = -(-blocks // most)
    borders = [blocks * i // count * step for i in range(count)] + [length]
    return tuple(
        Span(start, end, max(0, start - margin), min(length, end + margin)) for start, end in pairwise(borders)
    )
