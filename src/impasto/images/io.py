"""Pictures in and out: file, bytes, PIL image or array ⇄ (1, 3, h, w) sRGB in [0, 1], the right way up.

What a file's samples mean, 8 or 16 bits, colours and profiles, is told in `decoding`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from torch import Tensor

from impasto.errors import ImageError
from impasto.images import bigtiff
from impasto.images.decoding import as_tensor, check_range, check_size, decode, opacity, srgb_profile
from impasto.images.size import Size, size_of
from impasto.storage.files import quoted, reason, write_atomically
from impasto.storage.scratch import MEMORY

JPEG_MAGIC = b"\xff\xd8\xff"

# The plugins are called by name, not through Image.open: nothing else (EPS, PSD, …) is ever tried, and
# Image.open's pixel limit, a process-wide variable, stays out of the way of `max_pixels`. MPO comes as JPEG.
OPENERS: dict[bytes, Callable[[BinaryIO], Image.Image]] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    JPEG_MAGIC: JpegImagePlugin.jpeg_factory,
    b"RIFF": WebPImagePlugin.WebPImageFile,
    b"II*\0": TiffImagePlugin.TiffImageFile,
    b"MM\0*": TiffImagePlugin.TiffImageFile,
    b"II+\0": TiffImagePlugin.TiffImageFile,
    b"MM\0+": TiffImagePlugin.TiffImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
    b"GIF8": GifImagePlugin.GifImageFile,
}


class Format(NamedTuple):
    """How pictures of one file type are written."""

    name: str
    options: dict[str, Any]
    longest: int = 2**31 - 1  # pixels on a side
    has_alpha: bool = True
    has_note: bool = True


PNG = Format("PNG", {})
JPEG = Format("JPEG", {"quality": 95, "subsampling": 0}, 65535, has_alpha=False)
WEBP = Format("WEBP", {"lossless": True, "exact": True}, 16383)
TIFF = Format("TIFF", {"compression": "raw"})  # Pillow can't write EXIF through libtiff, so not compressed
BMP = Format("BMP", {}, has_alpha=False, has_note=False)
FORMATS = {
    ".png": PNG, ".jpg": JPEG, ".jpeg": JPEG, ".webp": WEBP, ".tif": TIFF, ".tiff": TIFF, ".bmp": BMP,
}  # fmt: skip

IMAGE_DESCRIPTION, SOFTWARE, EXIF_FOLDER, USER_COMMENT = 0x010E, 0x0131, 0x8769, 0x9286
PRINT_PIXELS = 64_000_000
"""Pixels beyond which TIFF is written in tiles, straight from where the picture lives."""

JPEG_MARKER_BYTES = 65533
JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""Anything but a stuffed or filling byte and the marks inside a scan."""

MOST_SCANS = 100
"""In a progressive JPEG: some ten are usual, 10,000 take as many passes over its pixels; libtiff has the same limit."""

ASCII, UNICODE = b"ASCII\0\0\0", b"UNICODE\0"  # EXIF 2.3, 4.6.5: the first 8 bytes of UserComment

_pillow_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child must not find it taken by a thread that it doesn't have
    os.register_at_fork(
        before=_pillow_lock.acquire, after_in_parent=_pillow_lock.release, after_in_child=_pillow_lock.release
    )


@dataclass(frozen=True)
class Picture:
    """A decoded picture and where it came from."""

    pixels: Tensor
    """(1, 3, h, w) float32 sRGB in [0, 1]."""
    alpha: Tensor | None
    """(1, 1, h, w) float32 in [0, 1], or None where everything is opaque."""
    sha256: str
    """Of the file's bytes; of the raw pixels, their shape and type for what was in memory."""
    name: str
    """The file's stem, for naming outputs; 'image' or 'array' for what was in memory."""
    path: str | None
    """Absolute, where it came from a file."""

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return size_of(self.pixels)


