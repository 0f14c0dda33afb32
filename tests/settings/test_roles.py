"""Knobs are declared once: whoever needs some of them asks for their role, and only the command line knows flags."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import impasto
from impasto.settings import roles
from impasto.settings.knob import Affects, Group
from impasto.settings.settings import Settings

SOURCE = Path(impasto.__file__).parent
KNOBS = set(Settings.model_fields)

FILES = sorted(SOURCE.rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def listed_knobs(tree: ast.AST) -> Iterator[list[str]]:
    """The knobs' names in each literal of a tree, but for what a command prints and what a copy of settings changes."""
    values = {
        id(argument)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(("tell_json", ".model_copy"))
        for argument in (*call.args, *(keyword.value for keyword in call.keywords))
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            elements = node.elts
        elif isinstance(node, ast.Dict) and id(node) not in values:
            elements = [key for key in node.keys if key is not None]
        else:
            continue
        yield [e.value for e in elements if isinstance(e, ast.Constant) and e.value in KNOBS]


def texts(tree: ast.AST) -> Iterator[str]:
    """The strings of a tree, but for its docstrings."""
    unused = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in unused:
            yield node.value


def flags_of_knobs(text: str) -> list[str]:
    return [flag for flag in re.findall(r"--([a-z][a-z-]*)", text) if flag.replace("-", "_") in KNOBS]


def test_every_knob_has_a_group_and_what_it_affects_in_its_schema():
    properties = Settings.model_json_schema()["properties"]
    assert properties.keys() == KNOBS
    for knob, schema in properties.items():
        assert schema["group"] in set(Group), knob
        assert schema["affects"] in set(Affects), knob
    assert json.loads(json.dumps(properties["content_layers"]))["in_texture"] == []


def test_lists_follow_the_order_of_declaration():
    everything = roles.affecting(*Affects)
    assert everything == tuple(Settings.model_fields)
    some = (roles.affecting(Affects.NETWORK), roles.scheduled(), roles.settled(), roles.set_by_texture())
    assert all(list(found) == [knob for knob in everything if knob in found] for found in some)


def test_what_may_change_on_the_way_changes_nothing_that_was_measured_but_colours():
    assert set(roles.scheduled()) - set(roles.affecting(Affects.OBJECTIVE)) == {"color"}


def test_a_knob_that_is_settled_may_be_left_open():
    assert all(getattr(Settings(**{knob: "auto"}), knob) == "auto" for knob in roles.settled())


def test_what_a_texture_and_a_reconstruction_set_are_values_that_settings_take():
    for found in (roles.set_by_texture(), roles.set_by_reconstruction() | {"style_layers": ("relu1_1",)}):
        assert {knob: getattr(Settings(**found), knob) for knob in found} == found


def test_the_files_that_settings_name_are_found_and_words_are_none():
    settings = Settings(
        mask=("a.png", "rest"), style_mask=("all", "b.png"), strength_map="e.png", init="c.png", weights="d.pth"
    )
    assert set(roles.files(settings)) == {"a.png", "b.png", "c.png", "d.pth", "e.png"}
    assert roles.files(Settings(init="noise", weights="torchvision", mask=("a.png", "all"))) == ("a.png", "all")
    assert roles.files(Settings()) == ()
    assert roles.with_files("mask", ["a.png", "rest"], str.upper) == ["A.PNG", "rest"]
    assert roles.with_files("scratch", "a", str.upper) == "a"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_list_of_knobs_is_kept_outside_settings(path):
    if path.parent.name != "settings":
        assert [names for names in listed_knobs(parsed(path)) if len(names) > 1] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_command_line_spells_flags(path):
    if path.parent.name != "cli":
        assert [text for text in texts(parsed(path)) if flags_of_knobs(text)] == []


def test_the_searches_find_what_they_look_for():
    allowed = "tell_json({'size': 1, 'tile': 2}); settings.model_copy(update={'size': 1, 'tile': 2})"
    tree = ast.parse(f"a = ('size', 'seed'); b = {{'size': 1, 'x': 2}}; {allowed}")
    assert [names for names in listed_knobs(tree) if len(names) > 1] == [["size", "seed"]]
    assert flags_of_knobs("Give --style-weight, not --overwrite.") == ["style-weight"]
