"""The plug-in for Krita in Krita itself, headless, against a studio that serves: a layer goes out and comes back."""

from __future__ import annotations

import ast
import configparser
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from impasto.client import StudioClient
from impasto.settings.presets import to_toml
from studio.served import SMALL, Served, ended

PLUG_IN = Path(__file__).parents[2] / "integrations/krita"
PACKAGE = PLUG_IN / "impasto_krita"
GIMPS = PLUG_IN.parent / "gimp/impasto.py"
TOKEN = "a-secret-of-ours"
IN_KRITA = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("kritarunner") is None, reason="KRITA IS NOT INSTALLED: apt-get install krita"),
]
AREA = [5, 7, 60, 40]
"""Of the layer in the driver's document: x, y, width, height."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio with a token, whose jobs take a moment."""
    folder = tmp_path_factory.mktemp("krita")
    config = folder / "small.toml"
    config.write_text(to_toml({knob: value for knob, value in SMALL.items() if knob != "size"}))
    served = Served(folder / "data", "--config", str(config), "--token", TOKEN)
    yield served
    served.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Krita's own folder: it fills it at its first start, which takes a while."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def krita(home: Path, served: Served, tmp_path: Path) -> Any:
    """Have Krita answer a request (`krita_driver.py`); the dialog's answers are given by their labels."""

    def asked(**request: Any) -> dict[str, Any]:
        usual = {
            "Address of the studio": f"http://127.0.0.1:{served.port}",
            "Token": TOKEN,
            "Longest side in pixels": 32,
        }
        request["answers"] = usual | request.get("answers", {})
        file = tmp_path / "request.json"
        file.write_text(json.dumps(request))
        environment = {"PATH": "/usr/bin:/bin"}  # no virtual environment: its libraries would be taken
        environment |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"}
        environment |= {"PYTHONPATH": f"{PLUG_IN}:{Path(__file__).parent}", "PYTHONDONTWRITEBYTECODE": "1"}
        tmp_path.chmod(0o700)
        command = [shutil.which("kritarunner") or "kritarunner", "-s", "krita_driver", "-f", "main", str(file)]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
        answer = file.with_suffix(".answer")
        assert answer.exists(), ran.stderr
        found = json.loads(answer.read_text())
        assert "traceback" not in found, found["traceback"]
        return found

    return asked


def client_of(served: Served) -> StudioClient:
    return StudioClient(f"http://127.0.0.1:{served.port}", TOKEN)


