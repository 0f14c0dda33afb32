"""Which engine runs, and on which device."""

from __future__ import annotations

import torch

from impasto.errors import SettingsError
from impasto.network.engine import Engine
from impasto.network.engines.native import NativeEngine
from impasto.network.engines.native_library import why_not
from impasto.network.vgg import CUDA_COST, TORCH_COST, VGG19
from impasto.network.weights import Weights
from impasto.settings.choices import EngineName, Precision
from impasto.settings.settings import Settings
from impasto.storage import process

FIRST_WITH_BFLOAT16 = (8, 0)
"""NVIDIA's first compute capability whose tensor cores multiply in bfloat16."""


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
        raise SettingsError(
            f"`device` is {name!r}, which this machine doesn't have",
            "use `device` cpu or auto",
            knob="device",
            value=name,
        )
    return device


def emulates_bfloat16(device: torch.device) -> bool:
    """Whether a GPU multiplies in bfloat16 by way of float32, which is slower than float32 itself."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) < FIRST_WITH_BFLOAT16


def can_run(name: str) -> bool:
    """Whether an engine of that name would run on this machine's CPU."""
    return name == EngineName.TORCH or (name == EngineName.NATIVE and why_not() is None)


def make_engine(settings: Settings, weights: Weights) -> Engine:
    """The frozen network that `settings` ask for, on its device; raises `SettingsError` where it can't run here.

    'auto' takes the native engine wherever it can run: it was faster than torch at every size that was measured. On
    CUDA the network's memory is channels-last, cuDNN takes kernels that repeat to the bit, and its TF32, which torch
    allows by default, is left to `precision`. Raises `SettingsError` too for bfloat16 on a GPU that only emulates it.
    """
    wish, device = settings.engine, choose_device("cpu" if settings.engine is EngineName.NATIVE else settings.device)
    fault = why_not(weights)
    if wish is EngineName.NATIVE and fault:
        raise SettingsError(
            f"`engine` is 'native', but {fault}", "use `engine` torch or auto", knob="engine", value=str(wish)
        )
    plain = settings.precision is Precision.FLOAT32 and not settings.compile
    if wish is not EngineName.TORCH and device.type == "cpu" and fault is None and plain:
        return NativeEngine(weights, pooling=settings.pooling, padding=settings.padding)
    if settings.precision is Precision.TF32 and device.type != "cuda":
        raise SettingsError(
            f"`precision` is 'tf32', which only CUDA has, but the device is {device}",
            "use float32",
            knob="precision",
            value=str(settings.precision),
        )
    if settings.precision is Precision.BFLOAT16 and emulates_bfloat16(device):
        raise SettingsError(
            f"`precision` is 'bfloat16', which {torch.cuda.get_device_name(device)} only emulates",
            "use float32",
            knob="precision",
            value=str(settings.precision),
        )
    network = VGG19(
        weights,
        pooling=settings.pooling,
        padding=settings.padding,
        precision=settings.precision,
        compiled=settings.compile,
        cost=CUDA_COST if device.type == "cuda" else TORCH_COST,
    )
    if device.type == "cuda":  # not measured by us: docs/decisions/0029-gpu.md
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        process.repeat_on_cuda(tf32=settings.precision is Precision.TF32)
    return network.to(device).eval()
