"""The settings' own declarations as a page needs them: a knob that is added there appears there."""

from __future__ import annotations

import inspect
import re
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel

from impasto.settings.knob import Group, roles_of
from impasto.settings.settings import Settings

WORD = re.compile(r"`([\w-]+)`: ([^`]+?)(?= `[\w-]+`:|$)")
"""A choice and what it does, as the docstrings of `settings.choices` have them."""

ACRONYMS = {"tv": "TV", "exif": "EXIF", "gps": "GPS"}


class Choice(BaseModel):
    """One value of a knob that has few."""

    value: str
    help: str


class KnobForm(BaseModel):
    """How a control for one knob looks."""

    name: str
    label: str
    group: str
    help: str
    default: Any
    kind: Literal["number", "integer", "choice", "boolean", "text", "numbers", "texts"]
    minimum: float | None
    maximum: float | None
    words: list[str]
    free: bool
    """Whether it takes texts beside numbers and words, such as 30cm@300dpi."""
    choices: list[Choice] | None
    usual: bool
    scheduled: bool
    images: bool


class SettingsForm(BaseModel):
    """Every control, in the order of the settings, and those that a film has besides."""

    groups: list[str]
    knobs: list[KnobForm]
    film: list[KnobForm] = []


def settings_form(settings: type[Settings] = Settings) -> SettingsForm:
    """The form of the settings, but for knobs that name places on this machine: those are nobody's from afar."""
    schema = settings.model_json_schema()
    documents = {found.__name__: inspect.getdoc(found) or "" for found in _enums(settings)}
    knobs = [
        _knob(name, settings, declared, schema["$defs"], documents)
        for name, declared in schema["properties"].items()
        if not is_place(name, settings)
    ]
    return SettingsForm(groups=[str(group) for group in Group], knobs=knobs)


def is_place(name: str, settings: type[Settings] = Settings) -> bool:
    """Whether a knob names files or folders that aren't pictures of a job."""
    roles = roles_of(settings.model_fields[name])
    return roles.folder or (roles.file_words is not None and not names_pictures(name, settings))


def names_pictures(name: str, settings: type[Settings] = Settings) -> bool:
    """Whether a knob names pictures, which a page uploads rather than types."""
    roles = roles_of(settings.model_fields[name])
    return roles.file_words is not None and roles.affects != "network"


def _enums(settings: type[Settings]) -> list[type[StrEnum]]:
    annotations = (field.annotation for field in settings.model_fields.values())
    return [found for found in annotations if isinstance(found, type) and issubclass(found, StrEnum)]


def _knob(
    name: str, settings: type[Settings], declared: dict[str, Any], defs: dict[str, Any], documents: dict[str, str]
) -> KnobForm:
    roles = roles_of(settings.model_fields[name])
    options = declared.get("anyOf", [declared])
    numeric = next((option for option in options if option.get("type") in ("number", "integer")), {})
    words = [option["const"] for option in options if "const" in option]
    reference = declared.get("$ref", "").rpartition("/")[2]
    return KnobForm(
        name=name,
        label=_label(name),
        group=str(roles.group),
        help=declared["description"],
        default=declared.get("default"),
        kind=_kind(declared, numeric, reference),
        minimum=numeric.get("minimum", numeric.get("exclusiveMinimum")),
        maximum=numeric.get("maximum", numeric.get("exclusiveMaximum")),
        words=words or list(roles.file_words or ()),
        free=bool(numeric) and any(option == {"type": "string"} for option in options),
        choices=_choices(defs[reference]["enum"], documents[reference]) if reference in documents else None,
        usual=roles.usual,
        scheduled=roles.scheduled,
        images=names_pictures(name, settings),
    )


def _label(name: str) -> str:
    """'tv_weight' -> 'TV weight'."""
    words = " ".join(ACRONYMS.get(word, word) for word in name.split("_"))
    return words[0].upper() + words[1:]


def _kind(declared: dict[str, Any], numeric: dict[str, Any], reference: str) -> Any:
    if reference:
        return "choice"
    match declared.get("type"):
        case "boolean":
            return "boolean"
        case "array":
            return "numbers" if declared["items"].get("type") == "number" else "texts"
        case "string":
            return "text"
    return numeric.get("type", "text")


def _choices(values: list[str], document: str) -> list[Choice]:
    told = {name: text.strip().rstrip(".") for name, text in WORD.findall(" ".join(document.split()))}
    return [Choice(value=value, help=told.get(value, "")) for value in values]
