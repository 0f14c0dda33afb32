"""What an engine is: a way to run VGG19 from an image to named features and back, which knows its own cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from impasto.errors import SettingsError
from impasto.network.layers import CLASSIFIER_INPUT, CLASSIFIER_LAYERS, ORDER, deepest, poolings_before, smallest_side
from impasto.settings.choices import EngineName, Precision


@dataclass(frozen=True)
class PassCost:
    """Memory of an image's forward and backward pass, gradients and losses included, in multiples of activations.

    Each factor is of the bytes of float32 outputs: `activations` of all ReLUs and poolings together, `relus` of all
    ReLUs, `requested` of the features that are asked for, `largest` of the largest layer alone.
    """

    activations: float = 0.0
    relus: float = 0.0
    requested: float = 0.0
    largest: float = 0.0


@dataclass(frozen=True)
class EngineCost:
    """What an engine takes in memory, measured once and declared beside it.

    `base` are bytes taken once; `kept_of_relu` and `kept_of_pool` bytes kept for the backward pass of every value that
    a ReLU or a pooling puts out; `whole` and `tile` what a pass takes of a whole image and of a tile, whose features
    are cut down to its interior.
    """

    base: int
    kept_of_relu: int
    kept_of_pool: int
    whole: PassCost
    tile: PassCost

    def kept(self, kind: str) -> int:
        """Bytes kept for the backward pass of every value that a layer of this kind puts out."""
        return self.kept_of_relu if kind == "relu" else self.kept_of_pool if kind == "pool" else 0


class Engine(Protocol):
    """A way to run the table of layers from an image to named features, differentiable back to the image.

    `unit` is what multiplies where a processor may have several that round otherwise, empty where there is no choice.
    """

    name: EngineName
    precision: Precision
    unit: str
    cost: EngineCost

    @property
    def device(self) -> torch.device:
        """Where images have to be, and where features are."""
        ...

    def features(self, image: Tensor, layers: Iterable[str], *, below: str | None = None) -> dict[str, Tensor]:
        """Features of an sRGB image (n, 3, h, w) in [0, 1] at each named layer, (n, c, h', w').

        With `below`, `image` is that pooling layer's features instead, and the network goes on from there.
        """
        ...


def check_request(
    image: Tensor, channels: int, wanted: Collection[str], names: Sequence[str], below: str | None = None
) -> None:
    """Raise `SettingsError` where a wanted layer isn't among a network's `names`, or the image is too small for it.

    With `below`, the image is that layer's features, and only layers beyond it can be had.
    """
    if image.dim() != 4 or image.shape[1] != channels or not image.is_floating_point():
        what = "an sRGB image" if below is None else f"the features at {below}"
        raise SettingsError(
            f"The network takes {what}, (n, {channels}, h, w) in floating point, not {tuple(image.shape)} in "
            f"{image.dtype}",
            "convert it first",
        )
    if below is not None:
        names = names[names.index(below) + 1 :]
    if unknown := sorted(set(wanted) - set(names)):
        cure = "build it with `classifier`=True" if unknown[0] in ORDER else f"choose from {', '.join(names)}"
        raise SettingsError(f"{unknown[0]!r} is not a layer of this network", cure, value=unknown[0])
    height, width = image.shape[-2:]
    if any(layer.name in wanted for layer in CLASSIFIER_LAYERS):
        if (height, width) != (CLASSIFIER_INPUT, CLASSIFIER_INPUT):
            raise SettingsError(
                f"The picture is {width}×{height} px but the fully connected layers take "
                f"{CLASSIFIER_INPUT}×{CLASSIFIER_INPUT} px",
                "resize or crop it",
            )
    elif wanted and min(height, width) << (0 if below is None else poolings_before(below)) < smallest_side(wanted):
        raise SettingsError(
            f"The picture is {width}×{height} px but {deepest(wanted)} needs at least "
            f"{smallest_side(wanted)} px on each side",
            "use a bigger size or shallower layers",
        )
