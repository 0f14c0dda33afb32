"""Memory of large tensors that goes from one step to the next: fresh memory costs a page fault every 4 KB."""

from __future__ import annotations

import ctypes
import threading
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf, prod

import torch
from torch import Tensor

LARGE = 2**20
"""Bytes from which on memory is kept; the C library keeps smaller pieces itself."""

WASTE = 1.5
"""A tensor may lie in memory that is larger than itself by this factor."""


class FreeList:
    """Buffers of float32 on the CPU that wait to be used again; not safe to share between threads.

    With `waste`, a buffer is only used for what takes at least that part of it: size ≤ waste · needed.
    """

    def __init__(self, waste: float = inf) -> None:
        self._waste = waste
        self._free: list[Tensor] = []  # by size

    @property
    def nbytes(self) -> int:
        """Bytes that wait here."""
        return sum(buffer.nbytes for buffer in self._free)

    def take(self, size: int) -> Tensor:
        """A flat buffer of at least `size` numbers, of any content: the smallest that fits, or a new one."""
        at = bisect_left(self._free, size, key=Tensor.numel)
        if at < len(self._free) and self._free[at].numel() <= self._waste * size:
            return self._free.pop(at)
        if at:
            self._free.pop(at - 1)  # the largest of those that are too small: the new one takes its place
        return torch.empty(size, dtype=torch.float32)

    def give_back(self, tensor: Tensor) -> None:
        """Let the buffer that a tensor lies in be used again."""
        buffer = torch.empty(0, dtype=torch.float32).set_(tensor.untyped_storage())  # pyright: ignore
        self._free.insert(bisect_left(self._free, buffer.numel(), key=Tensor.numel), buffer)

    def clear(self) -> None:
        """Give all of them to the system."""
        self._free.clear()


class Pool:
    """Memory for tensors of float32 or bytes on the CPU, which comes back by itself when nothing refers to it."""

    def __init__(self) -> None:
        self._users = 0
        self._lock = threading.Lock()
        self._free = FreeList(WASTE)
        self._returned: deque[Tensor] = deque()  # a tensor may die at any moment, also while the lock is held

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep memory while the block runs. Blocks may overlap; what is free after the last goes to the system."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
            if not self._users:
                self.trim()

    @property
    def nbytes(self) -> int:
        """Bytes that are kept for tensors to come."""
        with self._lock:
            self._collect()
            return self._free.nbytes

    def trim(self) -> None:
        """Give what is free to the system: what comes now has other sizes."""
        with self._lock:
            self._free.clear()
            self._returned.clear()

    def empty(self, *shape: int) -> Tensor:
        """A contiguous float32 tensor of any content; outside of `kept`, or if it's small, an ordinary one."""
        size = prod(shape)
        if not self._users or 4 * size < LARGE:
            return torch.empty(shape, dtype=torch.float32)
        whole = self._take(size)
        lent = (ctypes.c_char * whole.nbytes).from_address(whole.data_ptr())  # torch holds it as long as the memory
        weakref.finalize(lent, self._take_back, whole).atexit = False
        return torch.frombuffer(lent, dtype=torch.float32)[:size].view(shape)

    def bytes(self, *shape: int) -> Tensor:
        """The same for a tensor of bytes."""
        size = prod(shape)
        return self.empty(-(-size // 4)).view(torch.uint8)[:size].view(shape)

    def like(self, tensor: Tensor, *shape: int) -> Tensor:
        """An empty tensor of this shape, of the type and on the device of `tensor`; pooled where that can be."""
        if tensor.dtype == torch.float32 and tensor.device.type == "cpu":
            return self.empty(*shape)
        return tensor.new_empty(shape)

    def beside(self, features: Tensor) -> Tensor:
        """An empty tensor of the shape of features (n, c, h, w) and in their order in memory."""
        n, c, h, w = features.shape
        if features.stride(1) != 1:
            return self.like(features, n, c, h, w)
        return self.like(features, n, h, w, c).permute(0, 3, 1, 2)

    def _take(self, size: int) -> Tensor:
        with self._lock:
            self._collect()
            return self._free.take(size)

    def _collect(self) -> None:
        """Put what came back where it is looked for; with the lock held."""
        while self._returned:
            self._free.give_back(self._returned.popleft())

    def _take_back(self, whole: Tensor) -> None:
        if self._users:
            self._returned.append(whole)


POOL = Pool()
"""The process's pool. Like any allocator's, its state changes no number."""
