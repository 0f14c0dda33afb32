"""Flags, environment and TOML derived from `Settings`, and their merging: flag > environment > file > preset."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict, get_args, get_origin

from cyclopts import Group, Parameter

from impasto.cli.error_text import flag, with_flags
from impasto.cli.help import show_if_all
from impasto.errors import ImpastoError, SettingsError
from impasto.settings import conflicts, presets, roles
from impasto.settings.knob import Group as Section
from impasto.settings.settings import Settings
from impasto.settings.texture import OWN

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from pydantic.fields import FieldInfo
    from rich.console import Console, ConsoleOptions

PREFIX = "IMPASTO_"

OTHER_VARIABLES = {"IMPASTO_PRESETS", "IMPASTO_CACHE", "IMPASTO_STUDIO", "IMPASTO_TOKEN"}
"""Of the environment, which say where things are, or who may enter the studio, and set no knob."""


class Layer(NamedTuple):
    """Knobs from one place; `origin` names it in a complaint, and is empty for what was typed as a flag."""

    values: Mapping[str, Any]
    origin: str = ""


def settle(*layers: Layer) -> Settings:
    """The settings that layers make together, weakest first; raises `SettingsError` that names a value's origin."""
    merged = {name: (value, layer.origin) for layer in layers for name, value in layer.values.items()}
    try:
        settings = Settings(**{name: _parsed(name, value) for name, (value, _) in merged.items()})
        conflicts.check_given(settings, [name for name, (_, origin) in merged.items() if not origin])
        return settings
    except SettingsError as error:
        raise _traced(error, {name: origin for name, (_, origin) in merged.items()}) from None


def from_shell(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    config: Path | None = None,
    preset_name: str | None = None,
) -> Settings:
    """The settings of a command: its flags, its environment, its TOML file and its preset."""
    return settle(*layers(flags, environ, config, preset_name))


def layers(
    flags: Mapping[str, Any], environ: Mapping[str, str], config: Path | None, preset_name: str | None
) -> list[Layer]:
    """What a command's flags, environment, TOML file and preset set, the weakest first."""
    found = [Layer(environment(environ), "the environment"), Layer(flags)]
    if config is not None:
        found.insert(0, Layer(presets.read(config, "config")[1], str(config)))
    if preset_name is not None:
        found.insert(0, Layer(presets.load(preset_name).knobs, f"the preset {preset_name!r}"))
    return found


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The knobs set as IMPASTO_SIZE and the like; an empty one counts as not set.

    Raises `SettingsError` for a name of that kind that is none.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            cure = f"did you mean {near[0]}?" if near else "unset it"
            raise SettingsError(f"The environment's {name} is not a setting", cure, knob=name, value=environ[name])
    found = {name: environ.get(PREFIX + name.upper()) for name in Settings.model_fields}
    return {name: value for name, value in found.items() if value}


def _parsed(name: str, value: Any) -> Any:
    """Text for a list of values is cut at its commas; the rest is left to `Settings`."""
    if not isinstance(value, str) or name not in Settings.model_fields or not _is_list(name):
        return value
    return tuple(part.strip() for part in value.split(",")) if value.strip() else ()


def _is_list(name: str) -> bool:
    return get_origin(Settings.model_fields[name].annotation) is tuple


def _traced(error: ImpastoError, origins: Mapping[str, str]) -> SettingsError:
    """The same error, which also says where the values at fault were set."""
    origin = origins.get(error.knob or "")
    fault, cure, where = error.fault, error.cure, f" (set by {origin})" if origin else ""
    return SettingsError(
        fault if cure else fault + where,
        cure and cure + where,
        knob=error.knob,
        value=error.value,
        others=[_traced(other, origins) for other in error.others],
    )


def _flag(name: str, group: Group) -> Any:
    """A knob as cyclopts wants it: a piece of text, so that `Settings` alone says what it may be."""
    field = Settings.model_fields[name]
    kind = field.annotation
    if kind is bool:
        return Annotated[bool, Parameter(help=help_of(name), negative=f"--no-{flag(name)[2:]}", group=group)]
    names = {int: "N", float: "X"}
    metavar = "A,B,…" if _is_list(name) else names.get(kind, "NAME") if isinstance(kind, type) else "N"
    return Annotated[str, Parameter(help=help_of(name), metavar=metavar, group=group)]


