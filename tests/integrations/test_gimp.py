"""The plug-in for GIMP 3 against a studio that serves: a layer goes out, its picture comes back, or one sentence."""

from __future__ import annotations

import ast
import runpy
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from fake_gimp import File, Gimp3, Image, Layer, Status, Window

from impasto.client import StudioClient
from impasto.settings.choices import Color
from impasto.settings.presets import to_toml
from impasto.swatches.catalogue import names
from studio.served import SMALL, Served, ended

PLUG_IN = Path(__file__).parents[2] / "integrations/gimp/impasto.py"
TOKEN = "a-secret-of-ours"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio with a token, whose jobs take a moment."""
    folder = tmp_path_factory.mktemp("gimp")
    config = folder / "small.toml"
    config.write_text(to_toml({knob: value for knob, value in SMALL.items() if knob != "size"}))
    served = Served(folder / "data", "--config", str(config), "--token", TOKEN)
    yield served
    served.close()


@pytest.fixture
def gimp(monkeypatch: pytest.MonkeyPatch) -> Gimp3:
    monkeypatch.delenv("IMPASTO_TOKEN", raising=False)
    return installed(monkeypatch, Gimp3())


def installed(monkeypatch: pytest.MonkeyPatch, gimp: Gimp3) -> Gimp3:
    """A GIMP that has loaded the plug-in."""
    gimp.install(monkeypatch)
    runpy.run_path(str(PLUG_IN))
    return gimp


def layer(width: int = 60, height: int = 40, name: str = "photo/1") -> Layer:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Layer(PIL.Image.fromarray(pixels), name, (5, 7))


def where(served: Served) -> dict[str, Any]:
    return {"address": f"http://127.0.0.1:{served.port}", "token": TOKEN, "size": 32}


def client_of(served: Served) -> StudioClient:
    return StudioClient(f"http://127.0.0.1:{served.port}", TOKEN)


@pytest.mark.slow
def test_the_address_that_the_studio_prints_will_do_as_it_is(gimp, served):
    assert TOKEN in served.address
    image = Image(below := layer())
    assert gimp.run(image, [below], address=served.address, size=32) == (Status.SUCCESS, "")


def test_a_layer_comes_back_painted_above_it_as_large_and_in_its_place(gimp, served):
    below, above = layer(), layer(name="above")
    image = Image(above, below)
    status = gimp.run(image, [below], style="dots", strength=0.6, **where(served))
    assert status == (Status.SUCCESS, "")
    assert [each.name for each in image.layers] == ["above", "photo/1 × dots", "photo/1"]
    made = image.layers[1]
    assert made.pixels.size == below.pixels.size
    assert made.pixels.tobytes() != below.pixels.tobytes()
    assert (made.offsets, made.mask) == ((5, 7), None)
    assert image.undo_groups == ["start", "end"]
    assert Image.alive == 1  # the one that was sent is gone
    assert gimp.texts[0] == "Painting by Impasto"
    assert gimp.texts[-1] == "end"
    job = client_of(served).jobs()[0]
    assert (job["settings"]["strength"], job["width"]) == (0.6, 32)


def test_a_painting_from_a_file_is_the_style_and_a_selection_shows_where(gimp, served, tmp_path):
    painting = tmp_path / "night.png"
    layer().pixels.save(painting)
    image = Image(below := layer())
    image.selected = True
    assert gimp.run(image, [below], style_file=File(str(painting)), **where(served)) == (Status.SUCCESS, "")
    assert image.layers[0].name == "photo/1 × night"
    assert image.layers[0].mask == "selection"


def test_the_button_cancels_the_job_in_the_studio(gimp, served):
    image = Image(below := layer())

    def press() -> None:
        if gimp.shares and Window.opened:
            Window.opened[-1].respond()

    gimp.on_events = press
    status, _ = gimp.run(image, [below], interactive=True, **where(served))
    assert status is Status.CANCEL
    assert len(image.layers) == 1
    client = client_of(served)
    assert ended(client, client.jobs()[0]["id"])["state"] == "cancelled"
    assert not Window.opened[-1].shown


def test_an_interactive_run_ends_with_its_window_closed(gimp, served):
    image = Image(below := layer())
    status, _ = gimp.run(image, [below], interactive=True, **where(served))
    assert status is Status.SUCCESS
    assert len(Window.opened) == 1
    assert not Window.opened[0].shown


def test_a_dialog_that_is_closed_sends_nothing(monkeypatch):
    gimp = installed(monkeypatch, Gimp3(accepted=False))
    image = Image(below := layer())
    status, _ = gimp.run(image, [below], interactive=True, address="http://127.0.0.1:9")
    assert status is Status.CANCEL


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"address": "http://127.0.0.1:9"}, "There is no studio at http://127.0.0.1:9"),
        ({"address": None}, "The address '' is none of a studio"),
        ({"address": "file:///etc/passwd"}, "is none of a studio: give one like http://127.0.0.1:8600."),
        ({"token": "wrong"}, "The studio asks for its token: log in."),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_leaves_the_image_as_it_was(gimp, served, arguments, told):
    image = Image(below := layer())
    status, message = gimp.run(image, [below], **where(served) | arguments)
    assert status is Status.EXECUTION_ERROR
    assert told in message
    assert message.endswith(".")
    assert image.layers == [below]
    assert Image.alive == 1


def test_a_job_that_fails_says_why(gimp, served):
    image = Image(below := layer(60, 2))  # too narrow for the network
    status, message = gimp.run(image, [below], **where(served))
    assert status is Status.EXECUTION_ERROR
    assert "px" in message


def test_several_layers_are_refused(gimp):
    status, message = gimp.run(Image(), [layer(), layer()])
    assert (status, message) == (Status.EXECUTION_ERROR, "2 layers are chosen: choose one.")


def test_the_token_goes_to_no_other_host(gimp):
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{server.server_port}/stolen")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *given: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        image = Image(below := layer())
        status, _ = gimp.run(image, [below], address=f"http://127.0.0.1:{server.server_port}", token=TOKEN)
        server.shutdown()
        thread.join()
    assert status is Status.EXECUTION_ERROR
    assert len(asked) == 1
    assert "/stolen" not in asked


def test_the_procedure_stands_in_the_menus_and_knows_every_style_and_colour(gimp, monkeypatch):
    procedure = gimp.procedure()
    assert (procedure.told["path"], procedure.told["types"]) == ("<Image>/Filters/Artistic", "RGB*, GRAY*")
    source = runpy.run_path(str(PLUG_IN))
    assert sorted(source["STYLES"]) == sorted(names())
    assert source["COLOURS"] == tuple(color.value for color in Color)
    monkeypatch.setenv("IMPASTO_TOKEN", "from the environment")
    assert gimp.procedure().arguments["token"] == "from the environment"


def test_it_needs_nothing_but_gimps_python():
    tree = ast.parse(PLUG_IN.read_text("utf-8"))
    imported = {
        name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    imported |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - {"gi"} <= sys.stdlib_module_names
    assert PLUG_IN.stat().st_mode & 0o111, "GIMP runs files that are executable alone"