def load(
    source: str | os.PathLike[str] | bytes | Image.Image | np.ndarray, *, max_pixels: int = 100_000_000
) -> Picture:
    """A picture from a file, a file's bytes, a PIL image or an array; raises `ImageError`.

    Files: the first frame of PNG, JPEG, WebP, TIFF, BMP or GIF, `max_pixels` being checked before decoding.
    Arrays: (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of uint8, uint16, bool, or float in [0, 1]. PIL's mode I
    counts as 0 … 65535, its mode F as 0 … 1. A broken colour profile counts as sRGB, broken EXIF as upright.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        name = "The PIL image"
        with _pillow(name):
            pixels, alpha = decode(source, name, max_pixels, reopen=None)
            sha256 = _digest(f"{source.mode} {source.size} {source.getpalette()}", source.tobytes())
        return Picture(pixels, alpha, sha256, "image", None)
    if isinstance(source, bytes):
        return _from_stream(BytesIO(source), "The picture in memory", "image", None, max_pixels)
    if isinstance(source, str | os.PathLike):
        path = Path(os.fsdecode(source))
        with _opened(path) as stream:
            return _from_stream(stream, quoted(path), path.stem, str(path.absolute()), max_pixels)
    raise ImageError(
        f"A {type(source).__name__} is not a picture: give a file's path, its bytes, a PIL image or a NumPy array."
    )


def to_pil(pixels: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """(1, 3, h, w), with alpha (1, 1, h, w), in [0, 1] -> 8-bit RGB(A), rounded; `ImageError` for NaN."""
    _check_shapes(pixels, alpha)
    levels = np.empty((pixels.shape[2], pixels.shape[3], 3 if alpha is None else 4), np.uint8)
    top = 0
    for band in _levels(pixels, alpha):
        levels[top : top + len(band)] = band
        top += len(band)
    return Image.fromarray(levels)


def _levels(pixels: Tensor, alpha: Tensor | None) -> Iterator[np.ndarray]:
    """Bands of rows (n, w, c) of 8 bits, from the top to the bottom; `ImageError` for NaN."""
    height, row = pixels.shape[2], 4 * pixels[0, :, 0].numel()
    for rows in MEMORY.windows(height, row):
        planes = [part[0, :, rows].detach().to("cpu", torch.float32) for part in (pixels, alpha) if part is not None]
        band = torch.cat(planes)
        if not torch.isfinite(band).all():
            raise ImageError("The picture holds NaN or infinite pixels: keep the last good one instead.")
        yield band.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def save(
    path: str | os.PathLike[str],
    pixels: Tensor,
    *,
    alpha: Tensor | None = None,
    note: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write (1, 3, h, w) sRGB as the extension says, old or new but never torn; raises `ImageError`.

    PNG, TIFF, WebP and BMP are lossless, JPEG has quality 95 and full colour resolution. JPEG and BMP lay
    what is transparent over white. `note` goes into EXIF's UserComment, but BMP has no room for one. TIFF beyond
    `PRINT_PIXELS` is tiled BigTIFF with the note in ImageDescription, and the picture is never in memory whole.
    """
    path = Path(path)
    check_writable(path, overwrite)
    _check_shapes(pixels, alpha)
    kind = FORMATS[path.suffix.lower()]
    height, width = pixels.shape[-2:]
    check_holds(path, (height, width))
    if kind is TIFF and height * width > PRINT_PIXELS:
        bands, has_alpha = _levels(pixels, alpha), alpha is not None
        profile = srgb_profile()
        _put(
            path,
            lambda file: bigtiff.write(
                Path(file.name), bands, (height, width), alpha=has_alpha, profile=profile, note=note
            ),
            overwrite,
        )
        return path
    if alpha is not None and not kind.has_alpha:
        pixels, alpha = pixels * alpha + (1 - alpha), None
    options = kind.options | {"icc_profile": srgb_profile()}
    if note is not None and kind.has_note:
        options["exif"] = _exif(note)
        if kind is JPEG and len(options["exif"]) > JPEG_MARKER_BYTES:
            raise ImageError(f"{quoted(path)} can't hold a note of {len(note)} characters: save it as .png or .tif.")
    encoded = BytesIO()
    with _pillow(quoted(path), "written", "save it as .png"):
        to_pil(pixels, alpha).save(encoded, kind.name, **options)
    _put(path, lambda file: file.write(encoded.getbuffer()), overwrite)
    return path


