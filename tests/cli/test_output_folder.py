"""An output that is a folder takes the picture under its usual name."""

import json
import os
from pathlib import Path

import pytest
import torch

from helpers import smooth_image, tiny_weights
from impasto.cli import main
from impasto.images.writing import to_pil
from impasto.network import weights

STEPS = ("--scales", "1", "--epochs", "1", "--steps-per-epoch", "1", "--device", "cpu", "--quiet")
QUICK = ("--size", "32", *STEPS, "--style-layers", "relu1_1")

COMMANDS = {
    ("paint", "in/photo.png", "in/brush.png", *QUICK): "photo_brush_impasto.png",
    ("sweep", "in/photo.png", "in/brush.png", *QUICK, "--vary", "seed=1,2"): "photo_brush_sweep.png",
    ("reconstruct", "in/photo.png", "--size", "32", *STEPS, "--layers", "relu1_1"): "photo_reconstruction.png",
    ("texture", "in/brush.png", *QUICK): "brush_texture_impasto.png",
    ("swatches", "--write", "dots", "--size", "32"): "dots.png",
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    Path("in").mkdir()
    for seed, name in enumerate(("photo", "brush")):
        to_pil(smooth_image(24, 32, seed=seed)).save(f"in/{name}.png")


@pytest.mark.parametrize("folder", ["there", "there/", "new/in/here/"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_output_that_is_a_folder_takes_the_picture_under_its_usual_name(command, folder, capsys):
    Path("there").mkdir()
    assert main([*command, "-o", folder]) == 0
    written = Path(folder) / COMMANDS[command]
    assert capsys.readouterr().out == f"{written}\n"
    assert [path for path in Path().rglob("*.png") if path.parent != Path("in")] == [written]
    assert main([*command, "-o", folder]) == 1
    assert f"impasto: '{written}' already exists: " in capsys.readouterr().err


def test_a_run_into_this_folder_has_its_snapshots_and_its_state_beside_the_picture(capsys):
    command = ["paint", "in/photo.png", "in/brush.png", *QUICK, "--snapshots", "1", "--checkpoint", "0"]
    assert main([*command, "-o", ".", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["output"], told["snapshots"]) == ("photo_brush_impasto.png", ["photo_brush_impasto_epoch-01.png"])
    assert main(["rerun", "photo_brush_impasto.png", "--inputs", "in", "-o", "in", "--quiet"]) == 0
    assert capsys.readouterr().out == "in/photo_brush_impasto_rerun.png\n"


def test_a_folder_that_cant_be_made_and_one_that_is_a_file_are_refused_in_a_sentence(capsys):
    for command in COMMANDS:
        for folder in ("in/photo.png/", "in/photo.png/x/"):
            assert main([*command, "-o", folder]) == 1
            told = capsys.readouterr()
            assert told.out == ""
            assert told.err.startswith(f"impasto: '{os.path.normpath(folder)}' can't be made (")
            assert told.err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_empty_output_is_refused_in_a_sentence(command, capsys):
    assert main([*command, "-o", ""]) == 1
    assert "--output is empty: name a picture or a folder, or leave it out." in capsys.readouterr().err
