"""Where whole canvases live, in memory or in files, and work on them band by band.

Everything as large as a canvas is allocated here and worked on in bands. In memory that costs nothing: a canvas of
ordinary size is one band. In files it lets a process optimise a canvas that is larger than its memory.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from math import prod
from pathlib import Path

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.storage.devices import precise
from impasto.storage.files import quoted, reason

MEGABYTE = 1_000_000
MEMORY_DISKS = ("tmpfs", "ramfs", "devtmpfs")
"""Kinds of file systems whose files are themselves in memory."""

FILES: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
"""Those that are mapped in this process, by whomever: each can evict all of them."""


class Scratch:
    """Gives out tensors as large as a canvas: in memory, or mapped to files in `folder`.

    A file never has a name and its space is reserved at once: nothing is left of it however the process ends, and a
    full disk raises `ImpastoError` rather than killing the process later. It lives as long as its tensor.
    """

    BAND = 16 * 2**20
    """Bytes of each tensor that are worked on at a time. Sums are added up by bands, wherever a canvas lives."""
    SMALL = 2**20
    """Tensors of up to so many bytes are always in memory."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.peak = 0

    @property
    def held(self) -> int:
        """Bytes that this process has in files now; `peak` is the greatest number so far."""
        return sum(len(file) for file in FILES)

    def in_file(self, size: int) -> bool:
        """Whether a tensor of `size` bytes is put into a file."""
        return self.folder is not None and size > self.SMALL

    def empty(self, shape: Sequence[int], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """A contiguous tensor of any content, on the device of `like` and, unless told otherwise, of its type."""
        dtype = like.dtype if dtype is None else dtype
        size = prod(shape) * dtype.itemsize
        if not self.in_file(size):
            return torch.empty(tuple(shape), dtype=dtype, device=like.device)
        return torch.frombuffer(self._file(size), dtype=dtype).view(tuple(shape))

    def zeros(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """The same, full of zeros."""
        if not self.in_file(prod(shape) * like.dtype.itemsize):
            return torch.zeros(tuple(shape), dtype=like.dtype, device=like.device)
        return self.empty(shape, like)  # a new file reads as zeros

    def evict(self) -> None:
        """Let go of the memory that all files take up in this process; what is in them stays."""
        if self.folder is not None and hasattr(mmap, "MADV_DONTNEED"):
            for file in list(FILES):
                file.madvise(mmap.MADV_DONTNEED)

    def pieces(self, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Tensors of one shape, flat and piece by piece, so that no more than a band of each is in memory.

        Pieces of tensors that were given out here can be written to.
        """
        flat = [tensor.reshape(-1) for tensor in tensors]
        step = max(1, self.BAND // max(tensor.element_size() for tensor in tensors))
        for start in range(0, flat[0].numel(), step):
            yield tuple(tensor[start : start + step] for tensor in flat)
            self.evict()

    def map(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """A new tensor: `function` of tensors of one shape, in which each element depends on those at its own place."""
        first = tensors[0]
        size = first.numel() * first.element_size()
        if size <= self.BAND and not self.in_file(size):
            return function(*tensors)
        result = self.empty(first.shape, first)
        for piece, *parts in self.pieces(result, *tensors):
            piece.copy_(function(*parts))
        return result

    def map_rows(self, function: Callable[..., Tensor], channels: int, *images: Tensor) -> Tensor:
        """A new image (n, channels, h, w): `function` of images (n, c, h, w), in which each row depends on its own."""
        n, _, h, w = images[0].shape
        row = max(image[0, :, 0].numel() * image.element_size() for image in images)
        if h * row <= self.BAND and not self.in_file(n * channels * h * w * images[0].element_size()):
            return function(*images)
        result = self.empty((n, channels, h, w), images[0])
        for rows in self.windows(h, row):
            result[..., rows, :] = function(*(image[..., rows, :] for image in images))
        return result

    def sum(self, function: Callable[..., Tensor], *tensors: Tensor) -> float:
        """The sum over pieces of `function`, a scalar that adds up over the elements of tensors of one shape."""
        return sum((function(*parts).item() for parts in self.pieces(*tensors)), 0.0)

    def total(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """The same as a scalar on the tensors' device, in the most precise numbers it has: nobody waits for it."""
        dtype = precise(tensors[0].device)
        return torch.stack([function(*parts).to(dtype) for parts in self.pieces(*tensors)]).sum()

    def all(self, test: Callable[..., Tensor], *tensors: Tensor) -> bool:
        """Whether `test` is true of every piece of tensors of one shape."""
        return all(bool(test(*parts)) for parts in self.pieces(*tensors))

    def windows(self, count: int, size: int) -> Iterator[slice]:
        """Spans that cover `count` rows of `size` bytes each, as many at a time as make a band."""
        step = max(1, self.BAND // max(1, size))
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))
            self.evict()

    def read(self, view: Tensor) -> Tensor:
        """A part (…, h, w) of a tensor that was given out here: where that is in a file, a copy in memory."""
        if self.folder is None:
            return view
        part = torch.empty_like(view)
        for rows in self._rows(view):
            part[..., rows, :] = view[..., rows, :]
        return part

    def write(self, view: Tensor, part: Tensor, *, add: bool = False) -> None:
        """Write, or `add`, a part (…, h, w) to a tensor that was given out here."""
        for rows in self._rows(view):
            target, values = view[..., rows, :], part[..., rows, :]
            target.add_(values) if add else target.copy_(values)

    def _rows(self, view: Tensor) -> Iterator[slice]:
        """Windows of rows. The system may map whole neighbouring rows along with a few columns: they are counted."""
        if self.folder is None:
            return iter([slice(0, view.shape[-2])])
        row = view.stride(-2)
        planes = prod(n for n, stride in zip(view.shape, view.stride(), strict=True) if stride > row)
        return self.windows(view.shape[-2], planes * row * view.element_size())

    def _file(self, size: int) -> mmap.mmap:
        assert self.folder is not None
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                _reserve(file.fileno(), size)
                mapped = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise ImpastoError(
                f"{quoted(self.folder)} can't hold {size / MEGABYTE:,.0f} MB more of canvases ({reason(error)})",
                "make room there or name another folder with `scratch`",
                knob="scratch",
                value=str(self.folder),
            ) from error
        FILES.add(mapped)
        self.peak = max(self.peak, self.held)
        return mapped


def _reserve(file: int, size: int) -> None:
    """Give an open file its size, and its room on the disk where the system can promise that."""
    os.ftruncate(file, size)
    if hasattr(os, "posix_fallocate"):  # macOS and Windows have no such call
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # nor have some file systems
                raise


MEMORY = Scratch()
"""The scratch of ordinary runs: everything in memory."""


LOBES = 4
"""Pixels to each side of a place that count in 'lanczos'."""


def resample(image: Tensor, size: tuple[int, int], mode: str, scratch: Scratch = MEMORY) -> Tensor:
    """Resizing, (n, c, h, w) -> (n, c, *size), contiguous: 'bicubic', 'bilinear', or 'lanczos', which enlarges only.

    The former two are antialiased. Large images are resized plane by plane, by bands of rows in width and then by bands
    of columns in height, which is what torch does too: the same to the bit.
    """
    n, c, h, w = image.shape
    bytes_of = [n * c * height * width * image.element_size() for height, width in ((h, w), size)]
    if image.device.type != "cpu" or (max(bytes_of) <= scratch.BAND and not scratch.in_file(bytes_of[1])):
        return _interpolated(image, size, mode).contiguous()
    result = scratch.empty((n, c, *size), image)
    for source, target in zip(image.flatten(0, 1), result.flatten(0, 1), strict=True):
        _resample_plane(source, target, mode, scratch)
    return result


def _resample_plane(source: Tensor, target: Tensor, mode: str, scratch: Scratch) -> None:
    (h, w), (height, width), number = source.shape, target.shape, source.element_size()
    wide = source if width == w else target if height == h else scratch.empty((h, width), source)
    if width != w:
        for rows in scratch.windows(h, max(w, width) * number):
            part = source[None, None, rows]
            wide[rows] = _interpolated(part, (part.shape[2], width), mode)[0, 0]
    if height != h:
        for span in scratch.windows(width, max(h, height) * number):
            part = scratch.read(wide[:, span])[None, None]
            scaled = _interpolated(part, (height, part.shape[3]), mode)
            scratch.write(target[:, span], scaled[0, 0])
    elif width == w:
        for rows in scratch.windows(h, w * number):
            target[rows] = source[rows]


def _interpolated(image: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    if mode == "lanczos":
        return _lanczos(_lanczos(image, size[1], -1), size[0], -2)
    return F.interpolate(image, size=size, mode=mode, antialias=True)


def _lanczos(image: Tensor, length: int, along: int) -> Tensor:
    """Σ_k x_k sinc(d_k) sinc(d_k / a) by distances d_k in pixels, a being `LOBES`; the border goes on outside."""
    count = image.shape[along]
    if count == length:
        return image
    places = (torch.arange(length, dtype=torch.float64) + 0.5) * count / length - 0.5
    near = places.floor().long()[None] + torch.arange(1 - LOBES, LOBES + 1)[:, None]
    distances = places - near
    weights = torch.sinc(distances) * torch.sinc(distances / LOBES)
    weights = (weights / weights.sum(dim=0)).to(image).view(2 * LOBES, *([-1, 1] if along == -2 else [-1]))
    pixels = near.clamp(0, count - 1).to(image.device)
    # Products and sums one by one: fused ones round otherwise at the end of a band than within it.
    result = weights[0] * image.index_select(along, pixels[0])
    for weight, at in zip(weights[1:], pixels[1:], strict=True):
        result += weight * image.index_select(along, at)
    return result


def default_folder() -> Path | None:
    """The system's folder for temporary files, or /var/tmp where that one is itself in memory; None without a disk."""
    for folder in (Path(tempfile.gettempdir()), Path("/var/tmp")):
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and not in_memory(folder):
            return folder
    return None


def in_memory(folder: Path) -> bool:
    """Whether files in this folder are themselves kept in memory."""
    folder = folder.resolve()
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return bool(mounts) and max(mounts, key=lambda part: len(part.mountpoint)).fstype in MEMORY_DISKS
