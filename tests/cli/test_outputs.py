"""What a run will write is checked before it begins."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import plan_of
from impasto.cli.outputs import Outputs, SheetOutputs, default_picture, parse_epochs, parse_every
from impasto.errors import ImageError, SettingsError
from impasto.images import writing
from impasto.settings.settings import Settings
from impasto.storage.files import longest_name


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_default_name_has_at_most_100_bytes_of_each_of_its_two():
    found = default_picture(Path("c" * 120 + ".png"), ["s" * 60 + ".png", "t" * 60 + ".png"])
    assert found.name == f"{'c' * 100}_{'s' * 60}+{'t' * 39}_impasto.png"


def test_a_name_has_to_leave_room_for_the_runs_folder_where_there_will_be_one():
    most = longest_name(Path())
    fits, exact = (Outputs(Path("a" * (length - 4) + ".png")) for length in (most - 4, most))
    fits.check(Settings(), [])
    replace(exact, every=math.inf).check(Settings(), [])
    with pytest.raises(ImageError, match=f"has a name of {most + 4} bytes"):
        exact.check(Settings(), [])


def test_an_unfinished_run_is_only_begun_anew_or_gone_on_with_when_told_to():
    outputs = Outputs(Path("a.png"))
    Path("a.png.run").mkdir()
    outputs.check(Settings(), [])
    Path("a.png.run/state.safetensors").touch()
    with pytest.raises(ImageError, match=r"holds an unfinished run: go on with impasto resume a\.png\.run"):
        outputs.check(Settings(), [])
    for told in ({"overwrite": True}, {"resumed": True}):
        replace(outputs, **told).check(Settings(), [])


@pytest.mark.parametrize("name", ["figure.pdf", "figure.json"])
def test_neither_figure_nor_measures_are_replaced_without_being_told(name):
    outputs = Outputs(Path("a.png"), figure=Path("figure.pdf"))
    outputs.check(Settings(), [])
    Path(name).touch()
    with pytest.raises(ImageError, match=rf"^'{name}' already exists"):
        outputs.check(Settings(), [])
    replace(outputs, overwrite=True).check(Settings(), [])


@pytest.mark.parametrize("name", ["a.png", "a_epoch-01.png"])
def test_neither_picture_nor_snapshots_are_replaced_without_being_told(name):
    outputs = Outputs(Path("a.png"), snapshots={1: Path("a_epoch-01.png")})
    outputs.check(Settings(), [])
    Path(name).touch()
    with pytest.raises(ImageError, match=rf"^'{name}' already exists"):
        outputs.check(Settings(), [])


def test_a_print_that_is_painted_in_files_has_to_be_written_row_by_row(monkeypatch):
    plan = plan_of(((100, 200), 1))
    in_files = replace(plan, memory=replace(plan.memory, folder=Path("scratch")))
    monkeypatch.setattr(writing, "PRINT_PIXELS", 100 * 200 - 1)
    Outputs(Path("a.png")).check_plan(plan)
    Outputs(Path("a.tif")).check_plan(in_files)
    with pytest.raises(
        ImageError, match=r"^'a\.png' would be held in memory whole, and 200×100 px are painted in files"
    ):
        Outputs(Path("a.png")).check_plan(in_files)
    monkeypatch.setattr(writing, "PRINT_PIXELS", 100 * 200)
    Outputs(Path("a.png")).check_plan(in_files)


def test_a_state_is_saved_as_often_as_is_asked_for():
    assert [parse_every(text) for text in ("auto", "off", "0", "0.5", "30")] == [None, math.inf, 0, 0.5, 30]
    for text in ("-0.5", "inf", "nan", "often", ""):
        with pytest.raises(SettingsError, match="but should be 'auto', 'off' or a number of seconds"):
            parse_every(text)


def test_snapshots_are_of_epochs_that_the_run_has():
    assert parse_epochs("3,1,3", 3) == (1, 3)
    for text, stray in (("0,1", 0), ("1,4", 4)):
        with pytest.raises(SettingsError, match=f"names epoch {stray} but the run has epochs 1 to 3"):
            parse_epochs(text, 3)


def test_the_folder_of_a_sheets_pictures_may_be_there_already():
    Path("cells").mkdir()
    SheetOutputs(Path("sheet.png"), [], Path("cells"), overwrite=False).check([])
    with pytest.raises(SettingsError, match="is one of the inputs"):
        SheetOutputs(Path("sheet.png"), [], None, overwrite=False).check([Path("sheet.png")])
