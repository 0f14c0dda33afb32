"""Pictures come in upright and in the right colours, go out whole, and every fault is one sentence."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import resource
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from impasto.errors import ImageError
from impasto.images import decoding, notes, reading, writing
from impasto.images.reading import load, read_note
from impasto.images.size import fit, resize
from impasto.images.writing import check_writable, save, to_pil

SUFFIXES = [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"]
READABLE = ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"]


def noise(height: int = 9, width: int = 14, channels: int = 3, seed: int = 0) -> np.ndarray:
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return levels[..., 0] if channels == 1 else levels


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
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
    made = {"GIF": bytes(gif), "JPEG": bytes(jpeg), "BMP": bytes(bmp), "WEBP": bytes(webp), "TIFF": tiff}
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


# The right way up


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_exif_orientation_is_applied_once(orientation, kind):
    stored = np.kron(noise(3, 5), np.ones((8, 8, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    data = encode(Image.fromarray(stored), kind, exif=exif.tobytes(), **options)
    expected = UPRIGHT[orientation](stored)
    for picture in (load(data), load(Image.open(io.BytesIO(data)))):
        shown = levels(picture)
        assert shown.shape == expected.shape
        assert np.abs(shown.astype(int) - expected).max() <= (8 if kind == "JPEG" else 0)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0MM\0*\0\0", b"Exif\0\0nonsense", b"Exif\0\0", b"Exif\0\0II*\0" + b"\xff" * 40]
)
def test_broken_exif_counts_as_upright(exif):
    stored = noise()
    assert np.array_equal(levels(load(encode(Image.fromarray(stored), exif=exif))), stored)


# The right colours


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_embedded_rgb_profile_is_converted_to_srgb(kind):
    stored = noise()
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(Image.fromarray(stored), kind, icc_profile=rgb_profile(swapped=True), **options)
    shown = levels(load(data)).astype(int)
    assert np.abs(shown - stored[..., [1, 0, 2]]).max() <= 2


def test_an_srgb_profile_changes_nothing():
    stored = noise()
    for profile in (decoding.srgb_profile(), rgb_profile(swapped=False)):
        assert np.array_equal(levels(load(encode(Image.fromarray(stored), icc_profile=profile))), stored)


def test_profile_applies_below_alpha_and_to_palettes():
    stored = noise(channels=4)
    profile = rgb_profile(swapped=True)
    picture = load(encode(Image.fromarray(stored), icc_profile=profile))
    assert np.abs(levels(picture).astype(int) - stored[..., [1, 0, 2]]).max() <= 2
    assert np.array_equal((picture.alpha * 255).round().numpy()[0, 0], stored[..., 3])
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 10, 30, 0, 90, 250])
    palette.putpixel((1, 0), 1)
    shown = levels(load(encode(palette, icc_profile=profile))).astype(int)
    assert np.abs(shown[0] - [[10, 200, 30], [90, 0, 250]]).max() <= 2


@pytest.mark.parametrize("profile", [b"nonsense", decoding.srgb_profile()[:200], grey_profile(1.0), b"\0" * 600])
def test_broken_or_unfitting_profile_counts_as_srgb(profile):
    stored = noise()
    assert np.array_equal(levels(load(encode(Image.fromarray(stored), icc_profile=profile))), stored)


@pytest.mark.parametrize("deep", [False, True])
def test_grey_profile_is_converted_to_srgb(deep):
    ramp = np.arange(256, dtype=np.uint8)[None]
    stored = Image.fromarray(ramp.astype(np.uint16) * 257 if deep else ramp)
    shown = levels(load(encode(stored, icc_profile=grey_profile(1.0))))[0].astype(float) / 255
    linear = np.arange(256) / 255
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(shown - srgb[:, None]).max() < 0.6 / 255


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_without_profile_has_plausible_colours(kind):
    inks = {(0, 0, 0, 0): (255, 255, 255), (255, 0, 0, 0): (0, 255, 255), (0, 0, 0, 255): (0, 0, 0)}
    for ink, colour in inks.items():
        shown = levels(load(encode(Image.new("CMYK", (16, 16), ink), kind)))
        assert np.abs(shown[8, 8].astype(int) - colour).max() <= 4


def test_cmyk_with_an_unfitting_profile_still_loads():
    data = encode(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF", icc_profile=decoding.srgb_profile())
    assert levels(load(data))[0, 0].tolist() == [255, 0, 0]


def test_lab_tiff_is_converted():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    stored = noise()
    image = ImageCms.buildTransform(srgb, lab, "RGB", "LAB").apply(Image.fromarray(stored))
    shown = levels(load(encode(image, "TIFF")))
    assert np.abs(shown.astype(int) - stored).mean() < 4


@pytest.mark.parametrize("mode", ["L", "1"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_grey_and_bilevel_become_three_equal_channels(mode, kind):
    grey = noise(channels=1) if mode == "L" else (noise(channels=1) > 127).astype(np.uint8) * 255
    shown = levels(load(encode(Image.fromarray(grey).convert(mode), kind)))
    assert np.array_equal(shown, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_levels(kind):
    ramp = (np.arange(4000, dtype=np.uint16) * 16).reshape(40, 100)
    pixels = load(encode(Image.fromarray(ramp), kind)).pixels
    assert len(pixels.unique()) == 4000
    assert np.abs(pixels[0, 1].numpy() * 65535 - ramp).max() < 0.01


def test_big_endian_integer_and_float_greys_agree():
    ramp = (np.arange(4000, dtype=np.uint16) * 16).reshape(40, 100)
    big = Image.frombytes("I;16B", (100, 40), ramp.astype(">u2").tobytes())
    expected = load(ramp).pixels
    for image in (big, Image.fromarray(ramp.astype(np.int32)), Image.fromarray(ramp / np.float32(65535))):
        assert torch.allclose(load(image).pixels, expected, atol=1e-6)
    assert torch.allclose(load(encode(big, "TIFF")).pixels, expected)


def test_sixteen_bit_grey_keeps_its_transparent_level():
    ramp = np.arange(12, dtype=np.uint16).reshape(3, 4) * 300
    alpha = load(encode(Image.fromarray(ramp), transparency=600)).alpha
    assert np.array_equal(alpha.numpy()[0, 0] == 0, ramp == 600)


@pytest.mark.parametrize(
    ("mode", "value"),
    [("I", -1), ("I", 65536), ("F", -0.1), ("F", 255), ("F", float("nan")), ("F", float("inf"))],
)
def test_greys_out_of_range_are_refused(mode, value):
    with pytest.raises(ImageError, match="scale them first") as error:
        load(Image.new(mode, (2, 2), value))
    assert is_one_sentence(error)


# Alpha


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_alpha_is_kept_in_every_mode(mode):
    alpha = noise(channels=1, seed=1)
    rgba = Image.fromarray(np.dstack([np.full((9, 14, 3), 200, np.uint8), alpha]))
    image = rgba.convert("LA").convert("La") if mode == "La" else rgba.convert(mode)
    kept = load(image).alpha
    assert np.array_equal((kept * 255).round().numpy()[0, 0], alpha)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_transparency_becomes_alpha_and_keeps_its_colours(kind):
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0])
    image.putdata([0, 1, 2])
    picture = load(encode(image, kind, transparency=1))
    assert picture.alpha[0, 0].tolist() == [[1, 0, 1]]
    assert levels(picture)[0].tolist() == [[10, 20, 30], [200, 100, 50], [0, 255, 0]]
    if kind == "PNG":
        soft = load(encode(image, kind, transparency=bytes([0, 128, 255])))
        assert (soft.alpha * 255).round().flatten().tolist() == [0, 128, 255]


def test_a_transparent_colour_becomes_alpha():
    data = encode(Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)), transparency=(4, 5, 6))
    picture = load(data)
    assert picture.alpha.flatten().tolist() == [1, 0]
    assert levels(picture)[0].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_colours_below_full_transparency_survive_a_round_trip(tmp_path, suffix):
    stored = noise(channels=4)
    stored[:4, :, 3] = 0
    first = load(stored)
    second = load(save(tmp_path / f"a{suffix}", first.pixels, alpha=first.alpha))
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(first.alpha, second.alpha)


def test_opaque_pictures_have_no_alpha():
    assert load(Image.fromarray(noise()).convert("RGBA")).alpha is None
    assert load(noise()).alpha is None


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_formats_without_alpha_are_laid_over_white(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", torch.zeros(1, 3, 16, 16), alpha=torch.full((1, 1, 16, 16), 0.25))
    picture = load(path)
    assert picture.alpha is None
    assert np.abs(levels(picture).astype(int) - 191).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    shown = levels(load(encode(frames[0], kind, save_all=True, append_images=frames[1:])))
    assert np.abs(shown[4, 4].astype(int) - [255, 0, 0]).max() <= 4


# Arrays and provenance


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "f2", "f4", "f8", ">f8"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_arrays_of_every_type_give_the_same_picture(dtype, channels):
    stored = noise(channels=channels)
    peak = {"u1": 255, "u2": 65535}.get(dtype.lstrip(">"), 1)
    given_ = (stored.astype(np.float64) * (peak / 255)).astype(dtype)
    picture = load(given_)
    assert np.array_equal(levels(picture), stored[..., :3] if channels > 1 else np.dstack([stored] * 3))
    assert (picture.alpha is None) == (channels < 4)
    assert (picture.name, picture.path) == ("array", None)


def test_bool_and_single_channel_arrays_are_pictures():
    mask = noise(channels=1) > 127
    assert torch.equal(load(mask).pixels, load(mask[..., None].astype(np.uint8) * 255).pixels)


@pytest.mark.parametrize(
    "source",
    [
        np.zeros(3), np.zeros((2, 2, 2)), np.zeros((2, 2, 5)), np.zeros((1, 2, 2, 3)), np.zeros((0, 2)),
        np.zeros((2, 0, 3)), np.zeros((2, 2), np.int64), np.zeros((2, 2), complex), np.zeros((2, 2), object),
        np.full((2, 2), 1.5), np.full((2, 2), -0.1), np.full((2, 2), np.nan), np.full((2, 2), np.inf),
        np.array([[0.5, np.nan]]), np.zeros((200, 200)),
        torch.zeros(1, 3, 2, 2), None, 3, [[0.5]], b"", b"GIF8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP",
        b"hello world", "", "nowhere.png", "nul\0.png", "x" * 5000, "/dev/null", "line\nbreak.png",
    ],
    ids=lambda source: f"{type(source).__name__}",
)  # fmt: skip
def test_what_is_no_picture_is_refused_in_one_sentence(source):
    with pytest.raises(ImageError) as error:
        load(source, max_pixels=10_000)
    assert "\n" not in str(error.value)
    assert ": " in str(error.value)


def test_a_picture_knows_where_it_came_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = encode(Image.fromarray(noise()))
    Path("photo.of.me.png").write_bytes(data)
    picture = load("photo.of.me.png")
    assert (picture.name, picture.path) == ("photo.of.me", str(tmp_path / "photo.of.me.png"))
    assert picture.sha256 == hashlib.sha256(data).hexdigest() == load(data).sha256
    assert (load(data).name, load(data).path) == ("image", None)
    one, two = load(noise()), load(noise(seed=1))
    assert one.sha256 == load(noise()).sha256 != two.sha256
    assert load(noise(4, 6)).sha256 != load(noise(4, 6).reshape(6, 4, 3)).sha256
    assert load(Image.fromarray(noise())).sha256 == load(Image.fromarray(noise())).sha256


# Damage, limits and disguise


@pytest.mark.parametrize("kind", READABLE)
def test_truncated_files_are_one_error(tmp_path, kind):
    data = encode(Image.fromarray(noise(64, 64)), kind)
    for keep in (0, 1, 4, 12, 30, len(data) // 4, len(data) // 2, len(data) * 3 // 4):
        path = tmp_path / "cut"
        path.write_bytes(data[:keep])
        with pytest.raises(ImageError) as error:
            load(path)
        assert is_one_sentence(error)
        assert "cut" in str(error.value)


@pytest.mark.parametrize("head", [b"8BPS\0\1", b"%!PS-Adobe-3.0 EPSF", b"P6 1 1 255 abc", b"\0\0\1\0\1\0", b"<svg>"])
def test_other_formats_are_refused_whatever_their_name(tmp_path, head):
    path = tmp_path / "disguised.png"
    path.write_bytes(head + bytes(2000))
    with pytest.raises(ImageError, match="is not a PNG, JPEG") as error:
        load(path)
    assert is_one_sentence(error)


def test_the_extension_does_not_matter(tmp_path):
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encode(Image.fromarray(noise())))
    assert np.array_equal(levels(load(path)), noise())


@pytest.mark.parametrize("kind", READABLE)
def test_bombs_are_refused_before_decoding(kind):
    data = bombs()[kind]
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError, match=r"more than 100000000 pixels|exceeds limit of \d+ pixels") as error:
        load(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert is_one_sentence(error)


def test_max_pixels_rules_alone(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would refuse anything over 20
    data = encode(Image.fromarray(noise(10, 10)))
    assert load(data, max_pixels=100).pixels.shape == (1, 3, 10, 10)
    for source in (data, noise(10, 10), Image.fromarray(noise(10, 10))):
        with pytest.raises(ImageError, match="more than 99 pixels"):
            load(source, max_pixels=99)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_zero_sized_pictures_are_refused():
    gif = bytearray(encode(Image.new("L", (2, 2)), "GIF"))
    gif[6:10] = bytes(4)
    at = gif.index(b",")
    gif[at + 5 : at + 9] = bytes(4)
    for source in (bytes(gif), png_claiming(0, 5), Image.new("RGB", (0, 3))):
        with pytest.raises(ImageError):
            load(source)


def test_folders_pipes_and_unreadable_files_are_refused_at_once(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    for path in (tmp_path, tmp_path / "pipe.png", tmp_path / "loop.png"):
        with pytest.raises(ImageError) as error:
            load(path)
        assert is_one_sentence(error)
    path = tmp_path / "secret.png"
    path.write_bytes(b"x")

    def forbid(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)
    with pytest.raises(ImageError, match="Permission denied"):
        load(path)


@pytest.mark.parametrize(
    "fault",
    [SyntaxError, EOFError, KeyError, IndexError, MemoryError, ZeroDivisionError, RecursionError, zlib.error],
)
def test_whatever_pillow_raises_is_one_error(monkeypatch, fault):
    def fail(_: object) -> None:
        raise fault("deep\ninside")

    monkeypatch.setattr(Image.Image, "load", fail)
    with pytest.raises(ImageError) as error:
        load(Image.new("RGB", (2, 2)))
    assert is_one_sentence(error)


EXTRAS = {"icc_profile": decoding.srgb_profile(), "exif": notes.to_exif("note")}
SEEDS = {
    kind: encode(Image.fromarray(noise(12, 12)), kind, **EXTRAS)
    for kind in READABLE
} | {
    "PALETTE": encode(Image.fromarray(noise(12, 12)).quantize(16), "PNG", transparency=3),
    "LZW": encode(Image.fromarray(noise(12, 12)), "TIFF", compression="tiff_lzw"),
    "GREY16": encode(Image.fromarray(noise(12, 12, 1).astype(np.uint16)), "TIFF"),
}  # fmt: skip


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kind=st.sampled_from(sorted(SEEDS)),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)),
        min_size=1,
        max_size=6,
    ),
    cut=st.floats(0, 1) | st.just(1.0),
)
def test_mutated_files_load_or_raise_one_error(tmp_path, kind, edits, cut):
    data = bytearray(SEEDS[kind])
    for place, patch in edits:
        at = int(place * len(data))
        data[at : at + len(patch)] = patch
    path = tmp_path / "mutated"
    path.write_bytes(data[: max(1, int(cut * len(data)))])
    with contextlib.suppress(ImageError):
        picture = load(path, max_pixels=1_000_000)
        assert 0 <= picture.pixels.min() <= picture.pixels.max() <= 1
    with contextlib.suppress(ImageError):
        assert isinstance(read_note(path), str | None)


def test_threads_leave_the_warning_filters_as_they_were():
    data = encode(Image.fromarray(noise()), exif=b"Exif\0\0II*\0" + b"\xff" * 40)
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [load(data) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


# Sizes and rounding


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_fit_keeps_the_aspect_and_meets_the_longest_side(height, width, longest):
    h, w = fit((height, width), longest)
    assert max(h, w) == longest
    assert min(h, w) >= 1
    scale = longest / max(height, width)
    assert abs(h - height * scale) <= 0.5 or h == 1
    assert abs(w - width * scale) <= 0.5 or w == 1


def test_resize_is_antialiased_clamped_and_free_where_it_fits():
    checks = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float().expand(1, 3, 64, 64)
    assert resize(checks, (64, 64)) is checks
    assert (resize(checks, (8, 8)) - 0.5).abs().max() < 0.02  # nearest or plain bicubic would give 0 or 1
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    larger = resize(edge, (30, 31))
    assert larger.shape == (1, 1, 30, 31)
    assert (larger.min(), larger.max()) == (0, 1)


def test_to_pil_rounds_and_clamps():
    pixels = torch.tensor([-0.5, 0.4999 / 255, 0.5001 / 255, 127.6 / 255, 254.6 / 255, 1.5]).expand(1, 3, 1, 6)
    image = to_pil(pixels)
    assert image.mode == "RGB"
    assert [image.getpixel((x, 0))[0] for x in range(6)] == [0, 0, 1, 128, 255, 255]
    assert to_pil(pixels, torch.ones(1, 1, 1, 6)).mode == "RGBA"
    assert to_pil(pixels.double().requires_grad_()).size == (6, 1)


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (torch.full((1, 3, 2, 2), float("nan")), None),
        (torch.full((1, 3, 2, 2), float("inf")), None),
        (torch.zeros(3, 2, 2), None),
        (torch.zeros(1, 4, 2, 2), None),
        (torch.zeros(1, 3, 0, 2), None),
        (torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 2, 3)),
    ],
)
def test_nan_and_wrong_shapes_never_become_a_file(tmp_path, pixels, alpha):
    for suffix in (".png", ".jpg"):
        with pytest.raises(ImageError):
            save(tmp_path / f"a{suffix}", pixels, alpha=alpha)
    assert list(tmp_path.iterdir()) == []


# Saving


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".webp", ".bmp", ".PNG"])
def test_lossless_formats_come_back_to_the_bit(tmp_path, suffix):
    pixels = load(noise()).pixels
    path = save(tmp_path / f"a{suffix}", pixels, note="{}")
    assert path == tmp_path / f"a{suffix}"
    assert torch.equal(load(path).pixels, pixels)
    assert torch.equal(load(Image.open(path)).pixels, pixels)


def test_jpeg_keeps_colour_resolution(tmp_path):
    stripes = torch.zeros(1, 3, 16, 16)
    stripes[:, 0, :, ::2] = 1
    stripes[:, 2, :, 1::2] = 1
    shown = load(save(tmp_path / "a.jpg", stripes)).pixels
    assert (shown - stripes).abs().max() < 0.1  # 4:2:0 would smear red and blue to violet


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_saved_pictures_carry_the_srgb_profile(tmp_path, suffix):
    with Image.open(save(tmp_path / f"a{suffix}", torch.zeros(1, 3, 4, 4))) as image:
        profile = image.info["icc_profile"]
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))


def test_the_profile_is_the_same_in_every_process(monkeypatch):
    code = "import sys; from PIL.ImageCms import *; print(ImageCmsProfile(createProfile('sRGB')).tobytes().hex())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    elsewhere = bytearray.fromhex(run.stdout)
    elsewhere[24:36] = bytes(range(12))  # the time, should the other process have been as quick as that
    monkeypatch.setattr(ImageCms, "ImageCmsProfile", lambda _: SimpleNamespace(tobytes=lambda: elsewhere))
    assert decoding.srgb_profile.__wrapped__() == decoding.srgb_profile()


@pytest.mark.parametrize("note", ["", '{"seed": 1}', "größer → 画 🎨\n\t", "\0end\0", "a\ud800b", "x" * 20_000])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"])
def test_notes_come_back_exactly(tmp_path, suffix, note):
    path = save(tmp_path / f"a{suffix}", torch.zeros(1, 3, 2, 2), note=note)
    assert read_note(path) == note


def test_pictures_without_a_note_have_none(tmp_path):
    for suffix in SUFFIXES:
        assert read_note(save(tmp_path / f"a{suffix}", torch.zeros(1, 3, 2, 2))) is None
    assert read_note(save(tmp_path / "b.bmp", torch.zeros(1, 3, 2, 2), note="{}")) is None
    (tmp_path / "a.gif").write_bytes(encode(Image.new("L", (2, 2)), "GIF"))
    assert read_note(tmp_path / "a.gif") is None
    with pytest.raises(ImageError, match="doesn't exist"):
        read_note(tmp_path / "nothing.png")


def test_reading_a_note_decodes_nothing(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(60000, 60000))
    assert read_note(path) is None


def test_a_note_too_long_for_jpeg_is_refused_and_the_old_file_stays(tmp_path):
    path = save(tmp_path / "a.jpg", torch.zeros(1, 3, 2, 2), note="old")
    with pytest.raises(ImageError, match="can't hold a note of 70000 characters") as error:
        save(path, torch.ones(1, 3, 2, 2), note="x" * 70_000, overwrite=True)
    assert is_one_sentence(error)
    assert read_note(path) == "old"
    assert read_note(save(tmp_path / "a.png", torch.zeros(1, 3, 2, 2), note="x" * 300_000)) == "x" * 300_000


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 65536), (".webp", 16384)])
def test_sides_beyond_the_format_are_refused(tmp_path, suffix, side):
    with pytest.raises(ImageError, match=r"save it as \.png") as error:
        save(tmp_path / f"a{suffix}", torch.zeros(1, 3, 1, side))
    assert is_one_sentence(error)


# Old or new, never torn


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = save(tmp_path / "a.png", torch.zeros(1, 3, 2, 2), note="old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # Python ignores its signal, writing just fails
    try:
        with pytest.raises(ImageError) as error:
            save(path, torch.rand(1, 3, 64, 64), overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "can't be written (File too large): make room" in str(error.value)
    assert is_one_sentence(error)
    assert read_note(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_saving_through_a_link_replaces_its_target_only_when_told(tmp_path):
    target, link = tmp_path / "target.png", tmp_path / "latest.png"
    link.symlink_to(target)
    save(link, torch.zeros(1, 3, 2, 2))
    with pytest.raises(ImageError, match="already exists"):
        save(link, torch.ones(1, 3, 2, 2))
    save(link, torch.ones(1, 3, 2, 2), overwrite=True)
    assert link.is_symlink()
    assert load(target).pixels.min() == 1


def test_a_file_that_appears_while_saving_is_not_overwritten(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", torch.zeros(1, 3, 2, 2), note="theirs")
    monkeypatch.setattr(writing, "check_writable", lambda *_: None)  # it looked before the file was there
    with pytest.raises(ImageError, match="already exists") as error:
        save(path, torch.ones(1, 3, 2, 2), note="mine")
    assert is_one_sentence(error)
    assert read_note(path) == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_refused_beforehand(tmp_path, monkeypatch):
    taken = save(tmp_path / "taken.png", torch.zeros(1, 3, 2, 2))
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    faults = {
        taken: "already exists",
        tmp_path / "folder.png": "is a folder",
        tmp_path / "pipe.png": "is a device or a pipe",
        tmp_path / "missing" / "a.png": "doesn't exist",
        taken / "a.png": "doesn't exist",
        tmp_path / "a.gif": "known format",
        tmp_path / "a": "known format",
        tmp_path / ("x" * 300 + ".png"): "can't be a file's name",
        tmp_path / "nul\0.png": "can't be a file's name",
    }
    for path, fault in faults.items():
        for refuse in (
            check_writable,
            lambda path, overwrite: save(path, torch.zeros(1, 3, 2, 2), overwrite=overwrite),
        ):
            with pytest.raises(ImageError, match=fault) as error:
                refuse(path, False)
            assert is_one_sentence(error)
    check_writable(taken, True)
    check_writable(tmp_path / "new.png", False)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere, so pretend
    with pytest.raises(ImageError, match="without write permission"):
        check_writable(tmp_path / "new.png", False)
