"""VGG19's convolutions as they were unpacked from a file of weights, kept on disk and mapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from threading import Thread

import torch
from torch import Tensor

from impasto.network.weight_files import shapes_of
from impasto.storage.array_cache import ArrayCache

CODES = {"caffe": 0, "torchvision": 1}
"""Conventions, as the first number of the array has them."""


@dataclass(frozen=True)
class Unpacked:
    """Checked tensors by impasto's names, and the name of their convention."""

    tensors: dict[str, Tensor]
    convention: str


def read(cache: ArrayCache) -> Unpacked | None:
    """What was kept of the weights of this cache; None for none."""
    shapes = shapes_of(classifier=False)
    sizes = [prod(shape) for shape in shapes.values()]
    data = cache.read(_name(), 4 * (1 + sum(sizes)))
    if data is None:
        return None
    code, *parts = torch.frombuffer(data, dtype=torch.float32).split([1, *sizes])
    convention = next((name for name, number in CODES.items() if number == code.item()), None)
    if convention is None:
        return None
    tensors = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    return Unpacked(tensors, convention)


def write(cache: ArrayCache, tensors: Mapping[str, Tensor], convention: str) -> Thread:
    """Keep them for the next process, in a thread."""
    parts = [tensors[name].flatten() for name in shapes_of(classifier=False)]
    whole = torch.cat([torch.tensor([float(CODES[convention])]), *parts])
    return cache.write(_name(), whole.numpy().data.cast("B"))


def _name() -> str:
    """It changes with what the unpacked weights are."""
    return "convolutions-1"
