"""Images out: (1, 3, h, w) sRGB in [0, 1] -> a file by its extension, or a PIL image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import Image, features
from torch import Tensor

from impasto.errors import ImageError
from impasto.images import bigtiff, notes
from impasto.images.decoding import srgb_profile
from impasto.images.pillow import errors_as_image_errors
from impasto.images.size import Size, size_of
from impasto.storage.files import quoted, reason, write_atomically
from impasto.storage.scratch import MEMORY


class Format(NamedTuple):
    """How images of one file type are written."""

    name: str
    options: dict[str, Any]
    longest: int = 2**31 - 1  # pixels on a side
    has_alpha: bool = True
    has_note: bool = True
    dpi_in_exif: bool = False


PNG = Format("PNG", {})
JPEG = Format("JPEG", {"quality": 95, "subsampling": 0}, 65535, has_alpha=False)
WEBP = Format("WEBP", {"lossless": True, "exact": True}, 16383, dpi_in_exif=True)
TIFF = Format("TIFF", {"compression": "raw"})  # Pillow can't write EXIF through libtiff, so not compressed
BMP = Format("BMP", {}, has_alpha=False, has_note=False)
AVIF = Format("AVIF", {"quality": 95, "subsampling": "4:4:4"}, 32768, dpi_in_exif=True)
FORMATS = {
    ".png": PNG, ".jpg": JPEG, ".jpeg": JPEG, ".webp": WEBP, ".tif": TIFF, ".tiff": TIFF, ".bmp": BMP,
    ".avif": AVIF,
}  # fmt: skip

PRINT_PIXELS = 64_000_000
"""Pixels beyond which TIFF is written in tiles, straight from where the image lives."""

JPEG_MARKER_BYTES = 65533

SHOWN = 1024
"""Longest side in pixels of a picture in a notebook, which keeps it in its file."""


def to_pil(pixels: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """(1, 3, h, w), with alpha (1, 1, h, w), in [0, 1] -> 8-bit RGB(A), rounded; `ImageError` for NaN."""
    _check_shapes(pixels, alpha)
    levels = np.empty((pixels.shape[2], pixels.shape[3], 3 if alpha is None else 4), np.uint8)
    top = 0
    for band in _levels(pixels, alpha):
        levels[top : top + len(band)] = band
        top += len(band)
    return Image.fromarray(levels)


class PaintedImage(Image.Image):
    """A PIL image that takes along when it is saved: profile, resolution, recipe as a `note`, and a camera's notes."""

    note: str | None = None
    camera: bytes | None = None
    dpi: float | None = None

    @classmethod
    def of(
        cls, image: Image.Image, note: str | None, *, camera: bytes | None = None, dpi: float | None = None
    ) -> PaintedImage:
        """The same image, from now on of this kind."""
        image.__class__ = cls  # Pillow has no other way to hand an image's memory on
        assert isinstance(image, cls)
        image.note, image.camera, image.dpi = note, camera, dpi
        return image

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """Pillow's own, with the sRGB profile and the notes unless `params` say otherwise."""
        usual: dict[str, Any] = {"icc_profile": srgb_profile()}
        if (self.note, self.camera, self.dpi) != (None, None, None):
            usual["exif"] = notes.to_exif(self.note, self.camera, self.dpi)
        if self.dpi is not None:
            usual["dpi"] = (self.dpi, self.dpi)
        super().save(fp, format, **usual | params)

    def _repr_png_(self) -> bytes:
        """What a notebook shows, see `shown`."""
        return shown(self)

    def _repr_jpeg_(self) -> None:
        """Nothing: Pillow has notebooks keep a second copy."""


def shown(image: Image.Image, side: int = SHOWN) -> bytes:
    """A picture as a notebook shows it: PNG, at most `side` pixels long, with the profile and without notes."""
    small = image.convert(image.mode)  # a copy, of Pillow's own kind
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    encoded = BytesIO()
    Image.Image.save(small, encoded, "PNG", icc_profile=srgb_profile())
    return encoded.getvalue()


