"""What differs between devices: whose work is queued, how numbers are read of it, how tensors go from one to another.

On a GPU a kernel that is launched is only queued, and the host goes on. It waits wherever it looks at a number:
`.item()`, `bool()`, `.cpu()`. A device that waits for its host is idle, so what a step decides is decided on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

Key = TypeVar("Key")

QUEUED = {"cuda", "mps"}
"""Types of devices whose work is queued. A test may add the CPU, on which the same code then runs, without waiting."""

PRECISE: dict[str, torch.dtype] = {"mps": torch.float32}
"""The most precise numbers of a device, where they aren't double ones."""

COPIED_BESIDE = {"cuda"}
"""Types of devices that copy from and to page-locked memory while they compute."""


def queued(device: torch.device) -> bool:
    """Whether work on a device is queued, so that the host waits where it looks at a number."""
    return device.type in QUEUED


def precise(device: torch.device) -> torch.dtype:
    """The type of numbers that sums are added up in on a device."""
    return PRECISE.get(device.type, torch.float64)


def number(scalar: Tensor) -> float | Tensor:
    """A scalar as a number, or, where work is queued, as it is on its device: nobody waits."""
    value = scalar.detach()
    return value.to(precise(value.device)) if queued(value.device) else value.item()


def read(numbers: Sequence[float | Tensor]) -> list[float]:
    """Numbers, those on a device copied from it all at once."""
    scalars = [value for value in numbers if isinstance(value, Tensor)]
    if not scalars:
        return [float(value) for value in numbers]
    device = scalars[0].device
    found = iter(torch.stack([value.detach().to(device, precise(device)).view(()) for value in scalars]).tolist())
    return [next(found) if isinstance(value, Tensor) else float(value) for value in numbers]


def finish(device: torch.device) -> None:
    """Wait until a device has done all that is queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device: itself, where it is there; else a copy, made while the device computes if it can do so."""
    if tensor.device == device:
        return tensor
    if device.type not in COPIED_BESIDE:
        return tensor.to(device)
    here, beside = torch.cuda.current_stream(device), _stream(device, "in")
    staged = tensor.contiguous().pin_memory()
    with torch.cuda.stream(beside):
        copy = staged.to(device, non_blocking=True)
    here.wait_stream(beside)
    copy.record_stream(here)
    return copy


def resident(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor of the type and on the device of another; a copy on a device that queues stays as long as the tensor."""
    if not queued(like.device):
        return tensor.to(like)
    if (tensor.device, tensor.dtype) == (like.device, like.dtype):
        return tensor
    copy = _COPIES.get(tensor)
    if copy is None or (copy.device, copy.dtype) != (like.device, like.dtype):
        copy = _COPIES[tensor] = tensor.to(like)
    return copy


_COPIES: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def brought(pairs: Iterable[tuple[Key, Tensor]], device: torch.device) -> Iterator[tuple[Key, Tensor]]:
    """Each tensor on `device`, in their order.

    Those that have to be copied come one behind: the next one is computed while the last one is on its way.
    """
    waiting: tuple[Key, _Fetched] | None = None
    for key, tensor in pairs:
        if tensor.device == device:
            yield key, tensor
        else:
            before, waiting = waiting, (key, _Fetched(tensor, device))
            if before is not None:
                yield before[0], before[1].wait()
        del tensor  # its memory is needed for the next one
    if waiting is not None:
        yield waiting[0], waiting[1].wait()


class _Fetched:
    """A tensor on its way to another device."""

    def __init__(self, tensor: Tensor, device: torch.device) -> None:
        self._arrived: torch.cuda.Event | None = None
        if tensor.device.type not in COPIED_BESIDE or device.type != "cpu":
            self._copy = tensor.to(device)
            return
        beside = _stream(tensor.device, "out")
        beside.wait_stream(torch.cuda.current_stream(tensor.device))
        with torch.cuda.stream(beside):
            self._copy = torch.empty_like(tensor, device=device, pin_memory=True).copy_(tensor, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record(beside)
        tensor.record_stream(beside)

    def wait(self) -> Tensor:
        """The copy, once it is there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._copy


@cache
def _stream(device: torch.device, name: str) -> torch.cuda.Stream:
    """The queue of a device's copies `in` or `out`: one for both would let those in wait for what is computed."""
    return torch.cuda.Stream(device)
