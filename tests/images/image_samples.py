"""Images, files and profiles made for the tests of reading and writing."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import ImageError
from impasto.images import decoding, reading

SUFFIXES = [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif"]
READABLE = ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF"]


def noise(height: int = 9, width: int = 14, channels: int = 3, seed: int = 0) -> np.ndarray:
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return levels[..., 0] if channels == 1 else levels


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    if kind == "HEIF":  # which Pillow has from a plugin, and only if told to; it isn't told here
        import pillow_heif

        heif = pillow_heif.from_pillow(image)
        heif.save(file, quality=-1, **{name: value for name, value in options.items() if name != "icc_profile"})
        return file.getvalue()
    image.save(file, kind, **options)
    return file.getvalue()


def levels(picture: reading.SourceImage) -> np.ndarray:
    """(h, w, 3) uint8."""
    assert picture.pixels.dtype == torch.float32
    assert picture.pixels.is_contiguous()
    return (picture.pixels[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def is_one_sentence(error: pytest.ExceptionInfo[ImageError]) -> bool:
    text = str(error.value)
    return "\n" not in text and text.endswith(".") and ": " in text and len(text) < 600


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def bombs() -> dict[str, bytes]:
    """A few bytes each that claim 60000 × 60000 pixels, or the most their format can."""
    small = Image.new("RGB", (1, 1))
    jpeg = bytearray(encode(small, "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 60000, 60000)
    gif = bytearray(encode(small, "GIF"))
    gif[6:10] = struct.pack("<HH", 60000, 60000)
    bmp = bytearray(encode(small, "BMP"))
    bmp[18:26] = struct.pack("<ii", 60000, 60000)
    webp = bytearray(encode(small, "WEBP", lossless=True))
    at = webp.index(b"VP8L") + 9
    webp[at : at + 4] = struct.pack("<I", 16382 | 16382 << 14)
    tiff = encode(small, "TIFF")
    for tag in (256, 257):
        entry = struct.pack("<HHI", tag, 4, 1)
        tiff = tiff.replace(entry + struct.pack("<I", 1), entry + struct.pack("<I", 60000))
    extents = {}  # what ISO/IEC 23008-12, 6.5.3, calls the box with the size
    for kind in ("AVIF", "HEIF"):
        data = bytearray(encode(Image.new("RGB", (64, 64)), kind))
        at = data.index(b"ispe") + 8
        data[at : at + 8] = struct.pack(">II", 12000, 12000)
        extents[kind] = bytes(data)
    made = extents | {"GIF": bytes(gif), "JPEG": bytes(jpeg), "BMP": bytes(bmp), "WEBP": bytes(webp), "TIFF": tiff}
    return made | {"PNG": png_claiming(60000, 60000)}


def rgb_profile(swapped: bool) -> bytes:
    """A matrix profile made of sRGB's, with red and green exchanged if asked to."""
    profile = bytearray(decoding.srgb_profile())
    offsets = {}
    for k in range(struct.unpack(">I", profile[128:132])[0]):
        name, offset, size = struct.unpack(">4sII", profile[132 + 12 * k : 144 + 12 * k])
        offsets[name] = slice(offset, offset + size)
    red, green = bytes(profile[offsets[b"rXYZ"]]), bytes(profile[offsets[b"gXYZ"]])
    if swapped:
        profile[offsets[b"rXYZ"]], profile[offsets[b"gXYZ"]] = green, red
    profile[24:36] = bytes(12)
    return bytes(profile)


def grey_profile(gamma: float) -> bytes:
    """A version 2 grey profile with one gamma (ICC.1:2001-04, 6.3.1.1: monochrome input)."""
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags, body = b"", b""
    parts = {b"desc": description + bytes(-len(description) % 4), b"wtpt": white, b"kTRC": curve}
    for name, part in parts.items():
        tags += struct.pack(">4sII", name, 132 + 36 + len(body), len(part))
        body += part
    header = struct.pack(">I4sI4s4s4s", 168 + len(body), b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">I", 3) + tags + body
