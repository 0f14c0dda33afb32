"""Help in two lengths: what is usual on one screen, and everything."""

import re

import pytest

from impasto.cli import main
from impasto.settings import roles
from impasto.settings.settings import Settings
from impasto.settings.texture import OWN

WITH_SETTINGS = ["paint", "sweep", "texture", "reconstruct", "plan", "presets save"]
SELDOM = {
    "paint": ("no-metadata", "checkpoint", "resume", "json", "quiet"),
    "plan": ("json",),
    "texture": ("json", "quiet"),
}


def flags(text: str) -> set[str]:
    return set(re.findall(r"(?m)^[ │*]*--([a-z][a-z-]*)", text))


def spelled(knobs) -> set[str]:
    return {knob.replace("_", "-") for knob in knobs}


@pytest.fixture(autouse=True)
def _as_wide_as_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("command", WITH_SETTINGS)
def test_help_fits_a_screen_with_the_settings_that_people_turn(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 48
    own = spelled([*OWN, "size"]) if command == "texture" else set()
    usual = spelled(knob for knob in Settings.model_fields if roles.of(knob).usual)
    assert flags(text) & spelled(Settings.model_fields) - own == usual - own
    assert not flags(text) & {*SELDOM.get(command, ())}
    assert text.rstrip().endswith("--help-all shows every setting.")
    assert 5 <= len(usual) <= 12


@pytest.mark.parametrize("command", WITH_SETTINGS)
def test_help_all_has_every_setting_and_every_option(command, capsys):
    assert main([*command.split(), "--help-all"]) == 0
    text = capsys.readouterr().out
    own = spelled([*OWN, "size"]) if command == "texture" else set()
    assert spelled(Settings.model_fields) - own <= flags(text)
    assert {*SELDOM.get(command, ())} <= flags(text)
    assert main([*command.split(), "--help"]) == 0
    assert flags(capsys.readouterr().out) < flags(text)  # the one that came before leaves nothing behind


@pytest.mark.parametrize("command", ["swatches", "demo", "presets", "weights", ""])
def test_help_all_of_what_has_no_settings_is_its_help(command, capsys):
    for help in ("--help", "--help-all"):
        assert main([*command.split(), help]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 6


def test_what_stands_behind_two_dashes_is_no_request_for_help(capsys):
    assert main(["plan", "--", "--help-all"]) == 1
    assert "'--help-all' doesn't exist" in capsys.readouterr().err
