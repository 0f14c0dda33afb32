"""What a picture carries: its recipe without the folders of its maker, and of the photo's EXIF what was asked for."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import impasto
from helpers import tiny_weights
from impasto.cli import main
from impasto.images import bigtiff, camera, notes, reading, shrinking, writing
from impasto.jobs.recipe import Recipe
from impasto.network import weights
from impasto.report import figure

QUICK = [
    *("--size", "48", "--scales", "1", "--epochs", "1", "--steps-per-epoch", "2", "--device", "cpu"),
    *("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_2"),
]
MAKE, ORIENTATION, DESCRIPTION, EXPOSURE, SERIAL, MAKERS_NOTE = 0x010F, 0x0112, 0x010E, 0x829A, 0xA431, 0x927C
GPS_FOLDER, LATITUDE = 0x8825, 2


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    """A folder of a certain name to work in, and a network that runs in milliseconds."""
    (tmp_path / "secret").mkdir()
    monkeypatch.chdir(tmp_path / "secret")
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    for seed, name in enumerate(("photo.jpg", "brush.png", "sky.png")):
        save_noise(name, seed)


def save_noise(name: str | Path, seed: int, **options) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (36, 48, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(name, **options)


def noted_by_a_camera() -> bytes:
    exif = PIL.Image.Exif()
    exif.update({MAKE: "Canon", ORIENTATION: 3, DESCRIPTION: "A day out"})
    exif.get_ifd(notes.EXIF_FOLDER).update({EXPOSURE: 0.01, SERIAL: "123456", MAKERS_NOTE: b"faces", 0x9286: b"mine"})
    exif.get_ifd(GPS_FOLDER).update({1: "N", LATITUDE: (52.0, 31.0, 7.0)})
    return exif.tobytes()


def pixels_of(name: str) -> bytes:
    with PIL.Image.open(name) as picture:
        return picture.tobytes()


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
def test_a_picture_carries_names_and_hashes_but_no_folders(suffix, tmp_path):
    here = tmp_path / "secret"
    files = [
        "--mask",
        f"{here / 'sky.png'},rest",
        "--style-mask",
        f"all,{here / 'sky.png'}",
        "--init",
        here / "sky.png",
    ]
    arguments = [here / "photo.jpg", here / "brush.png", here / "sky.png", *files, "-o", here / f"out.{suffix}"]
    assert main(["paint", *map(str, arguments), *QUICK, "--quiet"]) == 0
    note = reading.read_note(f"out.{suffix}")
    assert note is not None
    recipe = Recipe.from_json(note, "it")
    assert (recipe.content.path, [mask.path for mask in recipe.masks]) == ("photo.jpg", ["sky.png", "sky.png"])
    assert recipe.settings["mask"] == ["sky.png", "rest"]
    for word in ("secret", str(tmp_path)):
        assert word not in note
        assert word.encode() not in Path(f"out.{suffix}").read_bytes()


def test_neither_do_those_of_a_sweep_and_of_the_function(tmp_path):
    here = str(tmp_path / "secret")
    sweep = ["sweep", f"{here}/photo.jpg", f"{here}/brush.png", "--vary", "strength=0.3,0.7", "--keep", "cells"]
    assert main([*sweep, *QUICK, "--quiet"]) == 0
    names = sorted(map(str, Path("cells").iterdir()))
    knobs = {"size": 48, "scales": 1, "epochs": 1, "steps_per_epoch": 1}
    impasto.stylize(f"{here}/photo.jpg", Path(here) / "brush.png", **knobs, start=f"{here}/sky.png").save("made.png")
    for name in [*names, "made.png"]:
        assert "photo.jpg" in (note := reading.read_note(name) or "")
        assert "secret" not in note


@pytest.mark.slow
def test_weights_of_ones_own_are_named_without_their_folder(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path / "secret")
    assert main(["weights", "convert", "embedded", "mine.safetensors"]) == 0
    mine = str(tmp_path / "secret" / "mine.safetensors")
    assert main(["paint", "photo.jpg", "brush.png", *QUICK, "--weights", mine, "-o", "out.png", "--quiet"]) == 0
    assert Recipe.from_json(reading.read_note("out.png"), "it").settings["weights"] == "mine.safetensors"
    Path("mine.safetensors").rename(tmp_path / "mine.safetensors")
    assert main(["rerun", "out.png", "--inputs", "..", "-o", "again.png", "--quiet"]) == 0
    assert pixels_of("again.png") == pixels_of("out.png")


def test_files_are_found_again_beside_the_picture_or_where_told_by_their_bytes(tmp_path, monkeypatch, capsys):
    Path("left").mkdir()
    Path("right").mkdir()
    save_noise("left/mask.png", 4)
    save_noise("right/mask.png", 5)
    masks = ["--mask", "left/mask.png,right/mask.png", "--style-mask", "right/mask.png,all"]
    assert main(["paint", "photo.jpg", "brush.png", "sky.png", *masks, *QUICK, "-o", "out.png", "--quiet"]) == 0
    sent = tmp_path / "sent"
    sent.mkdir()
    for name in ("photo.jpg", "brush.png", "sky.png", "out.png"):
        shutil.move(name, sent / name)
    shutil.move("left/mask.png", sent / "mask.png")
    shutil.move("right", tmp_path / "others")
    monkeypatch.chdir("left")
    capsys.readouterr()
    assert main(["rerun", str(sent / "out.png"), "-o", "again.png", "--quiet"]) == 1
    err = capsys.readouterr().err
    assert "mask.png is not the one of the recipe" in err
    again = ["rerun", str(sent / "out.png"), "--inputs", str(tmp_path / "others"), "-o", "again.png", "--quiet"]
    assert main(again) == 0
    assert pixels_of("again.png") == pixels_of(str(sent / "out.png"))
    assert json.loads(reading.read_note("again.png") or "") == json.loads(reading.read_note(sent / "out.png") or "")


def exif_of(name: str) -> tuple[dict, dict, dict]:
    """The main folder, that of exposure, and that of the place."""
    with PIL.Image.open(name) as picture:
        exif = picture.getexif()
        return dict(exif), exif.get_ifd(notes.EXIF_FOLDER), exif.get_ifd(GPS_FOLDER)


@pytest.mark.parametrize(("flags", "suffix"), [
    ([], "png"), (["--keep-exif"], "jpg"), (["--keep-exif"], "tif"), (["--keep-gps"], "webp"),
    *((["--keep-exif", "--keep-gps"], suffix) for suffix in ("png", "jpg", "tif", "webp", "avif")),
    (["--keep-exif", "--no-metadata"], "png"),
])  # fmt: skip
def test_a_picture_carries_what_the_camera_noted_when_asked_and_where_it_was_only_when_asked_for_that(flags, suffix):
    camera, place = "--keep-exif" in flags, "--keep-gps" in flags
    save_noise("photo.jpg", 0, exif=noted_by_a_camera())
    paint = ["paint", "photo.jpg", "brush.png", *QUICK, "-o", f"out.{suffix}", "--quiet"]
    assert main([*paint, *flags]) == 0
    exif, exposure, gps = exif_of(f"out.{suffix}")
    assert (exif.get(MAKE), exif.get(DESCRIPTION)) == (("Canon", "A day out") if camera else (None, None))
    assert exposure.get(EXPOSURE) == (0.01 if camera else None)
    assert gps.get(LATITUDE) == ((52.0, 31.0, 7.0) if place else None)
    # The picture is upright, and its note its own; serial numbers and makers' notes, which may name faces, stay behind.
    assert exif.get(ORIENTATION, 1) == 1
    assert not {SERIAL, MAKERS_NOTE} & exposure.keys()
    note = reading.read_note(f"out.{suffix}")
    assert (note is None) == ("--no-metadata" in flags)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_it_is_read_from_every_format_and_kept_by_the_function(kind):
    data = io.BytesIO()
    with PIL.Image.open("photo.jpg") as photo:
        photo.save(data, kind, exif=noted_by_a_camera())
    knobs = {"size": 48, "scales": 1, "epochs": 1, "steps_per_epoch": 1}
    impasto.stylize(data.getvalue(), "brush.png", **knobs, keep_exif=True).save("out.jpg")
    assert exif_of("out.jpg")[0][MAKE] == "Canon"
    assert reading.read_note("out.jpg") is not None


def test_what_cannot_be_kept_is_said(capsys, monkeypatch):
    paint = ["paint", "photo.jpg", "brush.png", *QUICK, "--overwrite"]
    assert main([*paint, "--keep-exif", "--keep-gps", "-o", "out.png"]) == 0
    err = capsys.readouterr().err
    assert "photo.jpg' has nothing that a camera noted" in err
    assert "photo.jpg' doesn't say where it was taken" in err
    save_noise("photo.jpg", 0, exif=noted_by_a_camera())
    assert main([*paint, "--keep-exif", "-o", "out.bmp"]) == 0
    assert "'out.bmp' can't carry what the camera noted" in capsys.readouterr().err
    monkeypatch.setattr(writing, "PRINT_PIXELS", 100)
    monkeypatch.setattr(bigtiff, "library", lambda: None)
    monkeypatch.setattr(bigtiff, "write", lambda path, *_, **__: path.write_bytes(b"II"))
    assert main([*paint, "--keep-exif", "-o", "out.tif"]) == 0
    assert "'out.tif' can't carry what the camera noted" in capsys.readouterr().err
    assert main([*paint, "--keep-exif", "-o", "out.png"]) == 0
    assert "camera" not in capsys.readouterr().err


def test_odd_exif_is_left_behind():
    for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff", noted_by_a_camera()[:60], b"Exif\0\0" + b"MM\0*" + b"\x7f" * 50):
        save_noise("odd.jpg", 0, exif=exif)
        image = reading.load("odd.jpg")
        if image.camera is not None:
            assert camera.chosen(image.camera, camera=True, place=True) is not None
    loud = PIL.Image.Exif()
    loud[DESCRIPTION] = "x" * 30_000
    save_noise("odd.jpg", 0, exif=loud.tobytes())
    assert reading.load("odd.jpg").camera is None


def painted(*arguments: str) -> int:
    return main(["paint", "photo.jpg", "brush.png", *QUICK, "--quiet", *arguments])


def test_neither_does_the_json_of_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr(figure, "DPI", 40)
    sky = str(tmp_path / "secret" / "sky.png")
    assert painted("--mask", sky, "--init", sky, "-o", "out.png", "--report", "figure.png") == 0
    measures = Path("figure.json").read_text()
    assert "sky.png" in measures
    assert "secret" not in measures


def test_a_strangers_recipe_in_a_photos_description_does_not_become_the_pictures():
    exif = PIL.Image.Exif()
    exif.update({DESCRIPTION: f'{bigtiff.NOTE}{{"impasto": {{"secret": "/home/me"}}}}', MAKE: "Canon"})
    save_noise("photo.jpg", 0, exif=exif.tobytes())
    assert painted("--keep-exif", "-o", "out.png") == 0
    assert Recipe.from_json(reading.read_note("out.png"), "it").content.path == "photo.jpg"
    assert exif_of("out.png")[0].get(DESCRIPTION) is None
    assert exif_of("out.png")[0][MAKE] == "Canon"


def test_a_file_that_is_called_like_a_word_stays_a_file():
    for name in ("rest", "noise"):
        shutil.copy("sky.png", name)
    assert painted("--mask", "./rest", "--init", "./noise", "-o", "out.png") == 0
    assert main(["rerun", "out.png", "-o", "again.png", "--quiet"]) == 0
    assert pixels_of("again.png") == pixels_of("out.png")


def test_the_right_bytes_are_found_even_where_another_file_lies_at_the_old_place(tmp_path, capsys):
    job = impasto.Stylization("photo.jpg", ["brush.png"], impasto.Settings(size=48, scales=1, epochs=1, device="cpu"))
    *_, last = job.events()
    writing.save("old.png", last.picture, note=job.recipe().to_json())  # with whole paths, as recipes once were
    (tmp_path / "moved").mkdir()
    shutil.move("photo.jpg", tmp_path / "moved" / "photo.jpg")
    assert main(["rerun", "old.png", "--quiet"]) == 1
    assert "photo.jpg', which is neither where it was, beside it nor here: give its folder" in capsys.readouterr().err
    shutil.copy("sky.png", "photo.jpg")
    assert main(["rerun", "old.png", "--inputs", str(tmp_path / "moved"), "-o", "new.png", "--quiet"]) == 0
    assert pixels_of("new.png") == pixels_of("old.png")
    for odd in ("nowhere", "sky.png"):
        assert main(["rerun", "old.png", "--inputs", odd, "--quiet"]) == 1
        assert f"--inputs is '{odd}', which is no folder: name one." in capsys.readouterr().err


def test_camera_notes_are_never_dropped_in_silence(capsys):
    save_noise("photo.jpg", 0, exif=noted_by_a_camera())
    knobs = {"size": 48, "scales": 1, "epochs": 1, "steps_per_epoch": 1}
    with PIL.Image.open("photo.jpg") as photo:
        impasto.stylize(photo, "brush.png", **knobs, keep_exif=True).save("out.jpg")
    assert exif_of("out.jpg")[0][MAKE] == "Canon"
    assert main(["sweep", "photo.jpg", "brush.png", *QUICK, "--vary", "seed=0,1", "--keep-exif"]) == 2
    assert "A sheet carries nothing that a camera noted: drop --keep-exif and --keep-gps" in capsys.readouterr().err
    assert painted("-o", "done.png") == 0
    assert painted("-o", "done.png", "--resume") == 0
    capsys.readouterr()
    assert painted("-o", "done.png", "--resume", "--keep-exif") == 2
    assert "finished with --keep-exif false: paint it again with --overwrite" in capsys.readouterr().err


def test_pictures_kept_by_a_sweep_are_painted_again_alone_where_inputs_are_huge(monkeypatch):
    monkeypatch.setattr(shrinking, "HUGE", 10_000)
    monkeypatch.setattr(shrinking, "LEAST_SIDE", 8)
    for seed, name in enumerate(("photo.jpg", "brush.png")):
        pixels = np.random.default_rng(seed).integers(0, 255, (300, 400, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(name)
    sweep = [
        "sweep",
        "photo.jpg",
        "brush.png",
        "--vary",
        "size=48,96",
        "--vary",
        "style-scale=0.5,1",
        "--keep",
        "cells",
    ]
    assert main([*sweep, *QUICK[2:], "--quiet"]) == 0
    for number, cell in enumerate(sorted(Path("cells").iterdir())):
        assert main(["rerun", str(cell), "-o", f"{number}.png", "--quiet"]) == 0
        assert pixels_of(f"{number}.png") == pixels_of(str(cell)), cell
