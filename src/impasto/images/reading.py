"""Images in: file, bytes, PIL image or array -> (1, 3, h, w) sRGB in [0, 1], the right way up.

What a file's samples mean, 8 or 16 bits, colours and profiles, is told in `decoding`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import (
    AvifImagePlugin,
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
from impasto.images import camera, notes
from impasto.images.decoding import as_tensor, check_range, check_size, decode, opacity, upright_size
from impasto.images.pillow import errors_as_image_errors
from impasto.images.size import Size, size_of
from impasto.storage.files import quoted, reason

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

JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""Anything but a stuffed or filling byte and the marks inside a scan."""

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
"""Begins what a browser opens (RFC 3986, 3.1): nothing is fetched from anywhere."""

FILE_TYPE = b"ftyp"
MATROSKA_MAGIC = b"\x1a\x45\xdf\xa3"
AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
MOST_BRANDS = 1024  # bytes of a list of brands that are looked at
KNOWN = "PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF or HEIC"

MOST_SCANS = 100
"""In a progressive JPEG: some ten are usual, 10,000 take as many passes over its pixels; libtiff has the same limit."""


@dataclass(frozen=True)
class SourceImage:
    """A decoded image and where it came from."""

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
    frames: int = 1
    """How many the file has, of which this is the first."""
    camera: bytes | None = None
    """What a camera noted in the file, see `images.camera`."""
    dpi: float | None = None
    """Pixels an inch, where it tells them."""
    full_size: Size | None = None
    """Height and width in the file, where it was shrunk while it was decoded."""

    @property
    def size(self) -> Size:
        """Height and width in pixels, as in the file."""
        return self.full_size or size_of(self.pixels)


class Limits(NamedTuple):
    """Most `pixels` of an image, the `needed` ones of its longest side, and `room` in bytes; None for no limit."""

    pixels: int
    needed: int | None
    room: int | None


Picture = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | np.ndarray | Tensor
"""What an image can be read from: a path, a file's bytes, a file that was opened, a PIL image, an array or a tensor."""


def load(
    source: Picture, *, max_pixels: int = 100_000_000, needed: int | None = None, room: int | None = None
) -> SourceImage:
    """An image from a file, its bytes, a PIL image, an array or a tensor; raises `ImageError`.

    Files: the first frame of PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF or HEIC, `max_pixels` being checked before decoding.
    Arrays: (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of uint8, uint16, bool, or float in [0, 1]. PIL's mode I
    Tensors: (c, h, w) or (1, c, h, w) of the same types, with 1, 3 or 4 channels. PIL's mode I
    counts as 0 … 65535, its mode F as 0 … 1. A broken colour profile counts as sRGB, broken EXIF as upright.
    Of a huge file, of which `needed` pixels of its longest side count, fewer are kept; see `images.shrinking`. One that
    takes more than `room` bytes to read is refused.
    """
    limits = Limits(max_pixels, needed, room)
    if isinstance(source, Tensor):
        return replace(_from_array(_channels_last(source), max_pixels), name="tensor")
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        name = "The PIL image"
        with errors_as_image_errors(name):
            pixels, alpha = decode(source, name, max_pixels, reopen=None)
            sha256 = _digest(f"{source.mode} {source.size} {source.getpalette()}", source.tobytes())
        return SourceImage(pixels, alpha, sha256, "image", None, camera=camera.read(source), dpi=_dpi(source))
    if isinstance(source, bytes):
        return _from_stream(BytesIO(source), "The picture in memory", "image", None, limits)
    if callable(read := getattr(source, "read", None)):
        content = read()
        if not isinstance(content, bytes):
            raise ImageError("The file was opened for text", "open it in binary mode, 'rb'")
        return _from_stream(BytesIO(content), "The picture in the opened file", "image", None, limits)
    if isinstance(source, str | os.PathLike):
        path = Path(os.fsdecode(source))
        if ADDRESS.match(str(source)) and not path.exists():
            raise ImageError(f"{str(source)!r} is an address, not a file", "download it first and name the file")
        with _opened(path) as stream:
            return _from_stream(stream, quoted(path), path.stem, str(path.absolute()), limits)
    raise ImageError(
        f"A {type(source).__name__} is not a picture",
        "give a file's path, its bytes, a PIL image, a NumPy array or a tensor",
    )


