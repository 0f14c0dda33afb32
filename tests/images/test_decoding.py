"""Every depth, layout and transparency a file may have comes out as the numbers that were put in."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from image_samples import chunk, encode, rgb_profile
from PIL import Image

from impasto.errors import ImageError
from impasto.images.decoding import srgb_profile
from impasto.images.reading import load

GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6
CHANNELS = {GREY: 1, COLOUR: 3, GREY_ALPHA: 2, COLOUR_ALPHA: 4}


def samples(depth: int, channels: int, height: int = 11, width: int = 13, seed: int = 0) -> np.ndarray:
    """(h, w, c) random levels of so many bits."""
    kind = np.uint8 if depth <= 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**depth, (height, width, channels), dtype=kind)


def png(levels: np.ndarray, depth: int, colour: int, *extra: bytes) -> bytes:
    """The PNG specification's file of (h, w, c) levels, without filters; `extra` are whole chunks."""
    height, width, _ = levels.shape
    bits = np.unpackbits(levels.astype(">u2").view(np.uint8).reshape(height, -1, 2), axis=2)[..., -depth:]
    rows = np.packbits(bits.reshape(height, -1), axis=1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(levels: np.ndarray, **options: object) -> bytes:
    """tifffile's, which shares no code with Pillow."""
    file = io.BytesIO()
    tifffile.imwrite(file, levels, **options)
    return file.getvalue()


def colours(data: bytes) -> np.ndarray:
    """(h, w, 3) in [0, 1]."""
    return load(data).pixels[0].permute(1, 2, 0).numpy()


def alpha(data: bytes) -> np.ndarray:
    """(h, w) in [0, 1]."""
    found = load(data).alpha
    assert found is not None
    return found[0, 0].numpy()


def same(found: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-7) -> bool:
    return found.shape == wanted.shape and np.abs(found - wanted).max() <= tolerance


# PNG


@pytest.mark.parametrize("colour", CHANNELS)
@pytest.mark.parametrize("depth", [8, 16])
def test_a_png_keeps_every_bit_of_colour_and_alpha(depth, colour):
    levels = samples(depth, CHANNELS[colour])
    data, shown = png(levels, depth, colour), levels / (2**depth - 1)
    wanted = np.repeat(shown[..., :1], 3, axis=2) if CHANNELS[colour] < 3 else shown[..., :3]
    assert same(colours(data), wanted)
    if colour in (GREY_ALPHA, COLOUR_ALPHA):
        assert same(alpha(data), shown[..., -1])
    else:
        assert load(data).alpha is None


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_pngs_transparent_grey_level_is_found_at_every_depth(depth):
    levels = samples(depth, 1)
    levels[3, 4] = 1
    data = png(levels, depth, GREY, chunk(b"tRNS", struct.pack(">H", 1)))
    assert same(alpha(data), (levels[..., 0] != 1).astype(float))
    assert same(colours(data), np.repeat(levels / (2**depth - 1), 3, axis=2))


def test_only_the_low_bits_of_a_transparent_level_count():
    """PNG specification, 11.3.2.1."""
    levels = samples(4, 1)
    for written in (5, 0xFF05, 0x15):
        data = png(levels, 4, GREY, chunk(b"tRNS", struct.pack(">H", written)))
        assert same(alpha(data), (levels[..., 0] != 5).astype(float))


def test_a_transparent_colour_of_sixteen_bits_is_told_from_its_neighbour():
    levels = samples(16, 3)
    levels[2, 2] = levels[5, 5] ^ 1  # the same high bytes
    data = png(levels, 16, COLOUR, chunk(b"tRNS", struct.pack(">HHH", *levels[5, 5])))
    assert same(alpha(data), (levels != levels[5, 5]).any(axis=2).astype(float))
    assert alpha(data)[2, 2] == 1


@pytest.mark.parametrize("orientation", [2, 5, 6])
def test_sixteen_bits_are_turned_upright_with_both_their_bytes(orientation):
    levels = samples(16, 4)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = png(levels, 16, COLOUR_ALPHA, chunk(b"eXIf", exif.tobytes()[6:]))
    turned = {2: levels[:, ::-1], 5: levels.swapaxes(0, 1), 6: levels.swapaxes(0, 1)[:, ::-1]}[orientation] / 65535
    assert same(colours(data), turned[..., :3])
    assert same(alpha(data), turned[..., 3])


def test_sixteen_bits_stay_where_the_profile_is_srgb_and_are_converted_where_it_is_not():
    levels = samples(16, 3)

    def with_profile(profile: bytes) -> bytes:
        return png(levels, 16, COLOUR, chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)))

    for profile in (srgb_profile(), rgb_profile(swapped=False), b"nonsense"):
        assert same(colours(with_profile(profile)), levels / 65535)
    swapped = colours(with_profile(rgb_profile(swapped=True)))
    assert same(swapped, levels[..., [1, 0, 2]] / 65535, 2.5 / 255)


