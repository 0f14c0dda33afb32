"""VGG19 as a table of layers (Simonyan & Zisserman 2014, configuration E), and the geometry that follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

_BLOCKS = ((1, 2, 3, 64), (2, 2, 64, 128), (3, 4, 128, 256), (4, 4, 256, 512), (5, 4, 512, 512))

CONVOLUTIONS: dict[str, tuple[int, int]] = {
    f"conv{block}_{i}": (before if i == 1 else width, width)
    for block, depth, before, width in _BLOCKS
    for i in range(1, depth + 1)
}
"""Channels in and out of each 3×3 convolution, in the order in which they are computed."""

CLASSIFIER = {"fc6": (25088, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)}
"""Values in and out of each fully connected layer."""

CLASSIFIER_INPUT = 224
"""Height and width in pixels of the images that the fully connected layers were trained on."""

LAST_OF_BLOCK = ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4")
"""The convolutions whose ReLU is followed by a pooling."""


@dataclass(frozen=True)
class Layer:
    """One row of the table; `channels` is what it puts out."""

    name: str
    kind: Literal["conv", "relu", "pool", "linear", "softmax"]
    channels: int


def _convolutional_layers() -> Iterator[Layer]:
    for name, (_, channels) in CONVOLUTIONS.items():
        yield Layer(name, "conv", channels)
        yield Layer(name.replace("conv", "relu"), "relu", channels)
        if name in LAST_OF_BLOCK:
            yield Layer(f"pool{name[4]}", "pool", channels)


LAYERS: tuple[Layer, ...] = tuple(_convolutional_layers())
"""The convolutional part, from conv1_1 to pool5, in the order in which it is computed."""

CLASSIFIER_LAYERS: tuple[Layer, ...] = (
    *(Layer(name, "linear", size[1]) for name, size in CLASSIFIER.items()),
    Layer("prob", "softmax", CLASSIFIER["fc8"][1]),
)
"""The three fully connected layers, with a ReLU after fc6 and fc7, and the softmax."""

ORDER: dict[str, int] = {layer.name: position for position, layer in enumerate((*LAYERS, *CLASSIFIER_LAYERS))}
"""Each layer's position in the order in which they are computed."""

CHANNELS: dict[str, int] = {layer.name: layer.channels for layer in (*LAYERS, *CLASSIFIER_LAYERS)}
"""How many channels each layer puts out."""

_POOLINGS: dict[str, int] = dict(
    zip(ORDER, accumulate(layer.kind == "pool" for layer in (*LAYERS, *CLASSIFIER_LAYERS)), strict=True)
)


def deepest(layers: Iterable[str]) -> str:
    """The name among `layers` that is computed last."""
    return max(layers, key=ORDER.__getitem__)


def layers_up_to(layers: Iterable[str], below: str | None = None) -> tuple[Layer, ...]:
    """What is computed for the deepest of `layers`, itself included, from the features at `below` (None: the image)."""
    return LAYERS[0 if below is None else ORDER[below] + 1 : ORDER[deepest(layers)] + 1]


def poolings_before(layer: str) -> int:
    """How many poolings a convolutional layer's features have gone through, its own included if it is one."""
    return _POOLINGS[layer]


def feature_size(layer: str, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a layer's features for an image of `size` (h, w): each pooling halves, rounding down."""
    poolings = poolings_before(layer)
    return size[0] >> poolings, size[1] >> poolings


def smallest_side(layers: Iterable[str]) -> int:
    """The shortest side, in pixels, for which every layer still has one position."""
    return 1 << poolings_before(deepest(layers))


def multiply_adds(layer: str | None) -> float:
    """Multiplications and additions that an image's pixel takes up to a convolutional layer (None: the image, 0)."""
    total, channels = 0.0, 3
    for row in LAYERS[: 0 if layer is None else ORDER[layer] + 1]:
        if row.kind == "conv":
            total += 9 * channels * row.channels / 4 ** poolings_before(row.name)
            channels = row.channels
    return total
