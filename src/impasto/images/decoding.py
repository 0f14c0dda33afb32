"""From Pillow's images to sRGB in tensors: every depth, transparency and profile.

Pillow drops the low bytes of 16-bit colour: here a second decoding fetches them. Colours under a profile other than
sRGB come with 8 bits, as LittleCMS in Pillow works with them; PNG's gAMA and cHRM are ignored, as nearly everywhere.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageCms
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from impasto.errors import ImageError
from impasto.images import shrinking
from impasto.images.size import Size

ORIENTATION = 0x0112
TURNS = dict(enumerate((
    Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
), start=2))  # fmt: skip
SIDEWAYS = [TURNS[orientation] for orientation in (5, 6, 7, 8)]

# TIFF 6.0's tags
BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR, TILE_WIDTH, TILE_HEIGHT = 258, 262, 284, 322, 323
WHITE_IS_ZERO, SEPARATE_PLANES = 0, 2

SIXTEEN_BITS = re.compile(r"(RGB[AX]?|[RGBA]);16[LBN]")
"""Pillow's names for 16-bit colour as it lies in the file, Little-endian, Big-endian or Native."""

WIDENED = {"L;2": 85, "L;4": 17}
"""What Pillow multiplies grey levels of 2 and 4 bits by; it leaves PNG's transparent level as it was."""


class LowBytes(NamedTuple):
    """Another decoding of the same 16-bit file: the low bytes, once its channels are put in this order."""

    image: Image.Image
    channels: list[int]


def decode(
    image: Image.Image,
    name: str,
    max_pixels: int,
    reopen: Callable[[], Image.Image] | None,
    *,
    needed: int | None = None,
    room: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Pixels (1, 3, h, w) and alpha (1, 1, h, w) or None of an opened image, upright; raises `ImageError`.

    `reopen` opens the same file again, for the low bytes of 16-bit colour. See `images.shrinking` for an image that is
    huge beside the `needed` pixels of its longest side, and one that takes more than `room` bytes.
    """
    check_size(image.size, name, max_pixels)
    shrink = shrinking.factor_of(image.size, needed)
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    _check_tile(tags.get(TILE_WIDTH), tags.get(TILE_HEIGHT), name, max_pixels)
    _mend_planes(image, name)
    tiles = getattr(image, "tile", None)  # what they tell is gone once the image is loaded
    rawmode = _rawmode(tiles[0]) if tiles else ""
    shrinking.check_room(image, 1 if _is_deep(rawmode) else shrink, name, room)
    shrink = shrinking.draft(image, shrink)
    low = _low_bytes(image, rawmode, reopen)
    image.load()
    check_size(image.size, name, max_pixels)  # a HEIC picture may turn out to be larger than it said
    if (factor := WIDENED.get(rawmode)) and isinstance(clear := image.info.get("transparency"), int):
        image = image.copy()
        image.info["transparency"] = clear % (255 // factor + 1) * factor
    turn = _turn(image)
    upright = image if turn is None else image.transpose(turn)
    profile = image.info.get("icc_profile")
    if upright.mode[0] in "IF":
        peak = 1 if upright.mode == "F" else 4095 if tags.get(BITS_PER_SAMPLE) == (12,) else 65535
        return _deep_grey(upright, peak, profile, name, inverted=tags.get(PHOTOMETRIC) == WHITE_IS_ZERO)
    if low is not None:
        lower = low.image if turn is None else low.image.transpose(turn)
        levels = np.asarray(upright).astype(np.uint16) << 8 | np.asarray(lower)[..., low.channels]
        return _deep_colour(levels, upright.info.get("transparency"), profile)
    straight = _as(upright, {"La": "LA", "RGBa": "RGBA"}.get(upright.mode, upright.mode))
    alpha = None
    if straight.has_transparency_data:
        straight = _as(straight, "LA" if straight.mode == "LA" else "RGBA")
        shown = shrinking.reduced(straight.getchannel("A"), shrink)
        alpha = opacity(as_tensor(np.asarray(shown)[..., None], 255))
    # Dropping alpha keeps the colours below it, also where nothing shows of them.
    flat = {"1": "L", "LA": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}.get(straight.mode, "RGB")
    colours = shrinking.reduced(_as(straight, flat), shrink)
    return as_tensor(np.asarray(_to_srgb(colours, profile)), 255), alpha


def as_tensor(levels: np.ndarray, peak: int) -> Tensor:
    """(h, w, c) in [0, peak] -> (1, c, h, w) float32 in [0, 1]."""
    planes = np.moveaxis(levels, -1, 0).astype(np.float32, order="C")
    return torch.from_numpy(planes)[None].div_(peak)


def opacity(alpha: Tensor) -> Tensor | None:
    """The same alpha, None where everything is opaque."""
    return None if bool((alpha == 1).all()) else alpha


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Refuse no pixels, and more than `max_pixels`, of (width, height)."""
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name} is {width}×{height} pixels, which is nothing", "use another picture")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width}×{height}, more than {max_pixels} pixels",
            "make it smaller or raise `max_pixels`",
            knob="max_pixels",
            value=max_pixels,
        )