def help_of(name: str) -> str:
    """A knob's help with its choices or range and its default, all from `Settings`."""
    field = Settings.model_fields[name]
    facts = []
    if isinstance(field.annotation, type) and issubclass(field.annotation, Enum):
        facts.append(", ".join(choice.value for choice in field.annotation))
    words = (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "to below"))
    bounds = [(word, getattr(bound, name, None)) for bound in _bounds(field) for name, word in words]
    if limits := [f"{word} {_number(limit)}" for word, limit in bounds if limit is not None]:
        facts.append(" ".join(limits))
    if field.default != () and field.annotation is not bool:
        facts.append(f"default: {_shown(field.default)}")
    help = with_flags(field.description or "")
    return f"{help} [{'; '.join(facts)}]" if facts else help


def _bounds(field: FieldInfo) -> list[Any]:
    """What a knob's type, or one of its types where it has several, must be within."""
    return [*field.metadata, *(bound for kind in get_args(field.annotation) for bound in _metadata(kind))]


def _metadata(kind: Any) -> tuple[Any, ...]:
    return getattr(kind, "__metadata__", ())


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_shown, value))
    return _number(value) if isinstance(value, int | float) else str(value)


def _flags(without: Iterable[str] = ()) -> dict[str, Any]:
    groups = {section: Group.create_ordered(section.value, help_formatter=_show_usual) for section in Section}
    return {
        name: _flag(name, groups[roles.of(name).group]) for name in Settings.model_fields if name not in set(without)
    }


def _show_usual(console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
    """Print a panel of settings: the usual ones alone, unless all of them were asked for."""
    from impasto.cli import help

    usual = {flag(name) for name in Settings.model_fields if roles.of(name).usual}
    entries = [entry for entry in panel.entries if help.show_all.get() or {*entry.positive_names} & usual]
    help.show(console, options, panel.copy(entries=entries))


OUTPUT = Group.create_ordered("Output")
SELDOM = Group.create_ordered("Output, seldom needed", help_formatter=show_if_all)
TOGETHER = Group.create_ordered("Many settings at once")

if TYPE_CHECKING:
    Knobs = TextureKnobs = dict[str, str | bool]
else:
    Knobs = TypedDict("Knobs", _flags(), total=False)
    """The knobs typed as flags, as text, without those that were not typed."""
    TextureKnobs = TypedDict("TextureKnobs", _flags(without=(*OWN, "size")), total=False)
    """Those that a texture has."""

Content = Annotated[str, Parameter(help="The photo.")]
Styles = Annotated[list[str], Parameter(metavar="STYLE…", help="Paintings, or names from 'impasto swatches'.")]
Overwrite = Annotated[bool, Parameter(group=OUTPUT, help="Replace files that exist.")]
AsJson = Annotated[bool, Parameter(group=SELDOM, help="Print the result as one JSON object.")]
Quiet = Annotated[bool, Parameter(group=SELDOM, help="Show no progress.")]
Config = Annotated[
    Path | None,
    Parameter(
        metavar="FILE.toml",
        group=TOGETHER,
        help="A TOML file of settings, such as style-weight = 2; flags and IMPASTO_… variables beat it.",
    ),
]
Preset = Annotated[
    str | None,
    Parameter(
        metavar="NAME",
        group=TOGETHER,
        help="A starting point that all else beats: a name from 'impasto presets', or a TOML file.",
    ),
]
Sheet = Annotated[
    str | None,
    Parameter(
        ("--output", "-o"),
        metavar="SHEET",
        group=OUTPUT,
        help="Where the sheet goes: .png, .jpg, .webp, .avif, .tif or .bmp, or a folder. Default: a .png "
        "beside the photo.",
    ),
]
Keep = Annotated[
    Path | None, Parameter(metavar="FOLDER", group=OUTPUT, help="Also write every picture, with its recipe.")
]
Flags = Annotated[Knobs | None, Parameter(name="*")]
"""What commands that take settings have in common, each with its help."""
