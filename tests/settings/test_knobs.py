"""The types of `stylize(**knobs)` and the like, written out for editors and type checkers, are those of `Settings`."""

from __future__ import annotations

import enum
import functools
import operator
from typing import Annotated, Any, Literal, Union, Unpack, get_args, get_origin, get_type_hints

import impasto
from impasto import Settings, Stylization, stylize, synthesize
from impasto.run.stylizer import Stylizer
from impasto.settings import roles
from impasto.settings.knobs import Knobs, ScheduledKnobs, TextureKnobs


def accepted(annotation: Any) -> Any:
    """What may be given for a field of `Settings`: an enum's values as words too, and lists for tuples."""
    if get_origin(annotation) is Annotated:
        return accepted(get_args(annotation)[0])
    if get_origin(annotation) is Union:
        return functools.reduce(operator.or_, map(accepted, get_args(annotation)))
    if get_origin(annotation) is tuple:
        item = accepted(get_args(annotation)[0])
        return tuple[item, ...] | list[item]
    if isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        return annotation | Literal[tuple(member.value for member in annotation)]
    return annotation


def test_the_knobs_are_the_fields_of_settings_with_their_types():
    fields = {name: accepted(field.annotation) for name, field in Settings.model_fields.items()}
    assert get_type_hints(Knobs) == fields  # where this fails, write the field's type into settings/knobs.py
    assert Knobs.__required_keys__ == frozenset()


def test_knobs_that_may_change_while_a_run_goes_are_those_of_that_role():
    assert set(get_type_hints(ScheduledKnobs)) == set(roles.scheduled())


def test_whatever_takes_knobs_says_which():
    for function in (stylize, Settings.__init__):
        assert get_type_hints(function)["knobs"] == Unpack[Knobs], function
    assert get_type_hints(synthesize)["knobs"] == Unpack[TextureKnobs]
    assert set(get_type_hints(Knobs)) - set(get_type_hints(TextureKnobs)) == {"size"}
    for function in (Stylization.change, Stylizer.change):
        assert get_type_hints(function)["knobs"] == Unpack[ScheduledKnobs], function
    assert impasto.Knobs is Knobs
