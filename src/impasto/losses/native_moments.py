"""Moments by a kernel of our own, for features that the native engine has made: native_moments.c.

It computes half of a symmetric product, and gives the same to the bit for any number of threads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.network.engines import native_library
from impasto.storage.pool import POOL

BLOCK = 14 * 32
"""Numbers of a block of products: native.c's ROWS and PANEL at most."""


def fits(f: Tensor) -> bool:
    """Whether features (n, c, m) are of one image, in float32, and in memory as (m, c): what the kernel reads."""
    n, c, m = f.shape
    return (
        (n, f.dtype, f.device.type) == (1, torch.float32, "cpu")
        and c % native_library.CHANNEL_MULTIPLE == 0
        and f.stride()[1:] == (1, c)
        and m > 0
        and native_library.why_not() is None
    )


def sums(f: Tensor) -> Tensor:
    """Σ [F; 1] [F; 1]ᵀ of features (1, c, m) that fit: (1, c + 1, c + 1) in double precision."""
    native, (_, c, m) = native_library.library(), f.shape
    threads = native_library.thread_count()
    parts = POOL.empty(2 * native.impasto_moments_parts(m, c) * (c + 1) * c)  # of double precision
    found, work = f.new_empty((1, c + 1, c + 1), dtype=torch.float64), f.new_empty(threads * BLOCK)
    addresses = (tensor.data_ptr() for tensor in (f, parts, found, work))
    native.impasto_moments(*addresses, m, c, threads, native.impasto_width())
    return found


def gradient(f: Tensor, d: Tensor) -> Tensor:
    """(D + Dᵀ) [F; 1], without its last row, of features (1, c, m) that fit and D (1, c + 1, c + 1); in memory as F."""
    native, (_, c, m) = native_library.library(), f.shape
    d, panels, found = d.double().contiguous(), f.new_empty((c + 1) * c), POOL.empty(1, m, c)
    addresses = (tensor.data_ptr() for tensor in (f, d, panels, found))
    native.impasto_moments_back(*addresses, m, c, native_library.thread_count(), native.impasto_width())
    return found.mT
