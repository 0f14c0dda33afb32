"""The form of the settings follows their declarations: what is declared is shown, without another line."""

from enum import StrEnum

import numpy as np
import PIL.Image
import pytest

from impasto.settings.knob import Group, Roles, knob
from impasto.settings.settings import Settings
from impasto.studio.routes.pages import STATIC
from impasto.studio.schema import is_place, settings_form
from impasto.swatches import catalogue

FORM = {found.name: found for found in settings_form().knobs}


class Weave(StrEnum):
    """How the canvas is woven.

    `plain`: over and under. `twill`: over two, under one.
    """

    PLAIN = "plain"
    TWILL = "twill"


class Further(Settings):
    """The settings with three knobs more."""

    impasto_depth: float = knob(0.5, Roles(Group.PICTURE, usual=True, scheduled=True), "Depth of paint.", ge=0, lt=2)
    canvas_weave: Weave = knob(Weave.PLAIN, Roles(Group.MEMORY), "Weave of the canvas.")
    paint_archive: str = knob("auto", Roles(Group.MEMORY, folder=True), "Where paint is kept.")


def test_a_knob_that_is_added_to_the_settings_appears_in_the_form():
    form = {found.name: found for found in settings_form(Further).knobs}
    depth, weave = form["impasto_depth"], form["canvas_weave"]
    assert (depth.label, depth.group, depth.help, depth.default) == ("Impasto depth", "Picture", "Depth of paint.", 0.5)
    assert (depth.kind, depth.minimum, depth.maximum, depth.usual, depth.scheduled) == ("number", 0, 2, True, True)
    assert (weave.kind, weave.default) == ("choice", "plain")
    assert [(choice.value, choice.help) for choice in weave.choices] == [
        ("plain", "over and under"),
        ("twill", "over two, under one"),
    ]
    assert form.keys() - FORM.keys() == {"impasto_depth", "canvas_weave"}


def test_every_knob_but_places_on_the_machine_is_in_the_form_in_the_order_of_declaration():
    assert [*FORM] == [name for name in Settings.model_fields if not is_place(name)]
    assert {name for name in Settings.model_fields if is_place(name)} == {"weights", "scratch"}


def test_every_control_has_a_label_a_help_a_group_and_a_kind():
    for name, found in FORM.items():
        assert found.label[0].isupper(), name
        assert "_" not in found.label, name
        assert found.help.endswith("."), name
        assert found.group in set(Group), name
        assert (found.choices is not None) == (found.kind == "choice"), name


def test_choices_say_what_they_do_as_their_documentation_has_it():
    told = {choice.value: choice.help for choice in FORM["color"].choices}
    assert told["style"] == "the painting's"
    assert all(told.values())
    assert [choice.value for choice in FORM["guard"].choices] == ["none", "faces"]


def test_bounds_and_words_are_the_settings_own():
    strength, scales, size, seed = (FORM[name] for name in ("strength", "scales", "size", "seed"))
    assert (strength.kind, strength.minimum, strength.maximum) == ("number", 0, 1)
    assert (scales.kind, scales.minimum, scales.maximum, scales.words) == ("integer", 1, 12, ["auto"])
    assert seed.minimum == 0
    assert size.free
    assert FORM["tv_weight"].label == "TV weight"
    assert [name for name, found in FORM.items() if found.images] == ["mask", "style_mask", "strength_map", "init"]


def test_every_default_and_every_bound_is_taken_by_the_settings():
    for name, found in FORM.items():
        Settings(**{name: found.default})
        for bound in (found.minimum, found.maximum):
            if (
                found.kind == "integer" and bound is not None and name != "seed"
            ):  # whose bound is none of JSON's numbers
                Settings(**{name: int(bound)})


@pytest.mark.slow
def test_every_swatch_has_its_thumbnail_on_the_shelf():
    for name in catalogue.names():
        with PIL.Image.open(STATIC / "swatches" / f"{name}.webp") as shown:
            painted = catalogue.paint(name, shown.size)
            assert np.abs(np.asarray(shown.convert("RGB"), float) - painted).mean() < 12, name
