"""Lists of knobs by their roles, in the order in which `Settings` declares them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from impasto.settings import conflicts
from impasto.settings.knob import UNTOUCHED, Affects, Roles, roles_of
from impasto.settings.settings import Settings


def of(knob: str) -> Roles:
    """The roles of a knob."""
    return roles_of(Settings.model_fields[knob])


def affecting(*what: Affects) -> tuple[str, ...]:
    """The knobs whose first effect is one of these."""
    return _where(lambda roles: roles.affects in what)


def scheduled() -> tuple[str, ...]:
    """The knobs that may change while a run goes on."""
    return _where(lambda roles: roles.scheduled)


def settled() -> tuple[str, ...]:
    """The knobs whose 'auto' a run decides once, and keeps when it goes on."""
    return _where(lambda roles: roles.settled)


def carried() -> tuple[str, ...]:
    """The knobs that say what a picture carries beside its pixels."""
    return _where(lambda roles: roles.carried)


def without_former(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Knobs as a file has them, without those that are at a default of before and do nothing beside the others.

    A file that names every knob has them too. Raises `SettingsError` for what is no setting, or a wrong one.
    """
    fields = Settings.model_fields
    former = [knob for knob, value in knobs.items() if knob in fields and value in of(knob).former]
    if not former:
        return dict(knobs)
    idle = conflicts.idle(Settings(**{knob: value for knob, value in knobs.items() if knob not in former}), former)
    return {knob: value for knob, value in knobs.items() if knob not in idle}


def set_by_texture() -> dict[str, Any]:
    """What a texture sets itself."""
    return {knob: value for knob in Settings.model_fields if (value := of(knob).in_texture) != UNTOUCHED}


def set_by_reconstruction() -> dict[str, Any]:
    """What each picture of a reconstruction sets itself."""
    return {knob: value for knob in Settings.model_fields if (value := of(knob).in_reconstruction) != UNTOUCHED}


def is_file(knob: str, value: str) -> bool:
    """Whether a value of a knob, or one of its values where it has several, names a file."""
    words = of(knob).file_words
    return words is not None and value not in words


def files(settings: Settings) -> tuple[str, ...]:
    """The files that settings name, which no output may replace."""
    return tuple(value for knob in Settings.model_fields for value in _texts(settings, knob) if is_file(knob, value))


def single_images() -> tuple[str, ...]:
    """The knobs that name one image file at most."""
    images = _where(lambda roles: roles.file_words is not None and roles.affects is not Affects.NETWORK)
    return tuple(knob for knob in images if isinstance(Settings.model_fields[knob].default, str))


def image_lists() -> tuple[str, ...]:
    """The knobs that name an image file for each style, or a word."""
    images = _where(lambda roles: roles.file_words is not None and roles.affects is not Affects.NETWORK)
    return tuple(knob for knob in images if not isinstance(Settings.model_fields[knob].default, str))


def with_files(knob: str, value: Any, spell: Callable[[str], str]) -> Any:
    """A knob's value with the names of files in it as `spell` writes them."""
    if isinstance(value, list | tuple):
        return [spell(one) if is_file(knob, one) else one for one in value]
    return spell(value) if isinstance(value, str) and is_file(knob, value) else value


def without_folders(knob: str, value: Any) -> Any:
    """A knob's value with files by their names alone; one that is called like a word of the knob stays a file."""

    def bare(path: str) -> str:
        name = PurePath(path).name
        return name if is_file(knob, name) else f"./{name}"

    return with_files(knob, value, bare)


def _texts(settings: Settings, knob: str) -> Iterator[str]:
    value = getattr(settings, knob)
    yield from (one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, str))


def _where(has: Callable[[Roles], bool]) -> tuple[str, ...]:
    return tuple(knob for knob in Settings.model_fields if has(of(knob)))