def _put(path: Path, write: Callable[[BinaryIO], object], overwrite: bool) -> None:
    try:
        write_atomically(path, write, overwrite=overwrite)
    except FileExistsError:
        raise ImageError(f"{quoted(path)} already exists: choose another name or allow overwriting.") from None
    except OSError as error:
        raise ImageError(
            f"{quoted(path)} can't be written ({reason(error)}): make room or save it elsewhere."
        ) from error


def read_note(path: str | os.PathLike[str]) -> str | None:
    """The note that `save` put in, or None; decodes no pixels; raises `ImageError`."""
    path = Path(path)
    with _opened(path) as stream, _pillow(quoted(path)):
        image = _identify(stream, quoted(path))
        if "exif" not in image.info and image.format != "TIFF":
            return None  # here PNG's getexif() would decode the pixels to look for EXIF behind them
        description = image.getexif().get(IMAGE_DESCRIPTION)
        if isinstance(description, str) and description.startswith(bigtiff.NOTE):
            return description.removeprefix(bigtiff.NOTE).encode("latin-1", "replace").decode(errors="replace")
        comment = image.getexif().get_ifd(EXIF_FOLDER).get(USER_COMMENT)
        encoding = {ASCII: "ascii", UNICODE: "utf-16-le"}.get(comment[:8]) if isinstance(comment, bytes) else None
        if comment is None or encoding is None:
            return None
        with contextlib.suppress(UnicodeDecodeError):
            return comment[8:].decode(encoding, "surrogatepass" if encoding != "ascii" else "strict")
        return None


def check_holds(path: str | os.PathLike[str], size: tuple[int, int]) -> None:
    """Refuse, with one `ImageError`, a picture (h, w) that the format doesn't hold or can't be written here."""
    path = Path(path)
    kind = FORMATS[path.suffix.lower()]
    height, width = size
    if max(size) > kind.longest:
        raise ImageError(
            f"{quoted(path)} would be {width}×{height}, but {kind.name} holds {kind.longest} pixels a side: "
            "save it as .png or .tif."
        )
    if kind is TIFF and height * width > PRINT_PIXELS:
        bigtiff.library()


def check_writable(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Refuse, with one `ImageError`, what `save` couldn't write: worth calling before hours of work."""
    path = Path(path)
    name = quoted(path)
    if path.suffix.lower() not in FORMATS:
        raise ImageError(f"{name} ends in {path.suffix!r}, not in a known format: use {', '.join(FORMATS)}.")
    try:
        if path.is_dir():
            raise ImageError(f"{name} is a folder: name a file in it.")
        if not path.resolve().parent.is_dir():
            raise ImageError(f"{name} is in a folder that doesn't exist: make {quoted(path.parent)} first.")
        if path.exists() and not path.is_file():
            raise ImageError(f"{name} is a device or a pipe, not a file: choose another name.")
        if path.exists() and not overwrite:
            raise ImageError(f"{name} already exists: choose another name or allow overwriting.")
        if not os.access(path.resolve().parent, os.W_OK | os.X_OK):
            raise ImageError(f"{name} is in a folder without write permission: choose another.")
    except (OSError, ValueError, RuntimeError) as error:  # name too long, NUL in it, links in a circle
        raise ImageError(f"{name} can't be a file's name ({reason(error)}): choose another.") from error


def _from_stream(stream: BytesIO | BufferedReader, name: str, stem: str, path: str | None, max_pixels: int) -> Picture:
    def reopen() -> Image.Image:
        stream.seek(0)
        return _identify(BytesIO(stream.read()), name)

    with _pillow(name):
        pixels, alpha = decode(_identify(stream, name), name, max_pixels, reopen)
        stream.seek(0)
        return Picture(pixels, alpha, hashlib.file_digest(stream, "sha256").hexdigest(), stem, path)


def _from_array(array: np.ndarray, max_pixels: int) -> Picture:
    name = f"The array of shape {array.shape} and type {array.dtype}"
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)):
        raise ImageError(f"{name} is not a picture: give (h, w), (h, w, 1), (h, w, 3) or (h, w, 4).")
    peak = {"b1": 1, "u1": 255, "u2": 65535, "f2": 1, "f4": 1, "f8": 1}.get(f"{array.dtype.kind}{array.dtype.itemsize}")
    if peak is None:
        raise ImageError(f"{name} has no known range: convert it to uint8, uint16, bool, or float in [0, 1].")
    check_size((array.shape[1], array.shape[0]), name, max_pixels)
    check_range(array, peak, name)
    levels = array.reshape(*array.shape[:2], -1)
    colours = levels[..., :3] if levels.shape[2] >= 3 else levels.repeat(3, axis=2)
    alpha = opacity(as_tensor(levels[..., 3:], peak)) if levels.shape[2] == 4 else None
    sha256 = _digest(f"{array.shape} {array.dtype.str}", array.tobytes())
    return Picture(as_tensor(colours, peak), alpha, sha256, "array", None)


