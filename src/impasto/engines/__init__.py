"""The ways to run VGG19 forwards and back to the pixels, and the choice between them."""

from __future__ import annotations

import torch

from impasto.errors import SettingsError
from impasto.settings import Settings
from impasto.vgg import VGG19
from impasto.weights import Weights


def choose_device(name: str) -> torch.device:
    """The device of that name; 'auto' prefers CUDA, then MPS, then the CPU. Raises `SettingsError` if it's not there.

    CUDA and MPS have not been tested by us: see the README.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    device = torch.device(name)
    absent = (device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count())) or (
        device.type == "mps" and not mps
    )
    if absent:
        raise SettingsError(f"--device is {name!r}, which this machine doesn't have: use --device cpu or auto.")
    return device


def make(settings: Settings, weights: Weights) -> VGG19:
    """The frozen network that `settings` ask for, on its device."""
    return VGG19(weights, pooling=settings.pooling).to(choose_device(settings.device)).eval()