def read_size(path: str | os.PathLike[str]) -> Size:
    """Height and width as the file's header tells them, upright; decodes no pixels; raises `ImageError`."""
    path = Path(path)
    with _opened(path) as stream, errors_as_image_errors(quoted(path)):
        return upright_size(_identify(stream, quoted(path), scans=False))


def read_note(path: str | os.PathLike[str]) -> str | None:
    """The note that `writing.save` put in, or None; decodes no pixels; raises `ImageError`."""
    path = Path(path)
    with _opened(path) as stream, errors_as_image_errors(quoted(path)):
        image = _identify(stream, quoted(path))
        if "exif" not in image.info and image.format != "TIFF":
            return None  # here PNG's getexif() would decode the pixels to look for EXIF behind them
        return notes.from_exif(image.getexif())


def _from_stream(
    stream: BytesIO | BufferedReader, name: str, stem: str, path: str | None, limits: Limits
) -> SourceImage:
    def reopen() -> Image.Image:
        stream.seek(0)
        return _identify(BytesIO(stream.read()), name)

    with errors_as_image_errors(name):
        image = _identify(stream, name)
        width, height = image.size
        pixels, alpha = decode(image, name, limits.pixels, reopen, needed=limits.needed, room=limits.room)
        full_size = _full_size((height, width), size_of(pixels))
        frames, noted = _frames(image), camera.read(image)
        stream.seek(0)
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return SourceImage(pixels, alpha, sha256, stem, path, frames, noted, _dpi(image), full_size)


def _full_size(stored: Size, decoded: Size) -> Size | None:
    """(h, w) in the file, upright, of an image that was shrunk; None for one that wasn't."""
    if max(stored) == max(decoded):
        return None
    turned = (stored[0] < stored[1]) != (decoded[0] < decoded[1]) and decoded[0] != decoded[1]
    return (stored[1], stored[0]) if turned else stored


def _frames(image: Image.Image) -> int:
    """How many frames an animation has; a JPEG's further images are previews or depth, and a TIFF's are pages."""
    if image.format not in ("GIF", "PNG", "WEBP", "AVIF"):
        return 1
    with contextlib.suppress(Exception):  # a damaged one is decoded as far as its first frame
        return max(1, int(getattr(image, "n_frames", 1)))
    return 1


def _dpi(image: Image.Image) -> float | None:
    with contextlib.suppress(Exception):  # broken EXIF, any of Pillow's exceptions: as if it told none
        return notes.resolution(image)
    return None


def _channels_last(tensor: Tensor) -> np.ndarray:
    """(c, h, w) or (1, c, h, w) -> (h, w, c)."""
    planes = tensor[0] if tensor.dim() == 4 and tensor.shape[0] == 1 else tensor
    if planes.dim() != 3 or planes.shape[0] not in (1, 3, 4):
        raise ImageError(
            f"The tensor of shape {tuple(tensor.shape)} is not a picture", "give (c, h, w) with 1, 3 or 4 channels"
        )
    planes = planes.float() if planes.dtype in (torch.bfloat16, torch.float16) else planes
    return planes.detach().cpu().permute(1, 2, 0).contiguous().numpy()


