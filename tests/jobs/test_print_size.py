"""Sizes that are not pixels: the photo's own, and that of a print with its resolution, which the file then tells."""

from __future__ import annotations

import io
import json
from pathlib import Path

import PIL.Image
import pytest
import torch

from helpers import smooth_image, tiny_weights
from impasto import stylize
from impasto.cli import main
from impasto.errors import SettingsError
from impasto.images import reading, writing
from impasto.jobs.recipe import Recipe
from impasto.network import weights
from impasto.settings.settings import Settings

QUICK = (
    *("--scales", "1", "--epochs", "1", "--steps-per-epoch", "1", "--device", "cpu", "--quiet"),
    *("--style-layers", "relu1_1", "--content-layers", "relu1_1"),
)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    writing.to_pil(smooth_image(30, 50, seed=1)).save("photo.png", dpi=(240, 240))
    writing.to_pil(smooth_image(30, 40, seed=2)).save("brush.png", dpi=(96, 96))


def resolution(path: str | Path) -> float | None:
    """What another program reads of it: Pillow, straight from the file."""
    with PIL.Image.open(path) as image:
        found = image.info.get("dpi") or (image.getexif().get(0x011A), 0)
    return None if found[0] is None else round(float(found[0]))


def size_of(path: str | Path) -> tuple[int, int]:
    with PIL.Image.open(path) as image:
        return image.size


@pytest.mark.parametrize(
    ("size", "longest", "dpi"),
    [
        ("original", None, None),
        (" Original ", None, None),
        ("30cm@300dpi", 3543, 300),
        ("30 CM @ 300 DPI", 3543, 300),
        ("12in@300dpi", 3600, 300),
        ("101.6mm@72.5dpi", 290, 72.5),
        (512, 512, None),
        ("512", 512, None),
    ],
)
def test_a_size_is_pixels_the_photos_own_or_that_of_a_print(size, longest, dpi):
    settings = Settings(size=size)
    assert (settings.longest_side, settings.dpi) == (longest, dpi)
    assert Settings(**json.loads(settings.model_dump_json())) == settings
    assert " " not in str(settings.size)


@pytest.mark.parametrize(
    ("size", "fault"),
    [
        ("big", "should be a number of pixels, 'original', or a print's longest side, such as 30cm@300dpi"),
        ("30cm", "should be a number of pixels, 'original', or a print's longest side, such as 30cm@300dpi"),
        ("30@300dpi", "should be a number of pixels, 'original', or a print's longest side, such as 30cm@300dpi"),
        ("30cmx20cm@300dpi", "should be a number of pixels, 'original', or a print's longest side, such as"),
        (512.5, "should be a number of pixels, 'original', or a print's"),
        (15, "should be greater than or equal to 16"),
        (65537, "should be less than or equal to 65536"),
        ("1mm@300dpi", "should come to 16 to 65536 pixels, not 12"),
        ("300cm@1200dpi", "should come to 16 to 65536 pixels, not 141732"),
        ("9000in@0.5dpi", "should have from 1 to 10000 dpi, not 0.5"),
        ("0.1in@20000dpi", "should have from 1 to 10000 dpi, not 20000"),
    ],
)
def test_a_size_that_is_none_is_refused_in_a_sentence(size, fault):
    with pytest.raises(SettingsError, match="size is ") as caught:
        Settings(size=size)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp"])
def test_a_picture_of_its_photos_size_keeps_its_resolution_in_every_format(suffix):
    assert main(["paint", "photo.png", "brush.png", *QUICK, "--size", "original", "-o", f"a{suffix}"]) == 0
    assert (size_of(f"a{suffix}"), resolution(f"a{suffix}")) == ((50, 30), 240)
    assert reading.load(f"a{suffix}").dpi == 240
    assert main(["paint", "photo.png", "brush.png", *QUICK, "--size", "48", "-o", f"b{suffix}"]) == 0
    assert resolution(f"b{suffix}") in (None, 1, 72, 96)  # what TIFF, JPEG and BMP say where they are told nothing


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp"])
def test_a_print_has_its_size_and_its_resolution_also_where_it_is_painted_again(suffix, capsys):
    named = ["--size", "1cm@150dpi", "-o", f"a{suffix}", *([] if suffix != ".bmp" else ["--no-metadata"])]
    assert main(["paint", "photo.png", "brush.png", *QUICK, *named, "--snapshots", "1"]) == 0
    assert (size_of(f"a{suffix}"), resolution(f"a{suffix}")) == ((59, 35), 150)
    assert resolution(f"a_epoch-01{suffix}") == 150
    if suffix == ".bmp":  # which has no room for a recipe
        return
    assert Recipe.from_json(reading.read_note(f"a{suffix}"), "").settings["size"] == "1cm@150dpi"
    assert main(["rerun", f"a{suffix}", "-o", f"b{suffix}", "--quiet"]) == 0
    assert Path(f"a{suffix}").read_bytes() == Path(f"b{suffix}").read_bytes()


