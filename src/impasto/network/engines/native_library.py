"""native.c's library: found, loaded and described to ctypes; or why it can't be."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from impasto.network.layers import CONVOLUTIONS
from impasto.network.weights import Weights

VERSION = 3
"""Of the calls in native.c."""

CHANNEL_MULTIPLE = 32
"""Channels come in multiples of this: two vectors of AVX-512."""


class Unavailable(Exception):  # noqa: N818 - a finding, which no user sees as an error
    """The native engine can't run here: why, as a clause."""


class Conv(ctypes.Structure):
    """The struct of native.c, field by field."""

    _pointers = ("x", "kernels", "y", "bias", "add", "mask", "add_before", "before", "work")
    _sizes = ("h", "w", "c", "k", "block", "deep", "threads", "avx512")
    _fields_ = [(name, ctypes.c_void_p) for name in _pointers] + [(name, ctypes.c_int) for name in _sizes]


@cache
def library() -> ctypes.CDLL:
    """The library that setup.py built, loaded; raises `Unavailable`.

    It isn't linked to an OpenMP runtime but finds the one that `import torch` has made global, so that both share its
    threads: two runtimes would each keep their own spinning. Where torch brings none, loading fails, and that is that.
    """
    paths = sorted(Path(__file__).parent.glob("_native*.so"))
    if not paths:
        raise Unavailable("it wasn't built when impasto was installed, which takes GCC on an x86-64 Linux")
    try:
        found = ctypes.CDLL(str(paths[0]))
        version = found.impasto_version()
    except (OSError, AttributeError) as error:
        raise Unavailable(f"{paths[0]} can't be loaded ({error})") from None
    if version != VERSION:
        raise Unavailable(f"{paths[0]} was built from another version: install impasto again")
    p, i, f = ctypes.c_void_p, ctypes.c_int, ctypes.c_float
    found.impasto_workspace.restype = ctypes.c_long
    found.impasto_transform.argtypes = [p, p, i, i, i, i]
    found.impasto_first.argtypes = [p] * 7 + [i] * 6
    found.impasto_first_back.argtypes = [p] * 4 + [i] * 6
    found.impasto_pool.argtypes = [p, p, p, i, i, i, f, i, i]
    found.impasto_pool_back.argtypes = [p] * 5 + [i, i, i, f, i, i]
    return found


def why_not(weights: Weights | None = None) -> str | None:
    """Why the native engine can't run here (or not with these weights), as a clause; None if it can."""
    try:
        if not library().impasto_instructions():
            return "it needs a processor with AVX2 and FMA"
    except Unavailable as reason:
        return str(reason)
    if weights is None or all(weights.tensors[f"{name}.bias"].numel() % CHANNEL_MULTIPLE == 0 for name in CONVOLUTIONS):
        return None
    return f"it needs layers with a multiple of {CHANNEL_MULTIPLE} channels"


def address(tensor: Tensor | None) -> int | None:
    """Where a tensor of floats or bytes begins, None for none."""
    if tensor is None:
        return None
    assert tensor.is_contiguous()
    assert tensor.dtype in (torch.float32, torch.uint8)
    return tensor.data_ptr()