def _from_array(array: np.ndarray, max_pixels: int) -> SourceImage:
    name = f"The array of shape {array.shape} and type {array.dtype}"
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)):
        raise ImageError(f"{name} is not a picture", "give (h, w), (h, w, 1), (h, w, 3) or (h, w, 4)")
    peak = {"b1": 1, "u1": 255, "u2": 65535, "f2": 1, "f4": 1, "f8": 1}.get(f"{array.dtype.kind}{array.dtype.itemsize}")
    if peak is None:
        raise ImageError(f"{name} has no known range", "convert it to uint8, uint16, bool, or float in [0, 1]")
    check_size((array.shape[1], array.shape[0]), name, max_pixels)
    check_range(array, peak, name)
    levels = array.reshape(*array.shape[:2], -1)
    colours = levels[..., :3] if levels.shape[2] >= 3 else levels.repeat(3, axis=2)
    alpha = opacity(as_tensor(levels[..., 3:], peak)) if levels.shape[2] == 4 else None
    sha256 = _digest(f"{array.shape} {array.dtype.str}", array.tobytes())
    return SourceImage(as_tensor(colours, peak), alpha, sha256, "array", None)


def _identify(stream: BinaryIO, name: str, *, scans: bool = True) -> Image.Image:
    """Open, but don't decode, by the first bytes: extensions lie. `scans`: a JPEG's are counted, in all of the file."""
    head = stream.read(12)
    if not head:
        raise ImageError(f"{name} is empty", "use another copy")
    if head[4:8] == FILE_TYPE:
        return _open_in_boxes(stream, head, name)
    for magic, opener in OPENERS.items():
        if head.startswith(magic) and (magic != b"RIFF" or head.endswith(b"WEBP")):
            stream.seek(0)
            if magic == JPEG_MAGIC and scans:
                _check_scans(stream.read(), name)
                stream.seek(0)
            return opener(stream)
    raise _unknown(name, film=head.startswith(MATROSKA_MAGIC) or (head[:4], head[8:]) == (b"RIFF", b"AVI "))


def _unknown(name: str, *, film: bool) -> ImageError:
    if film:
        return ImageError(f"{name} is a film, not a picture", "paint it with `impasto video`")
    return ImageError(f"{name} is not a {KNOWN} picture", "convert it to one of these")


def _open_in_boxes(stream: BinaryIO, head: bytes, name: str) -> Image.Image:
    """AVIF or HEIC, told apart by their brands (ISO/IEC 14496-12, 4.3): films have other ones."""
    more = stream.read(max(0, min(int.from_bytes(head[:4]), MOST_BRANDS) - len(head)))
    brands = {head[8:12], *(more[at : at + 4] for at in range(4, len(more) - 3, 4))}
    stream.seek(0)
    if brands & AVIF_BRANDS:
        return AvifImagePlugin.AvifImageFile(stream)
    if not brands & HEIC_BRANDS:
        raise _unknown(name, film=b"mif1" not in brands)  # which pictures of other kinds have
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError:
        raise ImageError(f"{name} is a HEIC picture, which pillow-heif reads", "pip install 'impasto[heic]'") from None
    return HeifImageFile(stream)


def _check_scans(jpeg: bytes, name: str) -> None:
    """Refuse a JPEG that goes over its pixels more than `MOST_SCANS` times, walking as libjpeg does (T.81, B.1)."""
    at, scans = 2, 0
    while found := JPEG_MARKER.search(jpeg, at):
        marker, at = found[0][1:], found.end()
        if marker == b"\xd9":  # the first image's end: others may follow, and films that phones hide there
            return
        scans += marker == b"\xda"
        if scans > MOST_SCANS:
            raise ImageError(
                f"{name} is a JPEG of more than {MOST_SCANS} scans, made to take hours", "use another copy"
            )
        at += 0 if marker in b"\xd8\x01" else int.from_bytes(jpeg[at : at + 2])


def _digest(label: str, raw: bytes) -> str:
    return hashlib.sha256(f"{label}\n".encode() + raw).hexdigest()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    name = quoted(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(f"{name} is a folder", "name a picture in it")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise ImageError(f"{name} is a device or a pipe", "save the picture as a file first")
        stream = path.open("rb")
    except FileNotFoundError:
        raise ImageError(f"{name} doesn't exist", "check the path") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"{name} can't be opened ({reason(error)})", "check the path and its permissions") from error
    with stream:
        yield stream
