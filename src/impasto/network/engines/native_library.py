"""native.c's library: found, loaded and described to ctypes; or why it can't be."""

from __future__ import annotations

import ctypes
import platform
from enum import IntEnum
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from impasto.network.layers import CONVOLUTIONS
from impasto.network.weights import Weights
from impasto.storage import cores

VERSION = 6
"""Of the calls in native.c."""

INSTRUCTIONS = {16: "AVX-512", 8: "AVX2", 4: "NEON"}
"""What the kernels are written for, by the floats to a vector."""

MACHINES = ("x86_64", "amd64", "aarch64", "arm64")
"""x86-64 and ARM64, in the words of Linux, Windows and macOS."""

CHANNEL_MULTIPLE = 32
"""Channels come in multiples of this: two vectors of AVX-512."""


class Bf16Kernel(IntEnum):
    """What multiplies bfloat16, from the slowest to the fastest, as native_bf16.h numbers them."""

    PLAIN = 0
    AVX512 = 1
    AMX = 2


BF16_NAMES = {Bf16Kernel.AVX512: "AVX512-BF16", Bf16Kernel.AMX: "AMX"}
"""Those that compute in bfloat16; the plain one only takes it apart."""


class Unavailable(Exception):  # noqa: N818 - a finding, which no user sees as an error
    """The native engine can't run here: why, as a clause."""


class Conv(ctypes.Structure):
    """The struct of native.c, field by field."""

    _pointers = ("x", "kernels", "y", "bias", "add", "mask", "add_before", "before", "work")
    _sizes = ("h", "w", "c", "k", "block", "deep", "threads", "width")
    _fields_ = [(name, ctypes.c_void_p) for name in _pointers] + [(name, ctypes.c_int) for name in _sizes]


class ConvBf16(ctypes.Structure):
    """The struct of native_bf16.h, field by field."""

    _pointers = ("x", "kernels", "y", "features", "bias", "add", "mask", "add_before", "before", "work")
    _sizes = ("h", "w", "c", "k", "block", "threads", "width", "kernel")
    _fields_ = [(name, ctypes.c_void_p) for name in _pointers] + [(name, ctypes.c_int) for name in _sizes]


@cache
def library() -> ctypes.CDLL:
    """The library that setup.py built, loaded; raises `Unavailable`."""
    paths = sorted(path for path in Path(__file__).parent.glob("_native.*") if path.suffix in (".so", ".pyd"))
    if not paths:
        raise Unavailable(_why_not_built())
    return load(paths[0])


def load(path: Path) -> ctypes.CDLL:
    """A library made of native.c, described to ctypes; raises `Unavailable`.

    Built with GCC on Linux, it isn't linked to an OpenMP runtime but finds the one that `import torch` has made global,
    so that both share its threads: two runtimes would each keep their own spinning. Where torch brings none, loading
    fails, and that is that. Elsewhere it has a thread pool of its own.
    """
    try:
        found = ctypes.CDLL(str(path))
        version = found.impasto_version()
    except (OSError, AttributeError) as error:
        raise Unavailable(f"{path} can't be loaded ({error})") from None
    if version != VERSION:
        raise Unavailable(f"{path} was built from another version: install impasto again")
    p, i, f, n = ctypes.c_void_p, ctypes.c_int, ctypes.c_float, ctypes.c_ssize_t
    found.impasto_workspace.restype = ctypes.c_ssize_t
    found.impasto_transform.argtypes = [p, p, i, i, i, i]
    found.impasto_first.argtypes = [p] * 7 + [i] * 6
    found.impasto_first_back.argtypes = [p] * 4 + [i] * 6
    found.impasto_pool.argtypes = [p, p, p, i, i, i, f, i, i]
    found.impasto_pool_back.argtypes = [p] * 5 + [i, i, i, f, i, i]
    found.impasto_moments_parts.restype = n
    found.impasto_moments_parts.argtypes = [n, i]
    found.impasto_moments.argtypes = [p] * 4 + [n] + [i] * 3
    found.impasto_moments_back.argtypes = [p] * 4 + [n] + [i] * 3
    found.impasto_bf16_size.restype = ctypes.c_ssize_t
    found.impasto_pack_bf16.argtypes = [p, p] + [i] * 5
    found.impasto_first_bf16.argtypes = [p] * 8 + [i] * 6
    found.impasto_first_back_bf16.argtypes = [p] * 4 + [i] * 6
    found.impasto_pool_bf16.argtypes = [p] * 4 + [i, i, i, f, i, i]
    found.impasto_pool_back_bf16.argtypes = [p] * 5 + [i, i, i, f, i, i]
    return found


def kernels() -> str | None:
    """Which instructions the native engine's kernels use on this machine, None where it can't run."""
    return None if why_not() else INSTRUCTIONS[library().impasto_width()]


def bf16_kernels() -> list[Bf16Kernel]:
    """The kernels that multiply bfloat16 by instructions of this processor."""
    found = library().impasto_bf16_kernels()
    return [kernel for kernel in BF16_NAMES if found >> kernel & 1]


def why_no_bf16() -> str | None:
    """Why the native engine can't compute in bfloat16 here, as a clause; None if it can."""
    if fault := why_not():
        return fault
    return (
        None if bf16_kernels() else f"it needs Linux and a processor with {' or '.join(BF16_NAMES.values())} for that"
    )


def why_not(weights: Weights | None = None) -> str | None:
    """Why the native engine can't run here (or not with these weights), as a clause; None if it can."""
    try:
        if not library().impasto_width():
            return "it needs a processor with AVX2 and FMA"
    except Unavailable as reason:
        return str(reason)
    if weights is None or all(weights.tensors[f"{name}.bias"].numel() % CHANNEL_MULTIPLE == 0 for name in CONVOLUTIONS):
        return None
    return f"it needs layers with a multiple of {CHANNEL_MULTIPLE} channels"


def _why_not_built() -> str:
    if (machine := platform.machine()).lower() not in MACHINES:
        return f"it has kernels for x86-64 and ARM64, and this is {machine}"
    compiler = "clang" if platform.system() == "Windows" else "GCC or clang"
    return f"it wasn't built when impasto was installed, which takes {compiler}"


def thread_count() -> int:
    """How many threads a loop of native.c takes now: its results are the same for any number."""
    return cores.threads(torch.get_num_threads())


def address(tensor: Tensor | None) -> int | None:
    """Where a tensor of floats or bytes begins, for bfloat16 the memory that it is within; None for none."""
    if tensor is None:
        return None
    if tensor.dtype == torch.bfloat16:
        return tensor.untyped_storage().data_ptr()
    assert tensor.is_contiguous()
    assert tensor.dtype in (torch.float32, torch.uint8)
    return tensor.data_ptr()
