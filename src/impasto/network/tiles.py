"""Cutting an image into padded tiles, whose interiors have the features that the whole image has there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from impasto.network.layers import LAYERS, ORDER, deepest, poolings_before
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


def halo(layers: Iterable[str], below: str | None = None) -> int:
    """Pixels around an interior that its features at `layers` depend on, from those at `below` (None: the pixels).

    Each 3×3 convolution reaches one position further, and a position behind p poolings is 2^p pixels wide: 80 px for
    relu5_1, 32 px for relu4_1. It is rounded up to the pooling stride: a tile's corners must lie on its multiples, so
    that its poolings take the same pixels together as the whole image's.
    """
    layers = tuple(layers)
    passed = LAYERS[0 if below is None else ORDER[below] + 1 : ORDER[deepest(layers)] + 1]
    reach = sum(1 << poolings_before(layer.name) for layer in passed if layer.kind == "conv")
    return -(-reach // stride(layers)) * stride(layers)


def stride(layers: Iterable[str]) -> int:
    """Pixels that a position of the deepest layer is wide."""
    return 1 << poolings_before(deepest(layers))


def split_into_tiles(
    size: tuple[int, int], layers: Iterable[str], side: int | None = None, *, below: str | None = None
) -> tuple[Tile, ...]:
    """Tiles whose interiors cover an image of `size` (h, w) once, at most `side` pixels high and wide.

    None, or a side that the image fits in, gives one tile for all of it. Sides are rounded down to the pooling stride,
    and interiors are of even size rather than full ones with a narrow remainder.
    """
    layers = tuple(layers)
    h, w = size
    if side is None or max(size) <= side or not layers:
        whole = Window(0, 0, h, w)
        return (Tile(whole, whole),)
    step, margin = stride(layers), halo(layers, below)
    tiles = []
    for top, bottom in _even_spans(h, side, step):
        for left, right in _even_spans(w, side, step):
            padded = Window(
                max(0, top - margin), max(0, left - margin), min(h, bottom + margin), min(w, right + margin)
            )
            tiles.append(Tile(Window(top, left, bottom, right), padded))
    return tuple(tiles)


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


def _even_spans(length: int, side: int, step: int) -> list[tuple[int, int]]:
    """Spans that cover a length, no longer than `side` rounded down to `step`, with borders on multiples of `step`."""
    blocks, most = -(-length // step), max(1, side // step)
    count = -(-blocks // most)
    borders = [blocks * i // count * step for i in range(count)] + [length]
    return list(pairwise(borders))
