"""Images go out whole or not at all, and every fault is one sentence."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from image_samples import SUFFIXES, encode, is_one_sentence, noise, png_claiming
from PIL import Image, ImageCms

from impasto.errors import ImageError
from impasto.images import decoding, writing
from impasto.images.reading import load, read_note
from impasto.images.writing import check_writable, save, to_pil


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