def _levels(pixels: Tensor, alpha: Tensor | None) -> Iterator[np.ndarray]:
    """Bands of rows (n, w, c) of 8 bits, from the top to the bottom; `ImageError` for NaN."""
    height, row = pixels.shape[2], 4 * pixels[0, :, 0].numel()
    for rows in MEMORY.windows(height, row):
        planes = [part[0, :, rows].detach().to("cpu", torch.float32) for part in (pixels, alpha) if part is not None]
        band = torch.cat(planes)
        if not torch.isfinite(band).all():
            raise ImageError("The picture holds NaN or infinite pixels", "keep the last good one instead")
        yield band.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def save(
    path: str | os.PathLike[str],
    pixels: Tensor,
    *,
    alpha: Tensor | None = None,
    note: str | None = None,
    camera: bytes | None = None,
    dpi: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Write (1, 3, h, w) sRGB as the extension says, old or new but never torn; raises `ImageError`.

    PNG, TIFF, WebP and BMP are lossless, JPEG and AVIF have quality 95 and full colour resolution. JPEG and BMP lay
    what is transparent over white. `dpi`, pixels an inch, is told in the format's own way. `note` goes into EXIF's
    UserComment, beside what a `camera` noted (as EXIF), but BMP has no room for them. TIFF beyond `PRINT_PIXELS` is
    tiled BigTIFF with the note alone, in ImageDescription, and the image is never in memory whole.
    """
    path = Path(path)
    check_writable(path, overwrite)
    _check_shapes(pixels, alpha)
    kind = FORMATS[path.suffix.lower()]
    height, width = size_of(pixels)
    check_holds(path, (height, width))
    if is_streamed(path, (height, width)):
        bands, has_alpha = _levels(pixels, alpha), alpha is not None
        profile = srgb_profile()
        _put(
            path,
            lambda file: bigtiff.write(
                Path(file.name), bands, (height, width), alpha=has_alpha, profile=profile, note=note, dpi=dpi
            ),
            overwrite,
        )
        return path
    if alpha is not None and not kind.has_alpha:
        pixels, alpha = pixels * alpha + (1 - alpha), None
    options = kind.options | {"icc_profile": srgb_profile()}
    if dpi is not None and not kind.dpi_in_exif:
        options["dpi"] = (dpi, dpi)
    in_exif = (note, camera, dpi if kind.dpi_in_exif else None)
    if kind.has_note and in_exif != (None, None, None):
        options["exif"] = notes.to_exif(*in_exif)
        if kind is JPEG and len(options["exif"]) > JPEG_MARKER_BYTES:
            fault = f"{quoted(path)} can't hold a note of {len(note or '')} characters"
            raise ImageError(fault, "save it as .png or .tif")
    encoded = BytesIO()
    with errors_as_image_errors(quoted(path), "written", "save it as .png"):
        to_pil(pixels, alpha).save(encoded, kind.name, **options)
    _put(path, lambda file: file.write(encoded.getbuffer()), overwrite)
    return path


def _put(path: Path, write: Callable[[BinaryIO], object], overwrite: bool) -> None:
    try:
        write_atomically(path, write, overwrite=overwrite)
    except FileExistsError:
        raise ImageError(
            f"{quoted(path)} already exists", "choose another name, or set `overwrite`", knob="overwrite", value=False
        ) from None
    except OSError as error:
        raise ImageError(
            f"{quoted(path)} can't be written ({reason(error)})", "make room or save it elsewhere"
        ) from error


def is_streamed(path: Path, size: Size) -> bool:
    """Whether an image (h, w) is written there in tiles, as BigTIFF."""
    return FORMATS[path.suffix.lower()] is TIFF and size[0] * size[1] > PRINT_PIXELS


def check_holds(path: str | os.PathLike[str], size: Size) -> None:
    """Refuse, with one `ImageError`, an image (h, w) that the format doesn't hold or can't be written here."""
    path = Path(path)
    kind = FORMATS[path.suffix.lower()]
    height, width = size
    if max(size) > kind.longest:
        raise ImageError(
            f"{quoted(path)} would be {width}×{height}, but {kind.name} holds {kind.longest} pixels a side",
            "save it as .png or .tif",
        )
    if kind is AVIF and not features.check("avif"):
        raise ImageError(f"{quoted(path)} can't be written, as this Pillow was built without AVIF", "save it as .png")
    if is_streamed(path, size):
        bigtiff.library()


def check_writable(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Refuse, with one `ImageError`, what `save` couldn't write: worth calling before hours of work."""
    path = Path(path)
    name = quoted(path)
    if path.suffix.lower() not in FORMATS:
        raise ImageError(f"{name} ends in {path.suffix!r}, not in a known format", f"use {', '.join(FORMATS)}")
    try:
        if path.is_dir():
            raise ImageError(f"{name} is a folder", "name a file in it")
        if not path.resolve().parent.is_dir():
            raise ImageError(f"{name} is in a folder that doesn't exist", f"make {quoted(path.parent)} first")
        if path.exists() and not path.is_file():
            raise ImageError(f"{name} is a device or a pipe, not a file", "choose another name")
        if path.exists() and not overwrite:
            raise ImageError(
                f"{name} already exists", "choose another name, or set `overwrite`", knob="overwrite", value=False
            )
        if not os.access(path.resolve().parent, os.W_OK | os.X_OK):
            raise ImageError(f"{name} is in a folder without write permission", "choose another")
    except (OSError, ValueError, RuntimeError) as error:  # name too long, NUL in it, links in a circle
        raise ImageError(f"{name} can't be a file's name ({reason(error)})", "choose another") from error


def _check_shapes(pixels: Tensor, alpha: Tensor | None) -> None:
    if pixels.dim() != 4 or pixels.shape[:2] != (1, 3) or 0 in pixels.shape:
        raise ImageError(f"Pixels of shape {tuple(pixels.shape)} are not a picture", "give (1, 3, h, w)")
    if alpha is not None and alpha.shape != (1, 1, *pixels.shape[2:]):
        raise ImageError(
            f"Alpha of shape {tuple(alpha.shape)} doesn't fit pixels {tuple(pixels.shape)}", "resize it first"
        )
