import runpy
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import tiny_weights
from impasto.network import weights

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.fixture
def pictures(tmp_path):
    random = np.random.default_rng(0)
    for name in ("photo", "painting"):
        pixels = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).resize((160, 144)).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_runs_and_is_short(script, pictures, monkeypatch, capsys):
    assert len(script.read_text().splitlines()) <= 25
    output = pictures / "out.png"
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    inputs = [str(pictures / f"{name}.png") for name in ("photo", "painting")]
    monkeypatch.setattr(sys, "argv", [str(script), *inputs, str(output)])
    runpy.run_path(str(script), run_name="__main__")
    if "sys.argv[1:4]" in script.read_text():
        with PIL.Image.open(output) as picture:
            assert max(picture.size) == 128
    else:
        assert "eq. 4" in capsys.readouterr().out


def test_there_are_examples():
    assert len(EXAMPLES) >= 3
