import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import plan_of, tiny_weights
from impasto.cli import knobs, main, outputs
from impasto.cli.app import SUMMARIES, app
from impasto.cli.progress import Lines, following
from impasto.cli.recipes import differences
from impasto.cli.terminal import duration
from impasto.errors import DivergedError, ImpastoError, SettingsError
from impasto.images import reading, writing
from impasto.jobs import planning, style_scale
from impasto.jobs.recipe import InputFile, Recipe
from impasto.jobs.stylization import Stylization
from impasto.network import weights
from impasto.report import figure
from impasto.run.events import EpochDone, Finished, ScaleDone, Started, Stepped
from impasto.run.remaining import most_steps, seconds_left, share_done
from impasto.run.stop_rules import StopReason, StopRules
from impasto.settings import presets
from impasto.settings.settings import Settings

REAL_LOAD = weights.load
SHALLOW = ("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_2", "--device", "cpu")
QUICK = ("--size", "48", "--scales", "1", "--epochs", "2", "--steps-per-epoch", "1", *SHALLOW)

TYPED = {
    "size": ("48", 48),
    "objective": ("gatys", "gatys"),
    "strength": ("0.8", 0.8),
    "style_loss": ("gram", "gram"),
    "content_loss": ("self-similarity", "self-similarity"),
    "style_scale": ("2", 2.0),
    "mask_erosion": ("true", True),
    "mask": ("sky.png,rest", ("sky.png", "rest")),
    "style_mask": ("all,part.png", ("all", "part.png")),
    "strength_map": ("map.png", "map.png"),
    "guard": ("faces", "faces"),
    "content_weight": ("0.25", 0.25),
    "style_weight": ("7", 7.0),
    "style_weights": ("2,1", (2.0, 1.0)),
    "content_layers": ("relu3_2,relu4_2", ("relu3_2", "relu4_2")),
    "style_layers": ("relu1_1, relu2_1", ("relu1_1", "relu2_1")),
    "content_layer_weights": ("3", (3.0,)),
    "layer_weights": ("1,2,3,4", (1.0, 2.0, 3.0, 4.0)),
    "color": ("keep", "keep"),
    "tv_weight": ("1e-3", 0.001),
    "pooling": ("average", "average"),
    "padding": ("zero", "zero"),
    "weights": ("vgg.safetensors", "vgg.safetensors"),
    "optimizer": ("adam", "adam"),
    "learning_rate": ("0.1", 0.1),
    "epochs": ("3", 3),
    "steps_per_epoch": ("4", 4),
    "scales": ("2", 2),
    "step_ratio": ("1.5", 1.5),
    "detail": ("0.5", 0.5),
    "negligible": ("0.02", 0.02),
    "stop_gain": ("0.01", 0.01),
    "until": ("90", 90.0),
    "init": ("noise", "noise"),
    "init_noise": ("0.3", 0.3),
    "max_memory": ("3GB", "3GB"),
    "scratch": ("/var/tmp", "/var/tmp"),
    "tile": ("256", 256),
    "history": ("7", 7),
    "seed": ("9", 9),
    "device": ("cuda:1", "cuda:1"),
    "engine": ("torch", "torch"),
    "threads": ("3", 3),
    "precision": ("bfloat16", "bfloat16"),
    "compile": ("true", True),
    "keep_exif": ("true", True),
    "keep_gps": ("true", True),
    "max_pixels": ("1000", 1000),
}
"""What may be typed for each knob and what it has to become: a new knob needs its line here."""

BESIDE = {"learning_rate": {"optimizer": "adam"}}
"""What else has to be set where a knob alone would be idle."""


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    """An empty folder to work in, no IMPASTO_… variables, and a network that runs in milliseconds."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(knobs.PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("IMPASTO_PRESETS", str(tmp_path / "presets"))
    monkeypatch.setattr(figure, "DPI", 40)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (36, 48, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png")
    return "photo.png"


@pytest.fixture
def brush(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "brush.png")
    return "brush.png"


@pytest.fixture
def settings_of(photo, brush, monkeypatch):
    """The settings that `impasto paint photo brush ARGUMENTS` comes to."""
    seen = []

    def stop(self, content, styles, settings, **_):
        seen.append(settings)
        raise ImpastoError("stopped by the test")

    monkeypatch.setattr(Stylization, "__init__", stop)

    def run(*arguments: str) -> Settings:
        assert main(["paint", photo, brush, *arguments]) == 1
        return seen.pop()

    return run


def one_sentence(capsys) -> str:
    """What was said on stderr, where that is one line and stdout is empty."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("impasto: ")
    assert err.count("\n") == 1, err
    return err.removeprefix("impasto: ").rstrip("\n")


def beside(knob: str) -> list[str]:
    return [word for other, value in BESIDE.get(knob, {}).items() for word in (f"--{other}", value)]


def pixels_of(path) -> bytes:
    with PIL.Image.open(path) as image:
        return image.tobytes()


def test_every_knob_has_a_flag_that_is_tried_here():
    assert TYPED.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize("knob", Settings.model_fields)
def test_a_flag_reaches_its_setting_and_changes_nothing_else(knob, settings_of):
    text, value = TYPED[knob]
    flag = f"--{knob.replace('_', '-')}"
    typed = [flag] if value is True else [flag, text]
    assert settings_of(*typed, *beside(knob)) == Settings(**{knob: value}, **BESIDE.get(knob, {}))
    assert getattr(Settings(), knob) != value


@pytest.mark.thin(4)
@pytest.mark.parametrize("knob", Settings.model_fields)
def test_a_variable_reaches_its_setting(knob, settings_of, monkeypatch):
    text, value = TYPED[knob]
    monkeypatch.setenv(f"IMPASTO_{knob.upper()}", text)
    assert settings_of(*beside(knob)) == Settings(**{knob: value}, **BESIDE.get(knob, {}))


