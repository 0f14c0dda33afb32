"""Which engine runs, and on which device."""

from __future__ import annotations

import torch

from impasto.errors import SettingsError
from impasto.network.engine import Engine
from impasto.network.engines import trial
from impasto.network.engines.native import NativeEngine
from impasto.network.engines.native_bf16 import Bf16Engine
from impasto.network.engines.native_library import Bf16Kernel, bf16_kernels, why_no_bf16, why_not
from impasto.network.vgg import CUDA_COST, TORCH_COST, VGG19
from impasto.network.weights import Weights
from impasto.settings.choices import EngineName, Precision, StyleLossName
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


def decided_precision(settings: Settings) -> Precision:
    """The precision that `settings` ask for; 'auto' is bfloat16 where AMX is and wins a trial of the native engine.

    The trial, once in a process, takes a part of a second: short runs take float32 without one. So do, for the reasons
    in docs/decisions/0027-bfloat16.md: processors with AVX512-BF16 alone, whose two products an instruction are no
    match for the quarter of them that Winograd's algorithm needs; torch and every other device; and losses that
    weren't found to end the same.
    """
    if settings.precision != Precision.AUTO:
        return Precision(settings.precision)
    may = settings.engine is not EngineName.TORCH and not settings.compile and _is_long(settings) and _on_cpu(settings)
    if not may or settings.style_loss not in SAME_IN_BFLOAT16 or why_not() or Bf16Kernel.AMX not in bf16_kernels():
        return Precision.FLOAT32
    return Precision.BFLOAT16 if trial.bfloat16_wins() else Precision.FLOAT32


LONG = 3e6
"""Pixels of a final canvas times steps from which on a run is worth a trial: one of some seconds in float32."""

SAME_IN_BFLOAT16 = (StyleLossName.W2,)
"""Losses that ended within half a per cent of float32's on all pairs measured; `gram` was 0.7 % off on one pair."""


def _is_long(settings: Settings) -> bool:
    side, steps = settings.longest_side, settings.epochs * settings.steps_per_epoch
    return side is None or side * side * steps >= LONG


def _on_cpu(settings: Settings) -> bool:
    return choose_device("cpu" if settings.engine is EngineName.NATIVE else settings.device).type == "cpu"


def make_engine(settings: Settings, weights: Weights) -> Engine:
    """The frozen network that `settings` ask for, on its device; raises `SettingsError` where it can't run here.

    'auto' takes the native engine wherever it can run: it was faster than torch at every size that was measured. Where
    that can't compute in the `precision` that is asked for, torch does. On CUDA the network's memory is channels-last,
    cuDNN takes kernels that repeat to the bit, and its TF32, which torch allows by default, is left to `precision`.
    Raises `SettingsError` too for bfloat16 on a GPU that only emulates it.
    """
    wish, device = settings.engine, choose_device("cpu" if settings.engine is EngineName.NATIVE else settings.device)
    fault = why_not(weights)
    if wish is EngineName.NATIVE and fault:
        raise SettingsError(
            f"`engine` is 'native', but {fault}", "use `engine` torch or auto", knob="engine", value=str(wish)
        )
    precision = (
        decided_precision(settings) if fault is None or settings.precision is not Precision.AUTO else Precision.FLOAT32
    )
    if wish is not EngineName.TORCH and device.type == "cpu" and fault is None and not settings.compile:
        no_bfloat16 = why_no_bf16()
        if precision is Precision.FLOAT32:
            return NativeEngine(weights, pooling=settings.pooling, padding=settings.padding)
        if precision is Precision.BFLOAT16 and no_bfloat16 is None:
            return Bf16Engine(weights, pooling=settings.pooling, padding=settings.padding)
        if precision is Precision.BFLOAT16 and wish is EngineName.NATIVE:
            raise SettingsError(
                f"`precision` is 'bfloat16' and `engine` 'native', but {no_bfloat16}",
                "use `precision` float32 or auto, or `engine` torch",
                knob="precision",
                value=str(precision),
            )
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
        precision=precision,
        compiled=settings.compile,
        cost=CUDA_COST if device.type == "cuda" else TORCH_COST,
    )
    if device.type == "cuda":  # not measured by us: docs/decisions/0029-gpu.md
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        process.repeat_on_cuda(tf32=settings.precision is Precision.TF32)
    return network.to(device).eval()