# TIFF


LAYOUTS = {
    "strips": {}, "big-endian": {"byteorder": ">"}, "deflate": {"compression": "zlib"},
    "big-endian deflate": {"byteorder": ">", "compression": "zlib"}, "tiles": {"tile": (16, 16)},
    "deflated tiles": {"tile": (16, 16), "compression": "zlib"},
    "predictor": {"compression": "zlib", "predictor": True},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_tiff_keeps_every_bit_in_every_layout(depth, channels, layout):
    levels = samples(depth, channels, 23, 37)
    options = {1: {"photometric": "minisblack"}, 3: {"photometric": "rgb"}}.get(
        channels, {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    )
    data = tiff(levels[..., 0] if channels == 1 else levels, **options, **LAYOUTS[layout])
    shown = levels / (2**depth - 1)
    assert same(colours(data), np.repeat(shown, 3, axis=2) if channels == 1 else shown[..., :3])
    if channels == 4:
        assert same(alpha(data), shown[..., 3])


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"tile": (16, 16)}, {"compression": "zlib"}], ids=str)
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_tiff_with_a_plane_per_colour_shows_its_colours(depth, channels, options):
    """Pillow alone shows noise where they have 16 bits and aren't compressed; compressed ones it reads with 8."""
    levels = samples(depth, channels, 23, 37)
    alpha_kind = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    data = tiff(
        np.ascontiguousarray(np.moveaxis(levels, -1, 0)),
        **{"photometric": "rgb", "planarconfig": "separate", **alpha_kind, **options},
    )
    tolerance = 1 / 255 if depth == 16 and "compression" in options else 1e-7
    assert same(colours(data), levels[..., :3] / (2**depth - 1), tolerance)
    if channels == 4:
        assert same(alpha(data), levels[..., 3] / (2**depth - 1), tolerance)


def test_planes_that_cannot_be_read_right_are_refused():
    data = tiff(samples(16, 4).transpose(2, 0, 1).copy(), photometric="separated", planarconfig="separate")
    with pytest.raises(ImageError, match="16-bit colours in separate planes: save it again as PNG"):
        load(data)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_tiff_whose_zero_is_white_is_no_negative(kind):
    levels = samples(8, 1)[..., 0].astype(np.float64) / 255
    peak = 1 if kind is np.float32 else np.iinfo(kind).max
    data = tiff((levels * peak).astype(kind), photometric="miniswhite")
    assert same(colours(data)[..., 0], 1 - (levels * peak).astype(kind) / peak, 1e-6)


def test_twelve_bits_of_grey_reach_from_black_to_white():
    levels = samples(12, 1, 10, 16)[..., 0]
    levels[0, :2] = 0, 4095
    bits = np.unpackbits(levels.astype(">u2").view(np.uint8).reshape(10, 16, 2), axis=2)[..., -12:]
    packed = np.packbits(bits.reshape(10, -1), axis=1)  # two samples in three bytes
    data = tiff(packed, byteorder="<", photometric="minisblack", metadata=None)
    for tag, is_now, shall_be in ((256, 24, 16), (258, 8, 12)):  # width, bits
        entries = [struct.pack("<HHII", tag, kind, 1, is_now) for kind in (3, 4)]
        assert any(entry in data for entry in entries)
        for entry in entries:
            data = data.replace(entry, entry[:8] + struct.pack("<I", shall_be))
    assert same(colours(data)[..., 0], levels / 4095)