def check_range(levels: np.ndarray, peak: int, name: str) -> None:
    """Refuse levels outside [0, peak], and NaN."""
    low, high = levels.min(), levels.max()
    if not (low >= 0 and high <= peak):  # NaN fails too
        raise ImageError(f"{name} has values from {low:g} to {high:g}, not 0 to {peak}", "scale them first")


@cache
def srgb_profile() -> bytes:
    """The ICC profile that every saved image carries, the same bytes at all times."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes.fromhex("07e8 0001 0001 0000 0000 0000")  # LittleCMS writes now; ICC.1:2010, 7.2.8
    return bytes(profile)


def _check_tile(width: object, height: object, name: str, max_pixels: int) -> None:
    """A small TIFF may be cut into huge tiles, and a whole one is kept in memory."""
    if isinstance(width, int) and isinstance(height, int) and width * height > max_pixels:
        raise ImageError(
            f"{name} is cut into tiles of {width}×{height}, more than {max_pixels} pixels", "save it again as PNG"
        )


def _mend_planes(image: Image.Image, name: str) -> None:
    """Pillow 13 reads uncompressed TIFFs with a plane per colour as if each of their samples had 8 bits."""
    if not isinstance(image, TiffImageFile) or image.use_load_libtiff:
        return
    bits, planes = image.tag_v2.get(BITS_PER_SAMPLE, ()), image.tag_v2.get(PLANAR)
    if planes != SEPARATE_PLANES or len(bits) < 2 or max(bits) == 8:
        return
    if not all(_rawmode(tile) in tuple("RGBA") for tile in image.tile):
        raise ImageError(f"{name} keeps {max(bits)}-bit colours in separate planes", "save it again as PNG")
    suffix = ";16L" if image.tag_v2.prefix == b"II" else ";16B"
    _rename(image, lambda rawmode: rawmode + suffix)


def _rawmode(tile: Any) -> str:
    """Pillow's name for the samples of a tile as they lie in the file."""
    found = tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args
    return found if isinstance(found, str) else ""


def _rename(image: ImageFile, new: Callable[[str], str]) -> None:
    """Have Pillow take the samples for something else."""

    def args(tile: Any) -> Any:
        return (new(_rawmode(tile)), *tile.args[1:]) if isinstance(tile.args, tuple) else new(_rawmode(tile))

    image.tile = [tile._replace(args=args(tile)) for tile in image.tile]


def _low_bytes(image: Image.Image, rawmode: str, reopen: Callable[[], Image.Image] | None) -> LowBytes | None:
    """The low bytes of 16-bit colour: Pillow takes them for the high ones when told the wrong order of bytes."""
    if reopen is None or not _is_deep(rawmode):
        return None
    other = reopen()
    assert isinstance(other, ImageFile)
    _mend_planes(other, "")
    _rename(other, _swapped)
    other.load()
    # Grey and alpha, high bytes first, have no other name: taken for RGBA they show all four bytes.
    return LowBytes(other, [1, 1, 1, 3] if rawmode == "LA;16B" else list(range(len(other.getbands()))))


