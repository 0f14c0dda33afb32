"""docs/library.md: its programs run, and it tells of every level that is logged and every public name that is typed."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch

import impasto
from helpers import smooth_image, tiny_weights
from impasto.images.writing import to_pil
from impasto.network import weights

HOUSE = Path(__file__).parents[2]
PAGE = (HOUSE / "docs/library.md").read_text("utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
TINY = 'size=48, epochs=1, steps_per_epoch=2, scales=1, device="cpu", style_layers=("relu1_1",)'


@pytest.mark.parametrize("program", PROGRAMS, ids=["events", "asyncio"])
def test_every_program_runs(program, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("photo.jpg", "painting.jpg")):
        to_pil(smooth_image(36, 48, seed=seed)).save(name)
    assert program.count("size=512") == 1
    exec(compile(program.replace("size=512", TINY), "docs/library.md", "exec"), {})
    assert "inished" in capsys.readouterr().out


def test_marimos_controls_steer_the_widget(monkeypatch):
    """The page's cells, with a stand-in for marimo that keeps what its controls were to call."""
    pytest.importorskip("ipywidgets", reason="IPYWIDGETS IS NOT INSTALLED: pip install 'impasto[notebook]'")
    begin = PAGE.index("    widget = impasto.Styl")
    cells = textwrap.dedent(PAGE[begin : PAGE.index("## Logging")])
    marimo = MagicMock()
    names: dict[str, Any] = {"impasto": impasto, "mo": marimo}
    exec(compile(cells, "docs/library.md", "exec"), names)
    widget = names["widget"]
    marimo.ui.slider.call_args.kwargs["on_change"](0.7)
    assert widget.controls["strength"].value == 0.7
    called: list[str] = []
    monkeypatch.setattr(widget, "start", lambda: called.append("start"))
    monkeypatch.setattr(widget, "stop", lambda: called.append("stop"))
    for call in marimo.ui.button.call_args_list:
        call.kwargs["on_click"](None)
    assert called == ["start", "stop"]


def test_every_public_name_is_used_where_the_strict_checker_reads():
    tree = ast.parse((HOUSE / "tests/project/typed_names.py").read_text("utf-8"))
    used = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "impasto"
    }
    assert {*impasto.__all__} - used == set()
    assert "# pyright: strict" in (HOUSE / "tests/project/typed_names.py").read_text("utf-8").splitlines()[0]


def test_the_page_names_every_public_name_beside_those_that_every_page_shows():
    shown = {"Knobs", "Texture", "VGG19", "stylize", "synthesize"}
    assert [name for name in impasto.__all__ if name not in PAGE and name not in shown] == []
