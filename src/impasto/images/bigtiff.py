"""Images of print size into tiled BigTIFF, written while they are read: neither side is ever in memory whole.

libvips writes the file. It is handed the pixels as a PNG that is made on the way and not compressed, for that is a
stream it reads from anywhere, in order and band by band.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

from impasto.errors import ImageError
from impasto.images.size import Size

TILE = 256
"""Side in pixels of the file's tiles."""

MM_PER_INCH = 25.4

NOTE = "impasto: "
"""Begins the note in the file's ImageDescription, so that nobody else's is taken for ours."""


def library() -> ModuleType:
    """pyvips; raises `ImageError` where it isn't installed or finds no libvips."""
    try:
        import pyvips
    except (ImportError, OSError):
        raise ImageError(
            "TIFF of this size is written by pyvips, which is not installed", "pip install 'impasto[print]'"
        ) from None
    return pyvips


def write(
    path: Path, bands: Iterator[np.ndarray], size: Size, *, alpha: bool, profile: bytes, note: str | None,
    dpi: float | None = None,
) -> None:  # fmt: skip
    """Write rows (n, w, 3), or (n, w, 4) with alpha, of 8 bits, which together are (h, w); raises `ImageError`."""
    pyvips = library()
    stream = _Stream(_png(bands, size, alpha=alpha))
    source = pyvips.SourceCustom()
    source.on_read(stream.read)
    try:
        image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error").copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        if note is not None:
            image.set_type(pyvips.GValue.gstr_type, "image-description", NOTE + note)
        if dpi is not None:
            image = image.copy(xres=dpi / MM_PER_INCH, yres=dpi / MM_PER_INCH)
        image.tiffsave(
            str(path),
            bigtiff=True,
            tile=True,
            tile_width=TILE,
            tile_height=TILE,
            compression="deflate",
            predictor="horizontal",
            resunit="inch",
        )
    except pyvips.Error as error:
        if stream.fault is not None:
            raise stream.fault from None
        raise OSError(" ".join(str(error.detail).split()) or error.message) from error
    if stream.fault is not None:
        raise stream.fault


class _Stream:
    """Pieces of any length, read in lengths that the reader asks for."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.fault: Exception | None = None
        self._left = memoryview(b"")

    def read(self, most: int) -> bytes:
        """The next bytes, at most so many; none at the end, or where making them failed: then `fault` says how."""
        try:
            if not self._left:
                self._left = memoryview(next(self.pieces, b""))
        except Exception as error:  # libvips, in between, knows nothing of exceptions
            self.fault = error
        found, self._left = self._left[:most], self._left[most:]
        return bytes(found)


def _png(bands: Iterator[np.ndarray], size: Size, *, alpha: bool) -> Iterator[bytes]:
    """A PNG (ISO/IEC 15948) without filters or compression, chunk by chunk."""
    h, w = size
    yield b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 6 if alpha else 2, 0, 0, 0))
    pack = zlib.compressobj(0)
    for band in bands:
        rows = np.zeros((band.shape[0], 1 + band[0].size), np.uint8)  # each begins with its filter's number
        rows[:, 1:] = band.reshape(band.shape[0], -1)
        if packed := pack.compress(rows.data):
            yield _chunk(b"IDAT", packed)
    yield _chunk(b"IDAT", pack.flush()) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
