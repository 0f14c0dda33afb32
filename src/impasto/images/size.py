"""Sizes of images, (height, width) in pixels, and resizing."""

from __future__ import annotations

from torch import Tensor

from impasto.storage.scratch import MEMORY, Scratch, resample

Size = tuple[int, int]
"""Height and width, in pixels or positions."""


def size_of(image: Tensor) -> Size:
    """Height and width of an image or features (…, h, w)."""
    return image.shape[-2], image.shape[-1]


def fit(size: Size, longest: int) -> Size:
    """(h, w) scaled so that the longest side is `longest`, at least 1 each."""
    most = max(size)
    height, width = (max(1, (2 * side * longest + most) // (2 * most)) for side in size)
    return height, width


def canvas_size(content: Size, longest: int | None) -> Size:
    """The (h, w) of a content whose longest side is to be `longest`; None leaves it as it is."""
    return content if longest is None else fit(content, longest)


def on_grid(size: Size, step: int) -> Size:
    """The nearest (h, w) whose sides are multiples of `step`, at least one of it each."""
    height, width = (max(1, (2 * side + step) // (2 * step)) * step for side in size)
    return height, width


def resize(pixels: Tensor, size: Size, scratch: Scratch = MEMORY) -> Tensor:
    """Antialiased bicubic, (n, c, h, w) -> (n, c, *size) clamped to [0, 1]; the same tensor where it fits."""
    return _clamped(pixels, size, "bicubic", scratch)


def enlarge(pixels: Tensor, size: Size, scratch: Scratch = MEMORY) -> Tensor:
    """As `resize`, of a canvas that is to be painted on; no side of `size` is shorter. Duchon 1979, Lanczos filters.

    Bicubic interpolation makes differences between the copies of two pixels larger than within the copies of one: what
    is optimised next keeps that as a lattice (docs/decisions/0022-artefacts.md).
    """
    return _clamped(pixels, size, "lanczos", scratch)


def _clamped(pixels: Tensor, size: Size, mode: str, scratch: Scratch) -> Tensor:
    if size_of(pixels) == tuple(size):
        return pixels
    resized = resample(pixels, size, mode, scratch)
    for (piece,) in scratch.pieces(resized):
        piece.clamp_(0, 1)
    return resized
