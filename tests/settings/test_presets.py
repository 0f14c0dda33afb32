import os
import re
import tomllib

import pytest

from impasto.cli import main
from impasto.errors import SettingsError
from impasto.settings import presets
from impasto.settings.settings import Settings

BUNDLED = ("balanced", "drawing", "faithful", "gatys-notebook", "painterly", "portrait", "print", "repainted", "sketch")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("IMPASTO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("IMPASTO_PRESETS", str(tmp_path / "mine"))


def put(name: str, toml: str) -> None:
    (folder := presets.folder()).mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(toml)


def wrong(arguments: list[str], capsys) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_the_presets_that_come_with_impasto_are_valid_described_and_different():
    assert tuple(presets.paths()) == BUNDLED
    found = {name: presets.load(name) for name in BUNDLED}
    assert all(preset.bundled and preset.description.endswith(".") for preset in found.values())
    settings = [Settings(**preset.knobs) for preset in found.values()]
    assert all(a != b for i, a in enumerate(settings) for b in settings[:i])


def test_presets_say_what_they_promise():
    default, settings = Settings(), {name: Settings(**presets.load(name).knobs) for name in BUNDLED}
    assert settings["balanced"] == default
    assert settings["sketch"].size < default.size
    assert settings["print"].size >= 4096
    faithful = settings["faithful"]
    assert (faithful.objective, faithful.init, faithful.pooling, faithful.scales) == ("gatys", "noise", "average", 1)
    assert faithful.padding == "zero"
    assert (faithful.content_weight, faithful.style_weight, faithful.content_layers) == (1e-3, 1, ("relu4_2",))


def test_your_own_preset_is_found_by_name_and_stands_in_front_of_impastos():
    put("night", "style-weight = 3\n")
    put("sketch", "size = 128\n")
    assert presets.load("night").knobs == {"style_weight": 3}
    assert presets.load("sketch").knobs == {"size": 128}
    assert not presets.load("sketch").bundled
    assert set(presets.paths()) == {*BUNDLED, "night"}


def test_your_own_folder_is_where_the_system_keeps_settings(monkeypatch, tmp_path):
    monkeypatch.delenv("IMPASTO_PRESETS")
    monkeypatch.setattr("platformdirs.user_config_dir", lambda name: str(tmp_path / "config" / name))
    assert presets.folder() == tmp_path / "config" / "impasto" / "presets"


def test_a_preset_can_be_any_toml_file(tmp_path):
    (tmp_path / "wild.toml").write_text('description = "Wild."\ncontent_weight = 0.01\n')
    preset = presets.load("wild.toml")
    assert (preset.name, preset.description, preset.knobs) == ("wild", "Wild.", {"content_weight": 0.01})


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("nice", "preset is 'nice', which isn't one: choose from balanced, drawing, "),
        ("balancd", "preset is 'balancd', which isn't one: did you mean 'balanced'?"),
        ("none.toml", "preset none.toml can't be read (No such file or directory): check the path."),
        ("../sketch", "preset is '../sketch', which isn't one"),
    ],
)
def test_an_unknown_preset_is_refused_with_the_nearest_or_the_known_ones(name, fault):
    with pytest.raises(SettingsError) as caught:
        presets.load(name)
    assert str(caught.value).startswith(fault)


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        (
            "stile-weight = 1",
            "--stile-weight is not a setting: did you mean --style-weight? (set by the preset 'mine').",
        ),
        ("size = 3", "--size is 3 but should be greater than or equal to 16 (set by the preset 'mine')."),
        ("description = 3", "--preset "),
        ("size = 64\nsize = 65", "--preset "),
        ("style-weight = 1\nstyle_weight = 2", "--preset "),
    ],
)
def test_a_wrong_preset_is_refused_before_anything_is_painted(toml, fault, capsys):
    put("mine", toml)
    assert wrong(["paint", "photo.png", "brush.png", "--preset", "mine"], capsys).startswith(f"impasto: {fault}")
    assert wrong(["presets", "show", "mine"], capsys).startswith(f"impasto: {fault}")
    assert main(["presets"]) == 0
    assert re.search(r"^mine +BROKEN: ", capsys.readouterr().out, re.MULTILINE)


