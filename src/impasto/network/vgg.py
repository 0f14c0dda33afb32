"""VGG19 in torch, made from the table of layers: an engine that runs on every device that torch has."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.network.engine import EngineCost, PassCost, check_request
from impasto.network.layers import CLASSIFIER_LAYERS, LAYERS, ORDER, Layer
from impasto.network.weights import Weights
from impasto.settings.choices import EngineName, Padding, Pooling, Precision
from impasto.storage import process

process.make_forks_safe()

AVERAGE_POOLING_GAIN = {"pool1": 1.14, "pool2": 1.56, "pool3": 1.36, "pool4": 1.88, "pool5": 1.59}
"""What average-pooled values are multiplied by, so that deeper layers see magnitudes like those they were trained on.

The ratio of root mean squares, max-pooled to average-pooled, measured with the embedded weights on photographs and
paintings: docs/decisions/0002-average-pooling.md.
"""


TORCH_COST = EngineCost(
    base=100_000_000,  # its libraries' buffers
    kept_of_relu=4,  # the activation itself
    kept_of_pool=8,  # the index of what it took
    whole=PassCost(activations=2.0),
    tile=PassCost(activations=2.8),
)
"""Measured at 512 to 1024 px."""

CUDA_COST = EngineCost(
    base=1_000_000_000,  # cuDNN's and cuBLAS's workspaces, as they may grow to
    kept_of_relu=4,
    kept_of_pool=8,
    whole=PassCost(activations=2.4),  # the gradients', and what an allocator leaves between blocks
    tile=PassCost(activations=3.2),
)
"""Estimated by `TORCH_COST` and by what libraries are known to take, not measured: docs/decisions/0029-gpu.md.

In bfloat16 half of it would do; float32 is reckoned there too.
"""


class VGG19(nn.Module):
    """The frozen network in plain torch; no weight ever asks for a gradient.

    With `classifier=True` (and weights that have it) it ends in fc6, fc7, fc8 and prob. With `precision` bfloat16
    it multiplies in that and hands out float32; `compiled` leaves it to torch.compile, which takes its time first.
    """

    name = EngineName.TORCH
    unit = ""
    cost = TORCH_COST

    def __init__(
        self,
        weights: Weights,
        *,
        pooling: Pooling = Pooling.MAX,
        padding: Padding = Padding.ZERO,
        classifier: bool = False,
        precision: Precision = Precision.FLOAT32,
        compiled: bool = False,
        cost: EngineCost = TORCH_COST,
    ) -> None:
        super().__init__()
        self.precision, self.cost = precision, cost
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
        """Where its weights are, and images have to be."""
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
        check_request(image, self._channels(below), wanted, [layer.name for layer in self.layers], below)
        autocast = torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision is Precision.BFLOAT16)
        with autocast:
            found = self._run(image, wanted, below)
        return {name: f.to(image.dtype) for name, f in found.items()}

    def _channels(self, below: str | None) -> int:
        """How many channels come in, of an image or of the features at a pooling layer."""
        if below is None:
            return 3
        before = next(layer for layer in reversed(LAYERS[: ORDER[below]]) if layer.kind == "conv")
        return self._bias(before).numel()

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
