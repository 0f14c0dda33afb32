"""Our own samples in every format and coding that is read, and ways to damage them that reach past the first check."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import tifffile
from hypothesis import strategies as st
from image_samples import chunk, encode, noise, rgb_profile
from PIL import Image

from impasto.images.decoding import srgb_profile

ODD_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
"""At which sizes, counts and offsets break."""

Draw = Callable[[st.SearchStrategy], object]


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "described"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0note"
    return exif.tobytes()


def _samples() -> dict[str, bytes]:
    side = 24
    rgb = Image.fromarray(np.kron(noise(6, 6), np.ones((4, 4, 1), np.uint8)) // 2 + noise(side, side) // 2)
    rgba = Image.fromarray(noise(side, side, 4))
    grey, lines = rgb.convert("L"), rgb.convert("1")
    wide = noise(side, side, 4).astype(np.uint16) * 257
    frames = [Image.fromarray(noise(side, side, 3, seed)) for seed in range(3)]
    animated = {"save_all": True, "append_images": frames[1:]}
    extras = {"exif": _exif(), "icc_profile": rgb_profile(swapped=True)}

    def tiff(levels: np.ndarray, **options: object) -> bytes:
        file = io.BytesIO()
        tifffile.imwrite(file, levels, **options)
        return file.getvalue()

    return {
        "png": encode(rgb, icc_profile=srgb_profile(), exif=_exif()),
        "png palette": encode(rgb.quantize(16), transparency=3),
        "png alpha": encode(rgba, compress_level=0),
        "png animated": encode(frames[0], **animated),
        "png grey 16": encode(Image.fromarray(wide[..., 0]), transparency=257),
        "png bilevel": encode(lines, transparency=1),
        "jpeg": encode(rgb, "JPEG", quality=90, **extras),
        "jpeg progressive": encode(rgb, "JPEG", progressive=True, comment="a comment"),
        "jpeg cmyk": encode(rgb.convert("CMYK"), "JPEG"),
        "jpeg grey restart": encode(grey, "JPEG", restart_marker_blocks=2),
        "mpo": encode(frames[0], "MPO", **animated),
        "webp": encode(rgba, "WEBP", quality=80, **extras),
        "webp lossless": encode(rgba, "WEBP", lossless=True),
        "webp animated": encode(frames[0], "WEBP", **animated),
        "avif": encode(rgb, "AVIF", **extras),
        "avif alpha": encode(rgba, "AVIF", quality=100),
        "avif animated": encode(frames[0], "AVIF", **animated),
        "heif": encode(rgb, "HEIF", exif=_exif()),
        "heif alpha": encode(rgba, "HEIF"),
        "gif": encode(frames[0].quantize(32), "GIF", transparency=5),
        "gif animated": encode(frames[0], "GIF", **animated),
        "bmp": encode(rgb, "BMP"),
        "bmp palette": encode(rgb.quantize(200), "BMP"),
        "bmp bilevel": encode(lines, "BMP"),
        "tiff": encode(rgb, "TIFF", **extras),
        "tiff lzw": encode(rgba, "TIFF", compression="tiff_lzw"),
        "tiff deflate": encode(grey, "TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": encode(rgb, "TIFF", compression="jpeg"),
        "tiff packbits": encode(rgb.quantize(9), "TIFF", compression="packbits"),
        "tiff fax": encode(lines, "TIFF", compression="group4"),
        "tiff cmyk": encode(rgb.convert("CMYK"), "TIFF"),
        "tiff big": encode(rgb, "TIFF", big_tiff=True),
        "tiff float": encode(Image.fromarray(wide[..., 0] / np.float32(65535)), "TIFF"),
        "tiff rgba 16": tiff(wide, photometric="rgb", extrasamples=["unassalpha"]),
        "tiff planes 16": tiff(wide[..., :3].transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
        "tiff tiles": tiff(wide[..., :3].astype(np.uint8), photometric="rgb", tile=(16, 16), compression="zlib"),
    }


SAMPLES = _samples()


def _place(draw: Draw, data: bytes) -> int:
    return draw(st.integers(0, max(0, len(data) - 1)))  # pyright: ignore[reportReturnType]


def _flip(draw: Draw, data: bytes) -> bytes:
    flipped = bytearray(data)
    for _ in range(draw(st.integers(1, 8))):
        flipped[_place(draw, data)] ^= 1 << draw(st.integers(0, 7))
    return bytes(flipped)


def _overwrite(draw: Draw, data: bytes) -> bytes:
    at, width, order = _place(draw, data), draw(st.sampled_from((1, 2, 4))), draw(st.sampled_from(("big", "little")))
    number = draw(st.sampled_from(ODD_NUMBERS)) % 256**width
    return data[:at] + number.to_bytes(width, order) + data[at + width :]


def _cut(draw: Draw, data: bytes) -> bytes:
    return data[: _place(draw, data) + 1]


def _remove(draw: Draw, data: bytes) -> bytes:
    at = _place(draw, data)
    return data[:at] + data[at + draw(st.integers(1, 64)) :]


def _repeat(draw: Draw, data: bytes) -> bytes:
    at, length = _place(draw, data), draw(st.integers(1, 64))
    return data[:at] + data[at : at + length] * draw(st.integers(2, 100)) + data[at + length :]


def _splice(draw: Draw, data: bytes) -> bytes:
    other = SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))]
    at = _place(draw, data)
    return data[:at] + other[_place(draw, other) :]


def _inside(draw: Draw, data: bytes) -> bytes:
    """Damage behind a checksum or in a table, whatever the format has."""
    if data.startswith(b"\x89PNG"):
        return _in_a_chunk(draw, data)
    if data[:2] in (b"II", b"MM"):
        return _in_an_entry(draw, data)
    return _in_a_header(draw, data)


def _in_a_chunk(draw: Draw, data: bytes) -> bytes:
    """A PNG's chunk changed, dropped or doubled, its checksum right again; pixels are changed before compression."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return _flip(draw, data)
    which = draw(st.integers(0, len(chunks) - 1))
    kind, body = chunks[which]
    if kind == b"IDAT":
        try:
            body = zlib.compress(_any(draw, zlib.decompress(body)))
        except zlib.error:
            body = _any(draw, body)
    else:
        body = _any(draw, body) if body else b"x"
    chunks[which : which + 1] = [(kind, body)] * draw(st.sampled_from((1, 1, 1, 0, 2)))
    return data[:8] + b"".join(chunk(kind, body) for kind, body in chunks)