@pytest.mark.parametrize("shape", [(9, 14, 3), (9, 14)])
@pytest.mark.parametrize("kind", [np.float16, np.float64, np.uint32, np.int16, np.complex64])
def test_samples_of_another_kind_are_right_or_refused(kind, shape):
    levels = (samples(8, 1, 9, 14)[..., 0] if len(shape) == 2 else samples(8, 3, 9, 14)).astype(kind)
    data = tiff(levels, photometric="rgb" if len(shape) == 3 else "minisblack")
    try:
        found = colours(data)
    except ImageError:
        return
    assert same(found[..., 0], (levels if len(shape) == 2 else levels[..., 0]).astype(float) / 65535)


# Colours of inks


def cmyk_profile(corners: dict[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """A version 2 profile of four inks: full tones have these L*a*b*, the rest is white (ICC.1:2001-04, 6.5.10)."""
    table = b""
    for index in range(16):
        inks = tuple(255 * (index >> (3 - i) & 1) for i in range(4))
        lightness, a, b = corners.get(inks, (100, 0, 0))
        table += bytes([round(lightness * 255 / 100), round(a) + 128, round(b) + 128])
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(0x10000 * (i % 4 == 0) for i in range(9)))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    lut += bytes(-len(lut) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    parts = {b"desc": description + bytes(-len(description) % 4), b"wtpt": white}
    parts |= dict.fromkeys((b"A2B0", b"A2B1", b"A2B2"), lut)
    tags, body = b"", b""
    for name, part in parts.items():
        tags += struct.pack(">4sII", name, 132 + 12 * len(parts) + len(body), len(part))
        body += part
    size = 132 + len(tags) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">I", len(parts)) + tags + body


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_is_shown_through_its_own_profile(kind):
    """L*a*b* (54, 81, 70) is sRGB's red: an ink that fancies itself cyan shows red here and cyan nowhere."""
    profile = cmyk_profile({(255, 0, 0, 0): (54, 81, 70), (0, 0, 0, 255): (0, 0, 0)})
    for ink, shown in {(255, 0, 0, 0): (255, 0, 0), (0, 0, 0, 0): (255, 255, 255), (0, 0, 0, 255): (0, 0, 0)}.items():
        data = encode(Image.new("CMYK", (16, 16), ink), kind, icc_profile=profile)
        assert np.abs(colours(data)[8, 8] * 255 - shown).max() <= 8


# Claims


@pytest.mark.parametrize("compression", [1, 5, 7, 8])
def test_a_small_tiff_cut_into_huge_tiles_is_refused_before_they_take_memory(compression):
    """As tests/test_hostile.py measures."""
    data = tiff(np.zeros((64, 64, 3), np.uint8), tile=(1024, 1024), photometric="rgb", compression="zlib")
    data = data.replace(struct.pack("<HHII", 259, 3, 1, 8), struct.pack("<HHII", 259, 3, 1, compression))
    for source in (data, Image.open(io.BytesIO(data))):
        with pytest.raises(ImageError, match="is cut into tiles of 1024×1024, more than 1000000 pixels"):
            load(source, max_pixels=1_000_000)


def test_tiles_larger_than_the_picture_are_fine_within_the_limit():
    levels = samples(8, 3)
    assert same(colours(tiff(levels, tile=(256, 512), photometric="rgb", compression="zlib")), levels / 255)


def test_a_pil_image_of_sixteen_bits_is_taken_as_pillow_has_it():
    levels = samples(16, 3)
    picture = load(Image.open(io.BytesIO(png(levels, 16, COLOUR))))
    assert torch.equal(picture.pixels[0].permute(1, 2, 0), torch.from_numpy((levels >> 8).astype(np.float32) / 255))
