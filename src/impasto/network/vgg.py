"""VGG19 (Simonyan & Zisserman 2014, configuration E) as a table of layers, and the torch network made from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.errors import SettingsError
from impasto.network.weight_files import CLASSIFIER, CONVOLUTIONS
from impasto.network.weights import Weights
from impasto.settings.choices import EngineName, Padding, Pooling, Precision
from impasto.storage import process as forks

forks.make_forks_safe()

AVERAGE_POOLING_GAIN = {"pool1": 1.14, "pool2": 1.56, "pool3": 1.36, "pool4": 1.88, "pool5": 1.59}
"""What average-pooled values are multiplied by, so that deeper layers see magnitudes like those they were trained on.

The ratio of root mean squares, max-pooled to average-pooled, measured with the embedded weights on photographs and
paintings: docs/decisions/0002-average-pooling.md.
"""


@dataclass(frozen=True)
class Layer:
    """One row of the table; `channels` is what it puts out."""

    name: str
    kind: Literal["conv", "relu", "pool", "linear", "softmax"]
    channels: int


def _table() -> Iterator[Layer]:
    for name, (_, channels) in CONVOLUTIONS.items():
        yield Layer(name, "conv", channels)
        yield Layer(name.replace("conv", "relu"), "relu", channels)
        if name in LAST_OF_BLOCK:
            yield Layer(f"pool{name[4]}", "pool", channels)


LAST_OF_BLOCK = ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4")
"""The convolutions whose ReLU is followed by a pooling."""

LAYERS: tuple[Layer, ...] = tuple(_table())
"""The convolutional part, from conv1_1 to pool5, in the order in which it is computed."""

CLASSIFIER_LAYERS: tuple[Layer, ...] = (
    *(Layer(name, "linear", size[1]) for name, size in CLASSIFIER.items()),
    Layer("prob", "softmax", CLASSIFIER["fc8"][1]),
)
"""The three fully connected layers, with a ReLU after fc6 and fc7, and the softmax."""

CLASSIFIER_INPUT = 224
"""Height and width in pixels of the pictures that the fully connected layers were trained on."""

ORDER: dict[str, int] = {layer.name: position for position, layer in enumerate((*LAYERS, *CLASSIFIER_LAYERS))}
CHANNELS: dict[str, int] = {layer.name: layer.channels for layer in (*LAYERS, *CLASSIFIER_LAYERS)}


def deepest(layers: Iterable[str]) -> str:
    """The name among `layers` that is computed last."""
    return max(layers, key=ORDER.__getitem__)


def poolings_before(layer: str) -> int:
    """How many poolings a convolutional layer's features have gone through, its own included if it is one."""
    return sum(other.kind == "pool" for other in LAYERS[: ORDER[layer] + 1])


