"""A canvas without borders: its right edge goes on at the left, its bottom at the top, so that copies of it tile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd

import torch
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.size import Size, enlarge, on_grid, size_of
from impasto.network.tiles import halo, stride
from impasto.objective.evaluation import Evaluate, Evaluation
from impasto.objective.local_weights import LocalWeights
from impasto.storage.scratch import LOBES, MEMORY, Scratch


@dataclass(frozen=True)
class PeriodicCanvas:
    """A canvas of `size` (h, w) that the network is given with `halo` pixels of itself around it.

    The features of its interior, the canvas proper, are then those of an endless wall of copies. For that sides and
    halo have to be multiples of the pooling stride, so that every copy's poolings take the same pixels together.
    """

    size: Size
    halo: int

    @property
    def surrounded_size(self) -> Size:
        """Height and width with the surroundings."""
        return self.size[0] + 2 * self.halo, self.size[1] + 2 * self.halo

    def interior(self) -> Tensor:
        """A mask (1, 1, H, W) of the surrounded canvas: 1 on the canvas proper, 0 on its surroundings."""
        mask = torch.zeros(1, 1, *self.surrounded_size)
        mask[..., self.halo : self.halo + self.size[0], self.halo : self.halo + self.size[1]] = 1
        return mask

    def counting(self, like: Tensor) -> LocalWeights:
        """The weights of the surrounded canvas's pixels, where those of `like` are: `interior`."""
        mask = self.interior().to(like)
        return LocalWeights(mask, mask)

    def surrounded(self, canvas: Tensor, scratch: Scratch = MEMORY) -> Tensor:
        """A canvas (n, c, h, w) and its surroundings, (n, c, H, W)."""
        return surrounded(canvas, (self.halo, self.halo), scratch)

    def folded(self, gradient: Tensor, scratch: Scratch = MEMORY) -> Tensor:
        """The gradient to a canvas (n, c, h, w) of one to the surrounded canvas: a pixel's copies share its value."""
        rows, columns = (_places(side, self.halo, gradient.device) for side in self.size)
        total = scratch.zeros((*gradient.shape[:2], *self.size), gradient)
        for some in scratch.windows(len(rows), gradient[..., 0, :].numel() * gradient.element_size()):
            part = gradient[..., some, :]
            narrow = part.new_zeros(*part.shape[:3], self.size[1]).index_add_(3, columns, part)
            total.index_add_(2, rows[some], narrow)
        return total

    def wrap(self, evaluate: Evaluate, scratch: Scratch = MEMORY) -> Evaluate:
        """An objective of surrounded canvases as one of canvases."""

        def evaluate_canvas(canvas: Tensor) -> Evaluation:
            now = evaluate(self.surrounded(canvas, scratch))
            return now.with_gradient(self.folded(now.gradient, scratch))

        return evaluate_canvas


def periodic_canvas(size: Size, layers: Iterable[str]) -> PeriodicCanvas:
    """The periodic canvas of (h, w) pixels for losses at `layers`; raises `SettingsError` for odd sizes."""
    layers = tuple(layers)
    step = stride(layers)
    if any(side % step for side in size):
        (h, w), (height, width) = size, on_the_grid(size, layers)
        raise SettingsError(
            f"`size` is {w}x{h}, but with `seamless` each side has to be a multiple of {step} px, the stride of the "
            "network's poolings",
            f"use {width}x{height}",
            knob="size",
            value=f"{w}x{h}",
        )
    return PeriodicCanvas(size, halo(layers))


def on_the_grid(size: Size, layers: Iterable[str]) -> Size:
    """The nearest (h, w) whose sides are multiples of the pooling stride, at least one of it."""
    return on_grid(size, stride(layers))


def surrounded(canvas: Tensor, by: Size, scratch: Scratch = MEMORY) -> Tensor:
    """A canvas (n, c, h, w) with `by` rows and columns of itself on each side."""
    sides = size_of(canvas)
    rows, columns = (_places(side, more, canvas.device) for side, more in zip(sides, by, strict=True))
    whole = scratch.empty((*canvas.shape[:2], len(rows), len(columns)), canvas)
    for some in scratch.windows(len(rows), whole[..., 0, :].numel() * whole.element_size()):
        whole[..., some, :] = canvas[..., rows[some], :][..., columns]
    return whole


def enlarge_periodic(canvas: Tensor, size: Size, scratch: Scratch = MEMORY) -> Tensor:
    """A canvas (n, c, h, w) resized to (n, c, *size) as a wall of copies would be, so that its borders still fit."""
    sides = size_of(canvas)
    if sides == size:
        return canvas
    units = [side // gcd(side, final) for side, final in zip(sides, size, strict=True)]
    more = [-(-LOBES // unit) * unit for unit in units]  # so much that it becomes a whole number of pixels too
    top, left = (m * final // side for m, side, final in zip(more, sides, size, strict=True))
    larger = enlarge(surrounded(canvas, (more[0], more[1]), scratch), (size[0] + 2 * top, size[1] + 2 * left), scratch)
    result = scratch.empty((*canvas.shape[:2], *size), canvas)
    scratch.write(result, scratch.read(larger[..., top : top + size[0], left : left + size[1]]))
    return result


def _places(side: int, more: int, device: torch.device) -> Tensor:
    return torch.arange(-more, side + more, device=device) % side
