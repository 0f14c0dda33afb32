"""Total variation as a term of tiles."""

from __future__ import annotations

from torch import Tensor

from impasto.images.size import Size
from impasto.losses.gatys import total_variation
from impasto.network.tiled_network import TileActivations
from impasto.network.tiles import Window
from impasto.storage.devices import resident


def variation_of_tile(
    size: Size, weights: Tensor | None, activations: TileActivations, _: Tensor | None = None
) -> Tensor:
    """The differences that begin within a tile's interior, with the weights (1, 1, h, w) of the canvas's pixels.

    `size` is the canvas's (h, w).
    """
    interior, padded = activations.tile.interior, activations.tile.padded
    next_too = Window(interior.top, interior.left, min(interior.bottom + 1, size[0]), min(interior.right + 1, size[1]))
    begin = (interior.bottom - interior.top, interior.right - interior.left)
    image = next_too.relative_to(padded).crop(activations.input)
    return total_variation(image, begin, None if weights is None else interior.crop(resident(weights, image)))