def feature_size(layer: str, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a layer's features for a picture of `size` (h, w): each pooling halves, rounding down."""
    shrink = poolings_before(layer)
    return size[0] >> shrink, size[1] >> shrink


def smallest_side(layers: Iterable[str]) -> int:
    """The shortest side, in pixels, for which every layer still has one position."""
    return 1 << poolings_before(deepest(layers))


def multiply_adds(layer: str | None) -> float:
    """Multiplications and additions that a picture's pixel takes up to a convolutional layer (None: the picture, 0)."""
    total, channels = 0.0, 3
    for row in LAYERS[: 0 if layer is None else ORDER[layer] + 1]:
        if row.kind == "conv":
            total += 9 * channels * row.channels / 4 ** poolings_before(row.name)
            channels = row.channels
    return total


def check_request(image: Tensor, wanted: Collection[str], names: Sequence[str], below: str | None = None) -> None:
    """Raise `SettingsError` where a wanted layer isn't among a network's `names`, or the image is too small for it.

    With `below`, the image is that layer's features, and only layers beyond it can be had.
    """
    if below is not None:
        names = names[names.index(below) + 1 :]
    if unknown := sorted(set(wanted) - set(names)):
        cure = "build it with classifier=True" if unknown[0] in ORDER else f"choose from {', '.join(names)}"
        raise SettingsError(f"{unknown[0]!r} is not a layer of this network: {cure}.")
    height, width = image.shape[-2:]
    if any(layer.name in wanted for layer in CLASSIFIER_LAYERS):
        if (height, width) != (CLASSIFIER_INPUT, CLASSIFIER_INPUT):
            raise SettingsError(
                f"The picture is {width}×{height} px but the fully connected layers take "
                f"{CLASSIFIER_INPUT}×{CLASSIFIER_INPUT} px: resize or crop it."
            )
    elif wanted and min(height, width) << (0 if below is None else poolings_before(below)) < smallest_side(wanted):
        raise SettingsError(
            f"The picture is {width}×{height} px but {deepest(wanted)} needs at least "
            f"{smallest_side(wanted)} px on each side: use a bigger size or shallower layers."
        )


class Engine(Protocol):
    """A way to run the table from an image to named features, differentiable back to the image."""

    name: EngineName

    @property
    def device(self) -> torch.device:
        """Where pictures have to be, and where features are."""
        ...

    def features(self, image: Tensor, layers: Iterable[str], *, below: str | None = None) -> dict[str, Tensor]:
        """Features of an sRGB image (n, 3, h, w) in [0, 1] at each named layer, (n, c, h', w').

        With `below`, `image` is that pooling layer's features instead, and the network goes on from there.
        """
        ...


class VGG19(nn.Module):
    """The frozen network in plain torch; no weight ever asks for a gradient.

    With `classifier=True` (and weights that have it) it ends in fc6, fc7, fc8 and prob. With `precision` bfloat16
    it multiplies in that and hands out float32; `compiled` leaves it to torch.compile, which takes its time first.
    """

    name = EngineName.TORCH

    def __init__(
        self,
        weights: Weights,
        *,
        pooling: Pooling = Pooling.MAX,
        padding: Padding = Padding.ZERO,
        classifier: bool = False,
        precision: Precision = Precision.FLOAT32,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.precision = precision
        self._run = torch.compile(self._compute_all) if compiled else self._compute_all
        self.pooling, self.padding = Pooling(pooling), Padding(padding)
        self.layers = (*LAYERS, *CLASSIFIER_LAYERS) if classifier else LAYERS
        for layer in self.layers:
            if layer.kind in ("conv", "linear"):
                for part in ("weight", "bias"):
                    self.register_buffer(f"{layer.name}_{part}", weights.tensors[f"{layer.name}.{part}"])
        for name, values in (("mean", weights.convention.mean), ("std", weights.convention.std)):
            self.register_buffer(name, weights.tensors["conv1_1.bias"].new_tensor(values).view(1, 3, 1, 1))

    @property
    def device(self) -> torch.device:
        """Where its weights are, and pictures have to be."""
        return self.get_buffer("mean").device

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Same as `features`."""
        return self.features(image, layers)

    def features(self, image: Tensor, layers: Iterable[str], *, below: str | None = None) -> dict[str, Tensor]:
        """Activations of an sRGB image (n, 3, h, w) in [0, 1] at each named layer; computing stops at the deepest.

        Convolutional layers give (n, c, h', w'), the fully connected ones (n, c). With `below`, `image` is that
        pooling layer's features. Raises `SettingsError` for a name that isn't a layer of this network (or not one
        beyond `below`) or an image too small for it.
        """
        wanted = set(layers)
        check_request(image, wanted, [layer.name for layer in self.layers], below)
        autocast = torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision is Precision.BFLOAT16)
        with autocast:
            found = self._run(image, wanted, below)
        return {name: f.to(image.dtype) for name, f in found.items()}

    def _compute_all(self, image: Tensor, wanted: set[str], below: str | None) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        x = image if below is not None else (image - self.get_buffer("mean")) / self.get_buffer("std")
        for layer in self.layers[0 if below is None else ORDER[below] + 1 :]:
            if len(found) == len(wanted):
                break
            x = self._compute(x, layer, keep_input=layer.kind == "relu" and found.keys() >= {_before_relu(layer)})
            if layer.name in wanted:
                found[layer.name] = x
        return found

    def _compute(self, x: Tensor, layer: Layer, *, keep_input: bool) -> Tensor:
        match layer.kind:
            case "conv" if layer.name == "conv1_1" and self.padding is Padding.REPLICATE:
                return F.conv2d(_framed(x), self._weight(layer), self._bias(layer))
            case "conv":
                return F.conv2d(x, self._weight(layer), self._bias(layer), padding=1)
            case "relu":
                return F.relu(x, inplace=not keep_input)
            case "pool" if self.pooling is Pooling.AVERAGE:
                return F.avg_pool2d(x, 2) * AVERAGE_POOLING_GAIN[layer.name]
            case "pool":
                return F.max_pool2d(x, 2)
            case "linear":
                x = x.flatten(1) if layer.name == "fc6" else F.relu(x)
                return F.linear(x, self._weight(layer), self._bias(layer))
            case "softmax":
                return F.softmax(x, dim=1)

    def _weight(self, layer: Layer) -> Tensor:
        return self.get_buffer(f"{layer.name}_weight")

    def _bias(self, layer: Layer) -> Tensor:
        return self.get_buffer(f"{layer.name}_bias")


def _before_relu(layer: Layer) -> str:
    return layer.name.replace("relu", "conv")


def _framed(x: Tensor) -> Tensor:
    """An image (n, c, h, w) whose border pixels go on for one more, as F.pad's 'replicate', which doesn't compile."""
    x = torch.cat([x[..., :1, :], x, x[..., -1:, :]], dim=-2)
    return torch.cat([x[..., :1], x, x[..., -1:]], dim=-1)