def _in_an_entry(draw: Draw, data: bytes) -> bytes:
    """A TIFF's first directory: an entry's tag, type, count or value (TIFF 6.0, section 2)."""
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 20 or struct.unpack_from(order + "H", data, 2)[0] != 42:
        return _overwrite(draw, data)
    start = struct.unpack_from(order + "I", data, 4)[0]
    if start + 14 > len(data):
        return _overwrite(draw, data)
    count = min(struct.unpack_from(order + "H", data, start)[0], (len(data) - start - 2) // 12)
    entry = start + 2 + 12 * draw(st.integers(0, max(0, count - 1)))
    field, width = draw(st.sampled_from(((0, 2), (2, 2), (4, 4), (8, 4), (8, 4), (8, 2))))
    changed = bytearray(data)
    number = draw(st.sampled_from(ODD_NUMBERS) | st.integers(0, 400)) % 256**width
    struct.pack_into(order + ("H" if width == 2 else "I"), changed, entry + field, number)
    return bytes(changed)


def _in_a_header(draw: Draw, data: bytes) -> bytes:
    """The first bytes, where the sizes are, or what follows a JPEG's marker."""
    markers = [i for i in range(len(data) - 4) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC2, 0xC4, 0xDA, 0xDB)]
    start = draw(st.sampled_from(markers)) if markers and data[:2] == b"\xff\xd8" else 0
    return data[:start] + _overwrite(draw, data[start : start + 40]) + data[start + 40 :]


OPERATIONS = (_flip, _overwrite, _cut, _remove, _repeat, _splice)


def _any(draw: Draw, data: bytes) -> bytes:
    return draw(st.sampled_from(OPERATIONS))(draw, data) if data else data


@st.composite
def damaged(draw) -> tuple[str, bytes]:
    """A sample's name, and its bytes after one to four injuries."""
    name = draw(st.sampled_from(sorted(SAMPLES)))
    data = SAMPLES[name]
    for operation in draw(st.lists(st.sampled_from((*OPERATIONS, *[_inside] * 4)), min_size=1, max_size=4)):
        data = operation(draw, data) or b"\0"
    return name, data
