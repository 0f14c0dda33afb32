"""`paint --resume` goes on with the same inputs whatever they are called, and refuses other ones by name."""

import os
import signal
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import tiny_weights
from impasto.cli import main
from impasto.jobs.stylization import Stylization
from impasto.network import weights
from impasto.run.events import Stepped

QUICK = ["--size", "48", "--scales", "1", "--epochs", "2", "--steps-per-epoch", "2", "--device", "cpu", "--quiet"]
LAYERS = ["--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_2"]
FILES = ("photo.png", "brush.png", "mask.png", "start.png", "map.png")


def draw(name: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (36, 48, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(name)


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    """A folder with pictures, and a network that runs in milliseconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    for seed, name in enumerate(FILES):
        draw(name, seed)


def job(*arguments: str) -> list[str]:
    return ["paint", "photo.png", "brush.png", "-o", "a.png", *QUICK, *LAYERS, *arguments]


@pytest.fixture
def interrupted(monkeypatch):
    """A run of `job` with these arguments that got a signal at its second step."""

    def run(*arguments: str) -> None:
        paint, left = Stylization.events, [2]

        def watched(self, *state):
            for event in paint(self, *state):
                if isinstance(event, Stepped) and event.step in left:
                    left.clear()
                    os.kill(os.getpid(), signal.SIGTERM)
                yield event

        monkeypatch.setattr(Stylization, "events", watched)
        assert main(job(*arguments)) == 143

    return run


def pixels() -> bytes:
    with PIL.Image.open("a.png") as image:
        return image.tobytes()


def test_a_run_goes_on_with_the_scratch_folder_that_it_was_given(interrupted, tmp_path):
    (tmp_path / "files").mkdir()
    interrupted("--scratch", "files")
    assert main(job("--scratch", "files", "--resume")) == 0
    assert not Path("a.png.run").exists()


def test_a_run_of_another_style_scale_says_by_which_one_it_goes_on(interrupted, capsys):
    interrupted("--style-scale", "0.5")
    without_quiet = [flag for flag in job("--style-scale", "auto", "--resume") if flag != "--quiet"]
    assert main(without_quiet) == 0
    assert "`style_scale` auto goes on as 0.5, as the run began." in capsys.readouterr().err


ROLES = [("--mask", "mask.png"), ("--style-mask", "mask.png"), ("--init", "start.png"), ("--strength-map", "map.png")]


@pytest.mark.parametrize(("flag", "name"), ROLES)
def test_an_input_that_a_setting_names_may_be_called_otherwise_when_a_run_goes_on(flag, name, interrupted, tmp_path):
    assert main(job(flag, name)) == 0
    whole = pixels()
    Path("a.png").unlink()
    interrupted(flag, name)
    assert main(job(flag, str(tmp_path / name), "--resume")) == 0
    assert pixels() == whole


@pytest.mark.parametrize(("flag", "name"), ROLES)
def test_another_picture_under_the_same_name_is_refused_by_name(flag, name, interrupted, capsys):
    interrupted(flag, name)
    draw(name, 9)
    capsys.readouterr()
    assert main(job(flag, name, "--resume")) == 1
    role = {"mask.png": "mask", "start.png": "init", "map.png": "strength map"}[name]
    err = capsys.readouterr().err
    assert err.startswith(f"impasto: The {role} image '")
    assert f"{name}' is not what the run began with (SHA-256 " in err
    assert err.endswith("put the old one back, or start again with --overwrite instead of --resume.\n")


@pytest.mark.parametrize(("flag", "name"), ROLES)
def test_resume_too_refuses_another_picture_under_the_same_name(flag, name, interrupted, capsys):
    interrupted(flag, name)
    draw(name, 9)
    capsys.readouterr()
    assert main(["resume", "a.png.run", "--quiet"]) == 1
    role = {"mask.png": "mask", "start.png": "init", "map.png": "strength map"}[name]
    err = capsys.readouterr().err
    assert err.startswith(f"impasto: The {role} image ")
    assert f"{name} is not the one of the recipe (SHA-256 " in err
    assert Path("a.png.run/state.safetensors").exists()


def test_a_mask_that_was_not_there_when_the_run_began_is_refused(interrupted, capsys):
    interrupted()
    capsys.readouterr()
    assert main(job("--mask", "mask.png", "--resume")) == 2
    assert capsys.readouterr().err.startswith("impasto: --mask was not given when the run began and is mask.png now")