def _identify(stream: BinaryIO, name: str) -> Image.Image:
    """Open, but don't decode, by the first bytes: extensions lie."""
    head = stream.read(12)
    if not head:
        raise ImageError(f"{name} is empty: use another copy.")
    for magic, opener in OPENERS.items():
        if head.startswith(magic) and (magic != b"RIFF" or head.endswith(b"WEBP")):
            stream.seek(0)
            if magic == JPEG_MAGIC:
                _check_scans(stream.read(), name)
                stream.seek(0)
            return opener(stream)
    raise ImageError(f"{name} is not a PNG, JPEG, WebP, TIFF, BMP or GIF picture: convert it to one of these.")


def _check_scans(jpeg: bytes, name: str) -> None:
    """Refuse a JPEG that goes over its pixels more than `MOST_SCANS` times, walking as libjpeg does (T.81, B.1)."""
    at, scans = 2, 0
    while found := JPEG_MARKER.search(jpeg, at):
        marker, at = found[0][1:], found.end()
        if marker == b"\xd9":  # the first picture's end: others may follow, and films that phones hide there
            return
        scans += marker == b"\xda"
        if scans > MOST_SCANS:
            raise ImageError(f"{name} is a JPEG of more than {MOST_SCANS} scans, made to take hours: use another copy.")
        at += 0 if marker in b"\xd8\x01" else int.from_bytes(jpeg[at : at + 2])


def _check_shapes(pixels: Tensor, alpha: Tensor | None) -> None:
    if pixels.dim() != 4 or pixels.shape[:2] != (1, 3) or 0 in pixels.shape:
        raise ImageError(f"Pixels of shape {tuple(pixels.shape)} are not a picture: give (1, 3, h, w).")
    if alpha is not None and alpha.shape != (1, 1, *pixels.shape[2:]):
        raise ImageError(
            f"Alpha of shape {tuple(alpha.shape)} doesn't fit pixels {tuple(pixels.shape)}: resize it first."
        )


def _digest(label: str, raw: bytes) -> str:
    return hashlib.sha256(f"{label}\n".encode() + raw).hexdigest()


def _exif(note: str) -> bytes:
    exif = Image.Exif()
    exif[SOFTWARE] = "impasto"  # Pillow drops EXIF whose main folder is empty
    coded = ASCII + note.encode() if note.isascii() else UNICODE + note.encode("utf-16-le", "surrogatepass")
    exif.get_ifd(EXIF_FOLDER)[USER_COMMENT] = coded
    return exif.tobytes()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    name = quoted(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(f"{name} is a folder: name a picture in it.")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise ImageError(f"{name} is a device or a pipe: save the picture as a file first.")
        stream = path.open("rb")
    except FileNotFoundError:
        raise ImageError(f"{name} doesn't exist: check the path.") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"{name} can't be opened ({reason(error)}): check the path and its permissions.") from error
    with stream:
        yield stream


@contextlib.contextmanager
def _pillow(name: str, verb: str = "read", cure: str = "use another copy or save it again as PNG") -> Iterator[None]:
    """Turn whatever Pillow raises, from SyntaxError to zlib.error, into one `ImageError`; hush its warnings.

    One thread at a time: `catch_warnings` swaps a process-wide list, which two could leave swapped for good.
    """
    with _pillow_lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            yield
        except ImageError:
            raise
        except MemoryError:
            raise ImageError(f"{name} needs more memory than there is: make it smaller.") from None
        except Exception as error:
            raise ImageError(f"{name} can't be {verb} ({reason(error)}): {cure}.") from error