def test_the_list_has_every_preset_with_its_line_and_says_which_are_yours(capsys):
    put("night", 'description = "Dark."\nsize = 64\n')
    assert main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(BUNDLED) + 1]] == sorted([*BUNDLED, "night"])
    assert lines[sorted([*BUNDLED, "night"]).index("night")].endswith("Dark. (yours)")
    assert lines[-1] == f"Yours: {presets.folder()}"


def test_a_saved_preset_gives_the_settings_it_was_saved_with(capsys, tmp_path, monkeypatch):
    (tmp_path / "start.png").write_bytes(b"")
    (tmp_path / "base.toml").write_text("tv-weight = 0.5\nepochs = 4\n")
    monkeypatch.setenv("IMPASTO_SEED", "9")
    arguments = ["--preset", "sketch", "--config", "base.toml", "--epochs", "3", "--init", "start.png"]
    arguments += ["--style-layers", "relu1_1, relu2_1", "--description", 'Says "hi" \\ ü\n']
    assert main(["presets", "save", "night", *arguments]) == 0
    assert capsys.readouterr().out == f"{presets.folder() / 'night.toml'}\n"
    preset = presets.load("night")
    assert preset.description == 'Says "hi" \\ ü\n'
    sketch = presets.load("sketch").knobs
    changed = {"epochs": 3, "tv_weight": 0.5, "init": str(tmp_path / "start.png")}
    assert Settings(**preset.knobs) == Settings(**sketch | changed | {"style_layers": ("relu1_1", "relu2_1")})
    assert main(["presets", "show", "night"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["steps-per-epoch"] == sketch["steps_per_epoch"]


def test_a_saved_preset_finds_its_files_from_any_folder(tmp_path):
    files = ["--mask", "left.png,rest", "--style-mask", "all,part.png", "--init", "start.png", "--weights", "vgg.pth"]
    assert main(["presets", "save", "night", *files]) == 0
    assert Settings(**presets.load("night").knobs) == Settings(
        mask=(str(tmp_path / "left.png"), "rest"), style_mask=("all", str(tmp_path / "part.png")),
        init=str(tmp_path / "start.png"), weights=str(tmp_path / "vgg.pth"),
    )  # fmt: skip
    assert main(["presets", "save", "noisy", "--init", "noise", "--weights", "torchvision"]) == 0
    assert presets.load("noisy").knobs == {"init": "noise", "weights": "torchvision"}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            ["sketch", "--size", "64"],
            "The preset 'sketch' comes with impasto: choose another name, or set --overwrite.",
        ),
        (["night", "--size", "64"], "The preset 'night' is in "),
        (["a/b", "--size", "64"], "The preset's name is 'a/b': use letters, digits, - and _ only."),
        (["new"], "No setting is given for the preset 'new': name at least one, such as --size 768."),
        (["new", "--size", "3"], "--size is '3' but should be"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_nothing_is_replaced(arguments, fault, capsys):
    put("night", "size = 32\n")
    assert wrong(["presets", "save", *arguments], capsys).startswith(f"impasto: {fault}")
    assert presets.load("night").knobs == {"size": 32}
    assert not (presets.folder() / "sketch.toml").exists()


def test_a_preset_is_replaced_when_asked_to(capsys):
    put("night", "size = 32\n")
    assert main(["presets", "save", "night", "--size", "64", "--overwrite"]) == 0
    assert presets.load("night").knobs == {"size": 64}
    assert main(["presets", "save", "sketch", "--size", "64", "--overwrite"]) == 0
    assert presets.load("sketch").knobs == {"size": 64}


def test_every_kind_of_value_survives_toml():
    values = {"a": 1, "b": 0.1 + 0.2, "c": 1e-12, "d": 3e11, "e": True, "f": ["x", "y"], "g": [1.5, 2.0], "h": ()}
    values |= {"i": 'C:\\new "folder"\t\x7f\U0001f58c', "j": -0.0, "k": 2**62}
    assert tomllib.loads(presets.to_toml(values)) == values | {"h": []}