@pytest.mark.thin(4)
@pytest.mark.parametrize("knob", Settings.model_fields)
def test_a_line_of_toml_reaches_its_setting(knob, settings_of, tmp_path):
    _, value = TYPED[knob]
    toml = json.dumps(list(value) if isinstance(value, tuple) else value)
    (tmp_path / "mine.toml").write_text(f"{knob.replace('_', '-')} = {toml}\n")
    assert settings_of("--config", "mine.toml", *beside(knob)) == Settings(**{knob: value}, **BESIDE.get(knob, {}))


SKETCH = presets.load("sketch").knobs


def test_a_preset_reaches_the_settings_by_name_and_as_a_file(settings_of, tmp_path):
    for name in presets.paths():
        assert settings_of("--preset", name) == Settings(**presets.load(name).knobs)
    (tmp_path / "mine.toml").write_text('description = "Mine."\nsize = 99\n')
    assert settings_of("--preset", "mine.toml") == settings_of("--config", "mine.toml") == Settings(size=99)


PLACES = {"flag": "100", "environment": "101", "file": "102", "preset": str(SKETCH["size"])}


@pytest.mark.parametrize(("stronger", "weaker"), [(a, b) for i, a in enumerate(PLACES) for b in list(PLACES)[i + 1 :]])
def test_a_stronger_place_beats_a_weaker_one(stronger, weaker, settings_of, tmp_path, monkeypatch):
    used, arguments = (stronger, weaker), []
    if "flag" in used:
        arguments += ["--size", PLACES["flag"]]
    if "environment" in used:
        monkeypatch.setenv("IMPASTO_SIZE", PLACES["environment"])
    if "file" in used:
        (tmp_path / "mine.toml").write_text(f"size = {PLACES['file']}\n")
        arguments += ["--config", "mine.toml"]
    if "preset" in used:
        arguments += ["--preset", "sketch"]
    assert settings_of(*arguments).size == int(PLACES[stronger])


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        (
            ["--objective", "gatys", "--strength", "0.5"],
            "--objective is 'gatys', the paper's losses, but --strength is 0.5",
        ),
        (
            ["--learning-rate", "0.02"],
            "--optimizer is 'lbfgs', which finds its steps itself, but --learning-rate is 0.02",
        ),
        (
            ["--scales", "1", "--step-ratio", "0.6"],
            "--scales is 1, so there is no coarser one, but --step-ratio is 0.6",
        ),
        (["--scales", "1", "--detail", "auto"], "--scales is 1, so there is no coarser one, but --detail is auto"),
    ],
)
def test_a_flag_that_would_do_nothing_is_refused_also_where_it_says_what_is_so_by_default(
    typed, fault, photo, brush, capsys
):
    assert main(["paint", photo, brush, *typed]) == 2
    assert one_sentence(capsys) == f"{fault}: drop one."


def test_settings_of_a_preset_and_the_environment_that_do_nothing_beside_a_flag_give_way(
    settings_of, tmp_path, monkeypatch
):
    monkeypatch.setenv("IMPASTO_STRENGTH", "0.5")
    (tmp_path / "mine.toml").write_text("learning-rate = 0.02")
    assert settings_of("--objective", "gatys", "--preset", "mine.toml").objective == "gatys"


def test_knobs_from_all_places_come_together(settings_of, tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text("style_weights = '2,1'\nstyle-weight = 3\n")
    monkeypatch.setenv("IMPASTO_SEED", "5")
    monkeypatch.setenv("IMPASTO_EPOCHS", "")
    merged = settings_of("--config", "mine.toml", "--preset", "sketch", "--tv-weight", "0.5")
    assert merged == Settings(**SKETCH, style_weights=(2, 1), style_weight=3, seed=5, tv_weight=0.5)


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        ("siz = 3", "--siz is not a setting: did you mean --size? (set by mine.toml)."),
        ("size = 3", "--size is 3 but should be greater than or equal to 16 (set by mine.toml)."),
        ("style-weight = 1\nstyle_weight = 2", "--config mine.toml sets style_weight twice"),
        ("size =", "--config mine.toml is not TOML"),
    ],
)
def test_a_wrong_config_file_is_refused_in_a_sentence_that_names_it(toml, fault, photo, brush, capsys, tmp_path):
    (tmp_path / "mine.toml").write_text(toml)
    assert main(["paint", photo, brush, "--config", "mine.toml"]) == 2
    assert one_sentence(capsys).startswith(fault)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--size", "3"], "--size is '3' but should be"),
        (["--size", "abc"], "--size is 'abc' but should be"),
        (["--syze", "3"], "Unknown option: --syze. Did you mean --size?"),
        (["--size"], "impasto paint needs a value for --size: longest side of the output"),
        (["--style-weights", "1,,2"], "--style-weights is '' but should be"),
        (["--style-weights", "1,2"], "--style-weights has 2 values for 1 styles"),
        (["--style-layers", "relu9_1"], "--style-layers names 'relu9_1', which VGG19 doesn't have"),
        (["--preset", "best"], "--preset is 'best', which isn't one: choose from"),
        (["--config", "none.toml"], "--config none.toml can't be read (No such file or directory)"),
        (["--snapshots", "1,x"], "--snapshots is '1,x' but should be epochs"),
        (["--snapshots", "11"], "--snapshots names epoch 11 but the run has epochs 1 to 10."),
        (["-o", "photo.png", "--overwrite"], "'photo.png' is one of the inputs"),
        (["--report", "brush.png", "--overwrite"], "'brush.png' is one of the inputs"),
        (["-o", "a.png", "--report", "a.png"], "'a.png' would be written twice"),
        (["-o", "a.png", "--report", "none/../a.png"], "'none/../a.png' would be written twice"),
        (["--report", "none/../photo.png", "--overwrite"], "'none/../photo.png' is one of the inputs"),
        (
            ["-o", "a.png", "--size", "16", "--scales", "1", "--style-layers", "relu5_1"],
            "--size is 16, which makes the picture 16×12",
        ),
    ],
)
def test_wrong_use_ends_in_one_sentence_and_code_2(arguments, fault, photo, brush, capsys):
    assert main(["paint", photo, brush, *arguments]) == 2
    assert one_sentence(capsys).startswith(fault)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["none.png", "brush.png"], "'none.png' doesn't exist"),
        (["none/photo.png", "brush.png"], "'none/photo.png' doesn't exist"),
        (["photo.png", "watercolor"], "'watercolor' is neither a file nor a swatch: did you mean the swatch"),
        (["photo.png", "brush.png", "-o", "a.gif"], "'a.gif' ends in '.gif'"),
        (["photo.png", "brush.png", "-o", "none/a.png"], "'none/a.png' is in a folder that doesn't exist"),
        (["photo.png", "brush.png", "--report", "a.gif"], "'a.gif' is not a figure's name"),
        (["photo.png", "brush.png", "--report", "none/a.png"], "'none/a.png' can't be written"),
        (["photo.png", "brush.png", "-o", "a.webp", "--size", "20000"], "'a.webp' can hold 16383 pixels a side"),
    ],
)
def test_what_cannot_work_ends_in_one_sentence_and_code_1(arguments, fault, photo, brush, capsys):
    assert main(["paint", *arguments]) == 1
    assert one_sentence(capsys).startswith(fault)