class TestInKrita:
    pytestmark = IN_KRITA

    def test_a_layer_comes_back_painted_above_it_as_large_and_in_its_place(self, krita, served, tmp_path):
        found = krita(answers={"Style": "dots", "Strength": 0.6})
        assert found["seen"]["told"] == []
        assert found["layers"] == ["Background", "photo/1", "photo/1 × dots"]
        assert (found["bounds"], found["colours"]) == (AREA, ["RGBA", "U8"])
        assert found["unchanged"]
        job = client_of(served).jobs()[0]
        assert (job["settings"]["strength"], job["width"]) == (0.6, 32)
        with PIL.Image.open(client_of(served).save(job["id"], tmp_path / "same.png")) as opened:
            expected = np.asarray(opened.convert("RGB").resize((60, 40), PIL.Image.Resampling.BICUBIC)).astype(float)
        bgra = np.array(found["pixels"]).reshape(40, 60, 4)
        assert (bgra[..., 3] == 255).all()
        assert np.abs(bgra[..., 2::-1] - expected).mean() < 4
        assert found["seen"]["titles"] == ["Paint in a style"]
        assert found["seen"]["told"] == []
        assert any(told.startswith("Step ") for told in found["seen"]["steps"]), found["seen"]["steps"]
        assert 0 < found["seen"]["share"] <= 1

    @pytest.mark.parametrize(
        ("model", "depth", "faint"),
        [("RGBA", "U8", True), ("RGBA", "U16", False), ("RGBA", "F32", False), ("GRAYA", "U8", False)],
    )
    def test_what_is_sent_is_the_layer(self, krita, tmp_path, model, depth, faint):
        found = krita(model=model, depth=depth, faint=faint, written=str(tmp_path / "sent.png"))
        expected = np.array(found["sent"]).reshape(40, 60, 4)[..., [2, 1, 0, 3]].astype(float)
        if model == "GRAYA":  # Krita weighs the channels: this tells that it is the picture, not how it is grey
            expected[..., :3] = expected[..., :3].mean(axis=-1, keepdims=True)
        with PIL.Image.open(tmp_path / "sent.png") as opened:
            sent = np.asarray(opened.convert("RGBA")).astype(float)
        assert sent.shape == expected.shape
        assert np.abs(sent[..., 3] - expected[..., 3]).max() <= 1
        assert np.abs(sent - expected).mean() < (5 if model == "GRAYA" else 0.1)

    def test_a_painting_from_a_file_is_the_style_and_a_selection_shows_where(self, krita, tmp_path):
        painting = tmp_path / "night.png"
        PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(painting)
        found = krita(answers={"Or a painting": str(painting)}, selected=[0, 0, 35, 60])
        assert "photo/1 × night" in found["layers"]
        alpha = np.array(found["pixels"]).reshape(40, 60, 4)[..., 3]
        assert (alpha[:, :30] == 255).all()
        assert (alpha[:, 30:] == 0).all()

    def test_what_is_half_transparent_stays_so(self, krita):
        found = krita(faint=True, selected=[0, 0, 35, 60])
        alpha = np.array(found["pixels"]).reshape(40, 60, 4)[..., 3]
        assert (np.abs(alpha[:, :30] - 128) <= 1).all()
        assert (alpha[:, 30:] == 0).all()

    @pytest.mark.parametrize(("model", "depth"), [("RGBA", "U16"), ("CMYKA", "U8")])
    def test_the_layer_has_the_pictures_colours(self, krita, model, depth):
        found = krita(model=model, depth=depth)
        assert found["seen"]["told"] == []
        assert (found["bounds"], found["colours"]) == (AREA, [model, depth])

    def test_the_button_cancels_the_job_in_the_studio(self, krita, served):
        found = krita(cancel=True)
        assert found["layers"] == ["Background", "photo/1"]
        assert found["seen"]["told"] == []
        client = client_of(served)
        assert ended(client, client.jobs()[0]["id"])["state"] == "cancelled"

    def test_a_dialog_that_is_closed_sends_nothing(self, krita):
        found = krita(reject=True, answers={"Address of the studio": "http://127.0.0.1:9"})
        assert found["layers"] == ["Background", "photo/1"]
        assert (found["seen"]["told"], found["seen"]["steps"]) == ([], [])

    @pytest.mark.parametrize(
        ("request_", "told"),
        [
            ({"answers": {"Address of the studio": "http://127.0.0.1:9"}}, "There is no studio at http://127.0.0.1:9"),
            ({"answers": {"Address of the studio": ""}}, "The address '' is none of a studio"),
            ({"answers": {"Token": "wrong"}}, "The studio asks for its token: log in."),
            ({"answers": {"Or a painting": "/no/such.png"}}, "No such file or directory"),
            ({"empty": True}, "'photo/1' has nothing within the picture: choose another layer."),
            ({"kind": "filterlayer"}, "'photo/1' is a filterlayer without a picture of its own: choose another layer."),
            ({"no_document": True}, "No layer is active: open a picture and choose one."),
        ],
    )
    def test_what_goes_wrong_is_one_sentence_and_leaves_the_picture_as_it_was(self, krita, request_, told):
        found = krita(**request_)
        (said,) = found["seen"]["told"]
        assert told in said
        assert found["layers"] == ["Background", "photo/1"]


def test_it_speaks_to_the_studio_as_the_one_for_gimp_does():
    """To the letter: each stands alone, so the lines are in both."""
    ours = (PACKAGE / "studio.py").read_text("utf-8")
    shared = ours[ours.index("ADDRESS = ") :]
    assert "def painted(" in shared
    assert shared.strip() in GIMPS.read_text("utf-8")


def test_it_needs_nothing_but_kritas_python():
    for path in PACKAGE.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
        imported = {
            name.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for name in node.names
        }
        imported |= {
            str(node.module).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and not node.level
        }
        assert imported - {"krita", "PyQt5", "PyQt6"} <= sys.stdlib_module_names


def test_krita_finds_the_package_by_its_desktop_file():
    parsed = configparser.ConfigParser()
    parsed.read(PLUG_IN / "impasto_krita.desktop", "utf-8")
    entry = parsed["Desktop Entry"]
    assert entry["ServiceTypes"] == "Krita/PythonPlugin"
    assert (PLUG_IN / entry["X-KDE-Library"] / "__init__.py").is_file()
