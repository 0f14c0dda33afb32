"""Images come in upright and in the right colours, and every fault is one sentence."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import resource
import threading
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import (
    READABLE,
    bombs,
    encode,
    grey_profile,
    is_one_sentence,
    levels,
    noise,
    png_claiming,
    rgb_profile,
)
from PIL import Image, ImageCms

from impasto.errors import ImageError
from impasto.images import decoding, notes
from impasto.images.reading import load, read_note
from impasto.images.writing import save

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
        torch.zeros(2, 3, 2, 2), None, 3, [[0.5]], b"", b"GIF8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP",
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