@pytest.mark.parametrize("length", [248, 251, 252, 300])
def test_a_name_that_is_too_long_is_refused_before_the_run_or_is_written(length, photo, brush, capsys):
    """The run's folder has four bytes more than the picture, which may have 255."""
    name = "ä" * ((length - 4) // 2) + "a" * ((length - 4) % 2) + ".png"
    assert len(name.encode()) == length
    expected = 0 if length <= 251 else 1
    assert main(["paint", photo, brush, *QUICK, "-o", name, "--quiet"]) == expected
    if expected:
        assert "bytes, more than the 255 that a file's name can have: give a shorter one" in one_sentence(capsys)
    for again in ("--overwrite", "--resume"):
        without = [*QUICK, "-o", name, "--quiet", "--checkpoint", "off", again]
        assert main(["paint", photo, brush, *without]) == (0 if length <= 255 else 1)


def test_two_long_names_make_a_picture_of_a_name_that_fits_with_all_beside_it(photo, brush, capsys):
    long = ["ä" * 120 + ".png", "é" * 120 + ".png"]
    for name, path in zip(long, (photo, brush), strict=True):
        shutil.copy(path, name)
    assert main(["paint", *long, *QUICK, "--snapshots", "1", "--quiet"]) == 0
    picture, snapshot = capsys.readouterr().out.splitlines()
    assert Path(picture).exists()
    assert Path(snapshot).name == f"{Path(picture).stem}_epoch-01.png"
    assert main(["texture", long[1], "--size", "32", *QUICK[2:4], "--epochs", "1", "--quiet"]) == 0
    assert main(["rerun", picture, "--quiet"]) == 0


def test_two_faults_are_two_sentences(photo, brush, capsys):
    assert main(["paint", photo, brush, "--size", "3", "--epochs", "0"]) == 2
    assert [line[:16] for line in capsys.readouterr().err.splitlines()] == ["impasto: --size ", "impasto: --epoch"]


@pytest.mark.parametrize("arguments", [["paint"], ["paint", "photo.png"], ["pant"], ["inspect"]])
def test_a_missing_or_unknown_word_is_wrong_use(arguments, capsys):
    assert main(arguments) == 2
    one_sentence(capsys)


def test_painting_writes_beside_the_photo_and_prints_the_path_and_plain_progress(photo, brush, capsys, tmp_path):
    assert main(["paint", photo, brush, *QUICK]) == 0
    out, err = capsys.readouterr()
    assert out == "photo_brush_impasto.png\n"
    *progress, last = err.splitlines()
    assert [line.split("  loss")[0] for line in progress] == [
        "epoch 1/2  scale 1/1 48×36  step 1/2",
        "epoch 2/2  scale 1/1 48×36  step 2/2",
    ]
    assert re.fullmatch(r"impasto: 2 steps in .+ m?s\.", last)
    assert "0.0 s left" in progress[-1]
    with PIL.Image.open(tmp_path / "photo_brush_impasto.png") as image:
        assert image.size == (48, 36)


@pytest.mark.parametrize("steps", ["1", "3"])
def test_the_last_loss_that_is_shown_is_that_of_the_picture(steps, photo, brush, capsys):
    command = ["paint", photo, brush, *QUICK[:6], "--steps-per-epoch", steps, *SHALLOW, "--report", "run.png"]
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    loss = json.loads(out)["loss"]
    assert f"loss {loss:.4g}  " in err.splitlines()[-2]
    measured = json.loads(Path("run.json").read_text())["loss"]
    assert measured["last"] == loss < 0.95 * measured["first"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_ends_with_the_loss_of_the_picture(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with redirect_stderr(Terminal()) as shown, following(epochs=1, quiet=False) as show:
        show(Started(plan_of(((36, 48), 1)), "cpu"))
        show(Stepped(1, 1, 1, (36, 48), 1.295, {}, 0.1, lambda: torch.zeros(1), taken=(1,)))
        show(Finished(torch.zeros(1, 3, 36, 48), 0.179, {}, 1, 0.2))
    *_, last = re.findall(r"loss \S+", shown.getvalue())
    assert last == "loss 0.179"


def test_nothing_is_overwritten_without_being_told(photo, brush, capsys, tmp_path):
    target = tmp_path / "photo_brush_impasto.png"
    target.write_bytes(b"mine")
    assert main(["paint", photo, brush, *QUICK]) == 1
    assert one_sentence(capsys).startswith("'photo_brush_impasto.png' already exists")
    assert target.read_bytes() == b"mine"
    for taken in ("a_epoch-02.png", "figure.pdf", "figure.json"):
        (tmp_path / taken).write_bytes(b"mine")
        arguments = ["-o", "a.png", "--snapshots", "2", "--report", "figure.pdf"]
        assert main(["paint", photo, brush, *QUICK, *arguments]) == 1
        assert one_sentence(capsys).startswith(f"'{taken}' already exists")
        (tmp_path / taken).unlink()
    assert main(["paint", photo, brush, *QUICK, "--overwrite", "--quiet"]) == 0
    assert target.read_bytes() != b"mine"


def test_a_hard_link_to_an_input_is_an_input(photo, brush, capsys, tmp_path):
    (tmp_path / "link.png").hardlink_to(tmp_path / photo)
    assert main(["paint", photo, brush, "-o", "link.png", "--overwrite"]) == 2
    assert one_sentence(capsys).startswith("'link.png' is one of the inputs")


def test_json_is_all_there_is_on_stdout(photo, brush, capsys):
    arguments = ["--json", "--quiet", "--snapshots", "1", "--report", "figure.png"]
    assert main(["paint", photo, brush, *QUICK, *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    result = json.loads(out)
    assert result["output"] == "photo_brush_impasto.png"
    assert result["report"] == "figure.png"
    assert result["snapshots"] == ["photo_brush_impasto_epoch-01.png"]
    assert result["size"] == {"width": 48, "height": 36}
    assert result["loss"] == pytest.approx(sum(result["parts"].values()))
    assert (result["steps"], result["finished"]) == (2, True)
    assert Settings(**result["settings"]).size == 48
    with PIL.Image.open("figure.png") as figure:
        assert min(figure.size) > 100
    assert json.loads(Path("figure.json").read_text())


def test_snapshots_have_the_size_of_the_result_and_no_recipe(photo, brush, tmp_path):
    size = ["--size", "64", "--scales", "2", "--epochs", "4", "--steps-per-epoch", "1", "--quiet"]
    assert main(["paint", photo, brush, *size, *SHALLOW, "--snapshots", "4,1", "-o", "a.png"]) == 0
    assert {path.name for path in tmp_path.glob("a*")} == {"a.png", "a_epoch-01.png", "a_epoch-04.png"}
    for name in ("a.png", "a_epoch-01.png", "a_epoch-04.png"):
        with PIL.Image.open(tmp_path / name) as image:
            assert image.size == (64, 48)
        assert (reading.read_note(name) is None) == (name != "a.png")
    assert pixels_of("a_epoch-01.png") != pixels_of("a_epoch-04.png")


def test_several_styles_are_joined_in_the_name_and_a_swatch_is_one(photo, brush, capsys):
    assert main(["paint", photo, brush, "woodcut", *QUICK, "--quiet", "--style-weights", "1,3"]) == 0
    assert capsys.readouterr() == ("photo_brush+woodcut_impasto.png\n", "")


def test_no_metadata_leaves_the_recipe_out(photo, brush, capsys):
    assert main(["paint", photo, brush, *QUICK, "--quiet", "--no-metadata", "-o", "a.png"]) == 0
    capsys.readouterr()
    assert main(["inspect", "a.png"]) == 1
    assert one_sentence(capsys).startswith("a.png carries no impasto recipe")


def test_inspect_tells_the_recipe_and_rerun_repeats_the_picture_to_the_bit(photo, brush, capsys, tmp_path):
    assert main(["paint", photo, brush, *QUICK, "--quiet", "--init", "noise", "-o", "a.png"]) == 0
    capsys.readouterr()
    assert main(["inspect", "a.png", "--json"]) == 0
    recipe = json.loads(capsys.readouterr().out)
    assert recipe["content"]["path"] == photo
    assert recipe["settings"]["init"] == "noise"
    assert main(["inspect", "a.png"]) == 0
    assert recipe["content"]["sha256"] in capsys.readouterr().out

    assert main(["rerun", "a.png"]) == 0
    out, err = capsys.readouterr()
    assert out == "a_rerun.png\n"
    assert "here and was" not in err
    assert pixels_of("a_rerun.png") == pixels_of("a.png")
    assert reading.read_note("a_rerun.png") == reading.read_note("a.png")


def test_rerun_finds_moved_inputs_by_option_and_refuses_others(photo, brush, capsys, tmp_path):
    assert main(["paint", photo, brush, *QUICK, "--quiet", "-o", "a.png"]) == 0
    for name in (photo, brush):
        shutil.move(tmp_path / name, tmp_path / f"moved_{name}")
    capsys.readouterr()
    assert main(["rerun", "a.png"]) == 1
    assert one_sentence(capsys) == (
        "The picture was painted from 'photo.png', which is neither where it was, beside it nor here: give its folder "
        "with --inputs."
    )
    assert main(["rerun", "a.png", "--content", "moved_photo.png", "--style", "moved_photo.png"]) == 1
    assert one_sentence(capsys).startswith("The style image")
    moved = ["--content", "moved_photo.png", "--style", "moved_brush.png", "--quiet", "-o", "b.png"]
    assert main(["rerun", "a.png", *moved]) == 0
    assert pixels_of("b.png") == pixels_of("a.png")
    assert main(["rerun", "a.png", *moved[:-1], "moved_photo.png", "--overwrite"]) == 2


def test_rerun_says_what_is_different_here_and_how_to_have_it_the_same():
    nothing = InputFile("photo", None, "0")
    then = Recipe("0.1.0", {}, nothing, (), None, "0", "2.12.0", 4, "x86_64 AVX2")
    now = Recipe("0.1.0", {}, nothing, (), None, "0", "2.13.0", 2, "x86_64 AVX2")
    assert differences(then, then) == []
    (torch_differs,) = differences(then, now)
    assert torch_differs.endswith("pip install torch==2.12.0 for the same to the bit.")
    coarse = replace(then, settings={"precision": "bfloat16"})
    (precision_differs,) = differences(coarse, then)
    assert precision_differs == (
        "The precision is float32 here and was bfloat16 then, so the picture may differ a little: run where "
        "--precision bfloat16 works, see impasto doctor for the same to the bit."
    )


def test_a_diverged_run_leaves_its_last_good_picture_and_code_1(photo, brush, capsys, monkeypatch):
    paint = Stylization.events

    def diverge(self):
        for event in paint(self):
            yield event
            if isinstance(event, EpochDone):
                raise DivergedError("The loss became nan", picture=event.picture)

    monkeypatch.setattr(Stylization, "events", diverge)
    assert main(["paint", photo, brush, *QUICK, "--quiet", "-o", "a.png"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "impasto: The loss became nan.\nimpasto: The last good picture is 'a.png'.\n"
    assert len(pixels_of("a.png")) == 48 * 36 * 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interruption_saves_the_newest_picture_without_recipe(
    number, code, photo, brush, capsys, monkeypatch, request
):
    usual = signal.signal(number, signal.default_int_handler)  # whatever nohup or a shell had made of it
    request.addfinalizer(lambda: signal.signal(number, usual))
    paint = Stylization.events

    def interrupt(self):
        for event in paint(self):
            if isinstance(event, Stepped):
                os.kill(os.getpid(), number)
            yield event

    monkeypatch.setattr(Stylization, "events", interrupt)
    assert main(["paint", photo, brush, *QUICK, "--json", "--report", "figure.png"]) == code
    assert signal.getsignal(number) is signal.default_int_handler
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["finished"], result["steps"], result["report"]) == (False, 1, None)
    assert result["run"] == "photo_brush_impasto.png.run"
    assert err == (
        "impasto: Interrupted at step 1: the picture so far is 'photo_brush_impasto.png'; "
        "go on with impasto resume photo_brush_impasto.png.run.\n"
    )
    assert pixels_of(result["output"]) != pixels_of(photo)
    assert reading.read_note(result["output"]) is None


def test_an_interruption_before_the_first_step_writes_nothing(photo, brush, capsys, monkeypatch, tmp_path):
    def interrupt(self):
        os.kill(os.getpid(), signal.SIGINT)
        yield Started(plan_of(((36, 48), 2)), "cpu")

    monkeypatch.setattr(Stylization, "events", interrupt)
    assert main(["paint", photo, brush, *QUICK]) == 130
    assert one_sentence(capsys).startswith("Interrupted before there was a picture")
    assert {path.name for path in tmp_path.iterdir()} == {photo, brush}


def test_a_second_interruption_quits_at_once(photo, brush, monkeypatch, tmp_path):
    def interrupt(self):
        yield Started(plan_of(((36, 48), 2)), "cpu")
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on after two interruptions")

    monkeypatch.setattr(Stylization, "events", interrupt)
    with pytest.raises(SystemExit) as quitting:
        main(["paint", photo, brush, *QUICK])
    assert quitting.value.code == 130
    assert {path.name for path in tmp_path.iterdir()} == {photo, brush}


def test_transparency_is_kept(brush, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (36, 48, 4), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png")
    assert main(["paint", "photo.png", brush, *QUICK, "--quiet", "--snapshots", "1", "-o", "a.png"]) == 0
    for name in ("a.png", "a_epoch-01.png"):
        with PIL.Image.open(name) as image:
            assert np.array_equal(np.asarray(image)[..., 3], pixels[..., 3])


@pytest.mark.slow
def test_swatches_are_listed_written_and_shown_on_a_sheet(capsys):
    assert main(["swatches"]) == 0
    assert "woodcut " in capsys.readouterr().out
    assert main(["swatches", "--write", "woodcut", "--size", "40", "--sheet", "all.png"]) == 0
    assert capsys.readouterr().out == "woodcut.png\nall.png\n"
    with PIL.Image.open("woodcut.png") as image:
        assert image.size == (40, 40)
    assert main(["swatches", "--write", "woodcut"]) == 1
    assert one_sentence(capsys).startswith("'woodcut.png' already exists")
    assert main(["swatches", "--write", "woodcat", "-o", "b.png"]) == 2
    assert one_sentence(capsys) == "'woodcat' is not a swatch: did you mean 'woodcut'?"
    assert main(["swatches", "--size", "40"]) == 2
    assert main(["swatches", "-o", "b.png"]) == 2


def test_weights_are_listed_verified_and_converted(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    assert main(["weights", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["embedded"]["available"]
    assert not listed["torchvision"]["available"]
    assert main(["weights", "list"]) == 0
    assert "not here" in capsys.readouterr().out
    assert main(["weights", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"] == listed["embedded"]["sha256"]
    assert main(["weights", "verify", "torchvision"]) == 1
    one_sentence(capsys)
    assert main(["weights", "convert", "embedded", "vgg.pth"]) == 1
    one_sentence(capsys)


def test_weights_are_downloaded_where_a_run_needs_them(photo, brush, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    fetched = []
    monkeypatch.setattr(weights, "download", lambda source, **_: fetched.append(source))
    assert main(["paint", photo, brush, *QUICK, "--weights", "torchvision"]) == 0
    assert fetched == ["torchvision"]
    assert capsys.readouterr().err.startswith("impasto: Downloading the weights 'torchvision'.\n")


@pytest.mark.parametrize("variable", ["IMPASTO_PRESETS", "IMPASTO_CACHE", "IMPASTO_STUDIO", "IMPASTO_TOKEN"])
def test_a_variable_that_sets_no_knob_is_none_to_any_command(variable, photo, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(variable, str(tmp_path / "anything"))
    assert main(["plan", str(photo), "--size", "64"]) == 0, capsys.readouterr().err


def test_doctor_tells_all_in_json_and_knows_what_is_broken(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "load", REAL_LOAD)
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert findings["ok"]
    assert findings["self_test"]["loss_after"] < 0.5 * findings["self_test"]["loss_before"]
    assert findings["self_test"]["seconds"] < 60
    assert findings["cache"]["writable"]
    assert findings["versions"]["torch"]
    monkeypatch.setenv("IMPASTO_WEIGHTS", "none.pth")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "BROKEN: The weights 'none.pth'" in out
    assert "Something is broken" in out


def test_demo_names_the_missing_package(capsys, monkeypatch):
    monkeypatch.setattr("impasto.cli.demo.find_spec", lambda name: None)
    assert main(["demo"]) == 1
    assert one_sentence(capsys) == "scikit-image is not installed: pip install 'impasto[demo]'"


def test_demo_leaves_the_picture_and_the_figure_and_replaces_its_own_when_told_to(capsys, monkeypatch):
    pytest.importorskip("skimage")
    tiny = Settings(size=64, epochs=1, steps_per_epoch=2, device="cpu")
    monkeypatch.setattr("impasto.cli.demo.SETTINGS", tiny)
    for more in ([], ["--overwrite"]):
        assert main(["demo", "--output-dir", "new/folder", "--quiet", *more]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "new/folder/impasto_demo.png",
            "new/folder/impasto_demo_figure.png",
            "new/folder/impasto_demo_figure.json",
        ]
    assert main(["demo", "--output-dir", "new/folder", "--quiet"]) == 1
    assert "'new/folder/impasto_demo.png' already exists" in one_sentence(capsys)


def test_time_left_counts_a_step_by_its_pixels():
    started = Started(plan_of(((10, 10), 6), ((20, 20), 2)), "cpu")
    steps = [stepped((1,)), stepped((6,)), stepped((6, 1)), stepped((6, 2))]
    assert [share_done(started, step) for step in steps] == [100 / 1400, 600 / 1400, 1000 / 1400, 1]


def stepped(taken: tuple[int, ...], seconds: float = 12.0) -> Stepped:
    """What tells how far a run is that took so many steps of each scale."""
    return Stepped(sum(taken), 1, len(taken), (10, 10), 1.0, {}, seconds, lambda: torch.zeros(1), taken=taken)


def test_steps_that_were_skipped_count_neither_as_done_nor_as_left():
    started = Started(plan_of(((10, 10), 6), ((20, 20), 2)), "cpu")
    assert share_done(started, stepped((2, 1))) == 600 / 1000
    assert most_steps(started, stepped((2, 1))) == 4
    assert most_steps(started, stepped((2,))) == 8
    assert seconds_left(started, stepped((2, 1))) == 8
    hurry = replace(started.plan, stops=StopRules(deadlines=(6.0, 15.0)))
    assert seconds_left(Started(hurry, "cpu"), stepped((2, 1))) == 3
    assert seconds_left(Started(hurry, "cpu"), stepped((2, 1), 16.0)) == 0


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (StopReason.GAIN, "the last ones gained less than 0.2 % of the loss each"),
        (StopReason.TIME, "its time was over"),
        (StopReason.REPEATED, "as many as then"),
    ],
)
def test_the_lines_of_a_run_say_why_a_scale_ended_early_and_count_what_was_taken(reason, why, capsys):
    lines, nothing = Lines(4), torch.zeros(1)
    plan = replace(plan_of(((36, 48), 8), ((72, 96), 4)), stops=StopRules(gain=0.002))
    lines.show(Started(plan, "cpu"))
    lines.show(stepped((5,)))
    for event in (EpochDone(1, nothing), EpochDone(2, nothing), ScaleDone(1, nothing, 5, 8, reason)):
        lines.show(event)
    lines.show(stepped((5, 4)))
    for event in (EpochDone(4, nothing), ScaleDone(2, nothing, 4, 4), Finished(nothing, 0.5, {}, 9, 13.0)):
        lines.show(event)
    told = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in told] == [
        "epoch 1/4",
        f"scale 1/2 ended after 5 of 8 steps: {why}",
        "epoch 4/4",
    ]
    assert "step 5/12" in told[0]
    assert told[2].split("  ")[2:] == ["step 9/9", "loss 0.5", "0.0 s left"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (12.4, "12 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_snapshot_epochs_are_sorted_and_named_once():
    assert outputs.parse_epochs("5, 1,5", 9) == (1, 5)
    with pytest.raises(SettingsError, match="names epoch 0"):
        outputs.parse_epochs("0,1", 9)


def run_impasto(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "impasto", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


@pytest.mark.parametrize("arguments", [["--help"], ["paint", "--help"], ["--version"]])
def test_help_and_version_answer_without_loading_torch(arguments):
    heavy = "{'torch', 'numpy', 'PIL', 'matplotlib'}"
    code = f"import sys, impasto.cli; impasto.cli.main({arguments}); sys.exit(str({heavy} & set(sys.modules) or ''))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert answer.stderr.strip() == ""
    assert answer.stdout


def test_the_list_of_commands_has_the_first_sentence_of_each_ones_help_and_loads_none():
    code = (
        "import sys, impasto.cli; impasto.cli.main(['--help']);"
        "sys.exit(' '.join(sorted(name for name in sys.modules if name.startswith('impasto.cli.'))))"
    )
    command, wide = [sys.executable, "-c", code], os.environ | {"COLUMNS": "200"}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=wide)
    assert answer.stderr.split() == [f"impasto.cli.{name}" for name in ("app", "error_text", "terminal")]
    for name, summary in SUMMARIES.items():
        assert re.search(rf"[ │]{name} +{re.escape(summary)} ", answer.stdout)
        assert " ".join(str(app[name].help).split()).startswith(summary)
    assert list(SUMMARIES) == [name for name in app if name not in ("--help", "-h", "--version")]


def test_the_list_of_commands_loads_nothing_that_another_program_with_commands_would_not():
    """So that it answers as soon as cyclopts can: what is ours is a few small modules, and signals."""
    end = "sys.exit(' '.join(sys.modules))"
    ours = f"import sys, impasto.cli; impasto.cli.main(['--help']); {end}"
    least = (
        "import sys, cyclopts; app = cyclopts.App(name='least', help='Least.', version='0');"
        f"app.command(lambda: None, name='a', help='A.'); app(['--help'], result_action='return_value'); {end}"
    )
    loaded: list[set[str]] = []
    for code in (ours, least):
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert "Commands" in answer.stdout
        loaded.append(set(answer.stderr.split()))
    more = {name for name in loaded[0] - loaded[1] if not name.startswith("impasto")}
    assert more <= {"__future__", "signal", "gc"}


def test_a_command_loads_no_other_one():
    code = "import sys, impasto.cli; impasto.cli.main(['plan', '--help']); sys.exit(' '.join(sys.modules))"
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert {name for name in SUMMARIES if f"impasto.cli.{name}" in answer.stderr.split()} == {"plan"}


def test_help_shows_every_knob_with_its_default_and_range():
    text = " ".join(run_impasto("paint", "--help-all", env=os.environ | {"COLUMNS": "200"}).stdout.split())
    for knob in Settings.model_fields:
        assert f"--{knob.replace('_', '-')} " in text
    assert "[from 16 to 65,536; default: 512]" in text
    assert "[gd, adam, lbfgs; default: lbfgs]" in text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_in_a_real_process_saves_and_exits_with_130(photo, brush, tmp_path):
    endless = ["--size", "48", "--scales", "1", "--epochs", "9999", "--steps-per-epoch", "1", *SHALLOW]
    command = [sys.executable, "-m", "impasto", "paint", photo, brush, *endless, "-o", "a.png"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, **pipes)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("epoch 1/9999")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == "a.png\n"
    assert err.splitlines()[-1].startswith("impasto: Interrupted at step")
    assert pixels_of(tmp_path / "a.png")
    assert (tmp_path / "a.png.run" / "state.safetensors").exists()
    with pytest.raises(ProcessLookupError):  # nobody is left of its session
        os.killpg(process.pid, 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_one_sentence():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "impasto", "presets"]
        answer = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert answer.stderr == (
        "impasto: The result can't be written to stdout (No space left on device): send it elsewhere.\n"
    )


def test_a_reader_that_goes_away_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "impasto", "presets"]
    answer = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(write)
    assert (answer.returncode, answer.stderr) == (1, "")


def test_plan_shows_scales_tiles_memory_and_time_and_follows_the_budget(photo, capsys):
    assert main(["plan", photo, "--size", "2048", "--max-memory", "60GB"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"size +2048×1536 px\n", out)
    assert re.search(r"engine +\w+, whole picture at once\n", out)
    assert re.search(r"memory +about [\d,]+ MB at the peak, of 60,000 MB allowed\n", out)
    assert re.search(r"time +about .+\n", out)
    assert main(["plan", photo, "--size", "2048", "--max-memory", "4GB", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tile"] < 2048
    assert found["peak_bytes"] <= found["budget_bytes"] == 4_000_000_000
    assert [scale["width"] for scale in found["scales"]] == [128, 256, 512, 1024, 2048]
    assert found["seconds"] > 1


def test_plan_shows_the_size_of_strokes_that_the_photo_chooses(photo, brush, monkeypatch, capsys):
    monkeypatch.setattr(style_scale, "nearest_style_scale", lambda *given: 1.41)

    def planned(*words: str) -> float:
        assert main(["plan", photo, *words, *QUICK, "--style-scale", "auto", "--json"]) == 0
        return json.loads(capsys.readouterr().out)["style_scale"]

    assert planned(brush) == 1.41
    assert planned("--style-weights", "1,2") == 1  # no style, so nothing to choose by
    assert main(["plan", photo, brush, *QUICK, "--style-scale", "auto"]) == 0
    assert "styles   1.41 times the picture's size\n" in capsys.readouterr().out


def test_plan_counts_the_time_that_styles_take_and_refuses_one_that_cannot_be_measured(
    photo, brush, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(planning, "measure_speed", lambda engine, layers: 1e-4)

    def seconds(*words: str) -> float:
        assert main(["plan", photo, *words, *QUICK, "--json"]) == 0
        return json.loads(capsys.readouterr().out)["seconds"]

    assert seconds(brush, brush) > seconds(brush) > 0
    assert seconds(brush, "--style-scale", "4") > 2 * seconds(brush)
    thin = tmp_path / "thin.png"
    PIL.Image.new("RGB", (2000, 2)).save(thin)
    assert main(["plan", photo, str(thin), *QUICK]) == 2
    assert "is 2000×2 px, but the layers need" in one_sentence(capsys)


def test_a_budget_that_is_too_small_is_wrong_use_and_says_how_much_it_takes(photo, brush, capsys):
    assert main(["paint", photo, brush, "--size", "4096", "--max-memory", "400MB"]) == 2
    assert "--size is 4096, which takes at least" in one_sentence(capsys)


@pytest.fixture
def in_files(tmp_path, monkeypatch):
    """Every run is planned as if memory were short."""
    from impasto.run import plan

    fitted = plan.fit_into_memory
    monkeypatch.setattr(plan, "fit_into_memory", lambda *a: replace(fitted(*a), folder=tmp_path, disk=12_000_000))


def test_plan_says_what_files_a_canvas_takes_and_where(photo, in_files, tmp_path, capsys):
    assert main(["plan", photo, *QUICK]) == 0
    assert f"disk     about 12 MB of files in {tmp_path} while it lasts" in capsys.readouterr().out
    assert main(["plan", photo, *QUICK, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["disk_bytes"], told["scratch"]) == (12_000_000, str(tmp_path))


def test_a_print_is_refused_before_painting_where_it_could_not_be_written(photo, brush, in_files, monkeypatch, capsys):
    monkeypatch.setattr(writing, "PRINT_PIXELS", 1000)
    assert main(["paint", photo, brush, *QUICK, "-o", "a.png"]) == 1
    assert "'a.png' would be held in memory whole, and 48×36 px are painted in files" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyvips", None)
    assert main(["paint", photo, brush, *QUICK, "-o", "a.tif"]) == 1
    assert "pip install 'impasto[print]'" in capsys.readouterr().err
    assert not Path("a.tif").exists()


def test_a_print_carries_the_recipe_that_paints_it_again(photo, brush, in_files, monkeypatch, capsys):
    pytest.importorskip("pyvips")
    monkeypatch.setattr(writing, "PRINT_PIXELS", 1000)
    assert main(["paint", photo, brush, *QUICK, "-o", "a.tif", "--scratch", os.curdir, "--quiet"]) == 0
    assert Path("a.tif").read_bytes()[:4] == b"II+\0"
    assert Recipe.from_json(reading.read_note("a.tif"), "a.tif").settings["scratch"] == "auto"
    assert main(["rerun", "a.tif", "--output", "b.tif", "--quiet"]) == 0
    assert torch.equal(reading.load("a.tif").pixels, reading.load("b.tif").pixels)


def test_a_scratch_that_is_no_folder_is_refused(photo, brush, capsys):
    assert main(["paint", photo, brush, *QUICK, "--scratch", "nowhere"]) == 2
    assert "--scratch is 'nowhere', which is no folder that can be written to" in capsys.readouterr().err


def test_a_style_of_few_pixels_is_mentioned_with_how_much_it_is_enlarged(photo, tmp_path, capsys):
    for name, size in {"speck": (24, 18), "small": (60, 80), "enough": (66, 48)}.items():
        PIL.Image.new("RGB", size, (200, 30, 90)).save(f"{name}.png")
    quick = [word for word in QUICK if word not in ("--size", "48")]

    def said(*arguments: str) -> str:
        assert main(["paint", photo, *arguments, *quick, "--overwrite"]) == 0
        return capsys.readouterr().err

    tiny = said("speck.png", "enough.png", "--size", "132")
    assert "speck.png' is 24×18 px, too small to show strokes, and is enlarged 5.5 times: give a larger file.\n" in tiny
    assert "enough.png' is" not in tiny
    assert (
        "small.png' is 60×80 px and is enlarged 2.1 times for this size, which makes its finest strokes soft: "
        "a larger file keeps them, or smaller strokes (--style-scale).\n"
    ) in said("small.png", "--size", "168")
    assert "enlarged 4.0 times" in said("speck.png", "--size", "48", "--style-scale", "2")
    assert "enlarged" not in said("speck.png", "dots", "--size", "48")
    assert said("speck.png", "--size", "132", "--quiet") == ""


def test_what_would_be_lost_is_said_in_a_line(photo, brush, tmp_path, capsys):
    PIL.Image.new("RGBA", (48, 36), (200, 30, 90, 128)).save("clear.png")
    PIL.Image.new("L", (48, 48), 255).save("square.png")
    frames = [PIL.Image.new("RGB", (48, 36), (n, 0, 0)) for n in (0, 90, 200)]
    frames[0].save("film.gif", save_all=True, append_images=frames[1:])
    frames[0].save("still.gif")

    def said(*arguments: str) -> str:
        assert main(["paint", *arguments, *QUICK, "--overwrite"]) == 0
        return capsys.readouterr().err

    assert "'a.bmp' can't carry the recipe" in said(photo, brush, "-o", "a.bmp")
    assert "can't carry" not in said(photo, brush, "-o", "a.bmp", "--no-metadata")
    assert "'a.jpg' can't be transparent: what is, is laid over white" in said("clear.png", brush, "-o", "a.jpg")
    assert "film.gif' has 3 frames, of which the first is painted" in said("film.gif", brush)
    assert "square.png' is 48×48 px and the content 48×36: it is stretched" in said(
        photo, brush, "--mask", "square.png"
    )
    assert "2 styles are blended: " in said(photo, brush, "still.gif")
    quiet = said(photo, "still.gif")
    assert not any(word in quiet for word in ("can't", "frames", "stretched", "blended"))
    assert said("film.gif", brush, "still.gif", "-o", "a.bmp", "--quiet") == ""


def test_a_misspelt_variable_is_refused_with_the_nearest_one(photo, brush, monkeypatch, capsys):
    monkeypatch.setenv("IMPASTO_STRENGHT", "0.3")
    assert main(["paint", photo, brush, *QUICK]) == 2
    assert one_sentence(capsys) == (
        "The environment's IMPASTO_STRENGHT is not a setting: did you mean IMPASTO_STRENGTH?"
    )