def _is_deep(rawmode: str) -> bool:
    """Whether this is 16-bit colour, of which Pillow decodes the high bytes only."""
    return rawmode == "LA;16B" or SIXTEEN_BITS.fullmatch(rawmode) is not None


def _swapped(rawmode: str) -> str:
    if rawmode == "LA;16B":
        return "RGBA"
    native = "L" if sys.byteorder == "little" else "B"
    order = rawmode[-1].replace("N", native)
    return rawmode[:-1] + {"L": "B", "B": "L"}[order]


def upright_size(image: Image.Image) -> Size:
    """(h, w) of an opened image, turned as its EXIF says; decodes no pixels."""
    width, height = image.size
    noted = "exif" in image.info or isinstance(image, TiffImageFile)  # else PNG's getexif() would decode the pixels
    turned = noted and _turn(image) in SIDEWAYS
    return (width, height) if turned else (height, width)


def _turn(image: Image.Image) -> Image.Transpose | None:
    orientation = None
    with contextlib.suppress(Exception):  # broken EXIF, any of Pillow's exceptions: take the image as it lies
        orientation = image.getexif().get(ORIENTATION)
    return TURNS.get(orientation) if isinstance(orientation, int) else None


def _deep_grey(
    image: Image.Image, peak: int, profile: bytes | None, name: str, *, inverted: bool
) -> tuple[Tensor, Tensor | None]:
    """Modes I;16, I and F: colour management by way of a curve, as LittleCMS in Pillow works in 8 bits."""
    levels = np.asarray(image)
    check_range(levels, peak, name)
    if inverted:  # which Pillow does for 8 bits only
        levels = peak - levels
    clear = image.info.get("transparency")
    alpha = opacity(as_tensor(levels[..., None] != clear, 1)) if isinstance(clear, int) else None
    if profile is None:
        return as_tensor(levels[..., None], peak).repeat(1, 3, 1, 1), alpha
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    curves = np.asarray(_to_srgb(ramp, profile))[0]  # (256, 3)
    inputs = np.linspace(0, peak, 256)
    return as_tensor(np.stack([np.interp(levels, inputs, curve) for curve in curves.T], axis=-1), 255), alpha


def _deep_colour(levels: np.ndarray, clear: object, profile: bytes | None) -> tuple[Tensor, Tensor | None]:
    """(h, w, 3 or 4) uint16, one colour of it transparent: 16 bits where the profile changes nothing, else 8."""
    colours, alpha = levels[..., :3], None
    if levels.shape[2] == 4:
        alpha = opacity(as_tensor(levels[..., 3:], 65535))
    elif isinstance(clear, tuple) and len(clear) == 3:
        alpha = opacity(as_tensor((colours != np.array(clear)).any(axis=2, keepdims=True), 1))
    if profile is not None and profile != srgb_profile():
        rounded = ((colours.astype(np.uint32) + 128) // 257).astype(np.uint8)
        converted = np.asarray(_to_srgb(Image.fromarray(rounded), profile))
        if np.abs(converted.astype(np.int16) - rounded).max() > 1:
            return as_tensor(converted, 255), alpha
    return as_tensor(colours, 65535), alpha


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """L, RGB, CMYK or LAB -> RGB, through the embedded profile where there is one that works."""
    if profile == srgb_profile():  # what was saved here comes back to the bit
        return _as(image, "RGB")
    if profile or image.mode == "LAB":
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            lab = image.mode == "LAB"
            given = ImageCms.createProfile("LAB") if lab else ImageCms.ImageCmsProfile(BytesIO(profile or b""))
            flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
            if image.mode == "L":  # for grey LittleCMS's shortcut is off by up to 10 levels near black
                flags |= ImageCms.Flags.NOOPTIMIZE
            intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
            srgb = ImageCms.createProfile("sRGB")
            transform = ImageCms.buildTransform(given, srgb, image.mode, "RGB", intent, flags)
            return transform.apply(image)
    return _as(image, "RGB")


def _as(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)
