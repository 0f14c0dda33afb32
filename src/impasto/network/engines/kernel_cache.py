"""Kernels as the native engine has arranged them, kept on disk and mapped, so that the next process needn't."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.storage.array_cache import ArrayCache

ARRANGEMENT = 1
"""Of the numbers: to be raised with any change of how kernels are arranged or transformed."""


@dataclass(frozen=True)
class KernelCache:
    """One layer's kernels, for vectors of `width` floats, in both directions; without a cache none are kept."""

    cache: ArrayCache | None
    layer: str
    width: int

    def read(self, size: int, *, back: bool) -> Tensor | None:
        """So many numbers, flat; None for none."""
        data = None if self.cache is None else self.cache.read(self._name(back=back), 4 * size)
        return None if data is None else torch.frombuffer(data, dtype=torch.float32)

    def write(self, kernels: Tensor, *, back: bool) -> None:
        """Keep them."""
        if self.cache is not None:
            self.cache.write(self._name(back=back), kernels.numpy().data.cast("B"))

    def _name(self, *, back: bool) -> str:
        return f"{self.layer}-{'back' if back else 'forwards'}-{self.width}-{ARRANGEMENT}"