def test_bigtiff_tells_its_resolution_too(monkeypatch, tmp_path):
    pytest.importorskip("pyvips")
    monkeypatch.setattr(writing, "PRINT_PIXELS", 1000)
    writing.save("a.tif", smooth_image(40, 50), dpi=300)
    assert Path("a.tif").read_bytes()[:4] == b"II+\0"
    assert (resolution("a.tif"), reading.load("a.tif").dpi) == (300, 300)


def test_a_photo_without_a_resolution_or_with_an_odd_one_gives_none(tmp_path):
    image = PIL.Image.new("RGB", (50, 30))
    for name, given in (("plain", {}), ("odd", {"dpi": (72, 300)}), ("huge", {"dpi": (99999, 99999)})):
        image.save(f"{name}.png", **given)
        assert reading.load(f"{name}.png").dpi is None
    image.info["dpi"] = (300, 300)
    assert reading.load(image).dpi == 300


def test_swatches_reruns_plans_presets_and_sweeps_follow_the_photos_size(capsys):
    given = ["photo.png", "dots", *QUICK]
    assert main(["paint", *given, "--size", "original", "-o", "a.png"]) == 0
    assert main(["rerun", "a.png", "-o", "b.png", "--quiet"]) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    Path("mine.toml").write_text('size = "original"\n')
    assert main(["paint", *given, "--config", "mine.toml", "-o", "c.png"]) == 0
    assert size_of("c.png") == (50, 30)
    assert main(["presets", "save", "own", "--size", "2cm@100dpi", "--overwrite"]) == 0
    capsys.readouterr()
    plain = [word for word in QUICK if word != "--quiet"]
    assert main(["plan", "photo.png", *plain, "--preset", "own"]) == 0
    assert "size     79×47 px, 2.0×1.2 cm at 100 dpi\n" in capsys.readouterr().out
    assert main(["plan", "photo.png", *plain, "--size", "original", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["size"], found["dpi"]) == ({"width": 50, "height": 30}, 240)
    sweep = ["sweep", *given, "--vary", "size=original,1cm@100dpi,64", "--keep", "cells", "-o", "s.png"]
    assert main(sweep) == 0
    kept = sorted(Path("cells").iterdir())
    assert [(size_of(path), resolution(path)) for path in kept] == [((50, 30), 240), ((39, 23), 100), ((64, 38), None)]


def test_what_a_format_cant_hold_is_refused_before_a_run(capsys):
    given = ["paint", "photo.png", "brush.png", *QUICK]
    assert main([*given, "--size", "60in@300dpi", "-o", "a.webp"]) == 1
    assert capsys.readouterr().err.startswith("impasto: 'a.webp' can hold 16383 pixels a side, fewer than --size")


def test_a_texture_may_have_the_size_of_a_print(capsys):
    command = ["texture", "brush.png", *QUICK[:-2]]
    assert main([*command, "--size", "2x1cm@100dpi", "-o", "a.png"]) == 0
    assert (size_of("a.png"), resolution("a.png")) == ((79, 39), 100)
    assert main([*command, "--size", "1cm@100dpi", "-o", "b.png"]) == 0
    assert size_of("b.png") == (39, 39)
    for odd in ("2x1cm", "0x1cm@100dpi", "2x1cm@0dpi", "original"):
        assert main([*command, "--size", odd, "-o", "c.png"]) == 2
        assert "but should be width and height in pixels" in capsys.readouterr().err


def test_what_stylize_returns_tells_its_resolution_when_it_is_saved():
    knobs = {"scales": 1, "epochs": 1, "steps_per_epoch": 1, "style_layers": ("relu1_1",), "device": "cpu"}
    picture = stylize("photo.png", "brush.png", size="1cm@150dpi", content_layers=("relu1_1",), **knobs)
    file = io.BytesIO()
    picture.save(file, "PNG")
    with PIL.Image.open(file) as image:
        assert (image.size, round(image.info["dpi"][0])) == ((59, 35), 150)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "tif"])
def test_what_the_function_gives_tells_its_resolution_in_every_format(suffix):
    stylize("photo.png", "brush.png", size="0.16in@300dpi", scales=1, epochs=1, steps_per_epoch=1).save(f"out.{suffix}")
    assert reading.load(f"out.{suffix}").dpi == pytest.approx(300, abs=0.1)


def test_a_photo_that_tells_no_resolution_has_none():
    exif = PIL.Image.Exif()
    exif[0x010F] = "Canon"
    with PIL.Image.open("photo.png") as photo:
        photo.convert("RGB").save("photo.jpg", exif=exif.tobytes())
    assert reading.load("photo.jpg").dpi is None
