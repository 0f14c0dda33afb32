"""Named starting points: TOML files that come with impasto, lie in the user's folder, or are anywhere."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.errors import SettingsError
from impasto.storage.files import quoted, read_small, reason, write_atomically

BUNDLED = Path(__file__).parent / "bundled"

DESCRIPTION = "description"
"""The one key of a file of settings that isn't a knob."""

MOST_BYTES = 1_000_000
"""Of a file of settings, which has some hundred."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Preset:
    """A file of knobs with a line that says what they are for; the knobs are as written, `Settings` checks them."""

    name: str
    description: str
    knobs: Mapping[str, Any]
    path: Path

    @property
    def bundled(self) -> bool:
        """Whether it came with impasto."""
        return self.path.parent == BUNDLED


def folder() -> Path:
    """Where the user's own presets are: IMPASTO_PRESETS, or the place that the system has for settings."""
    if chosen := os.environ.get("IMPASTO_PRESETS"):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_config_dir("impasto")) / "presets"


def paths() -> dict[str, Path]:
    """The presets that have a name, sorted; the user's own stand in front of impasto's."""
    found = {path.stem: path for place in (BUNDLED, folder()) for path in place.glob("*.toml")}
    return dict(sorted(found.items()))


def load(name: str) -> Preset:
    """The preset of that name, or in the file NAME.toml; raises `SettingsError`."""
    if name.endswith(".toml"):
        path = Path(name)
    elif name in (known := paths()):
        path = known[name]
    else:
        near = difflib.get_close_matches(name, known, n=1)
        cure = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}, or name a .toml file"
        raise SettingsError(f"`preset` is {name!r}, which isn't one", cure, knob="preset", value=name)
    description, knobs = read(path, "preset")
    return Preset(path.stem, description, knobs, path)


def read(path: Path, argument: str) -> tuple[str, dict[str, Any]]:
    """Description and knobs of a TOML file, `style-weight` or `style_weight`.

    Raises `SettingsError` for the argument that named the file.
    """

    def wrong(what: str, cure: str) -> SettingsError:
        return SettingsError(f"`{argument}` {path} {what}", cure, knob=argument, value=path)

    try:
        table = tomllib.loads(read_small(path, MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise wrong(f"can't be read ({reason(error)})", "check the path") from None
    except ValueError as error:  # both UnicodeDecodeError and TOMLDecodeError
        raise wrong(f"is not TOML ({error})", "write lines like size = 512") from None
    except RecursionError:
        raise wrong("is nested too deeply", "write lines like size = 512") from None
    description = table.pop(DESCRIPTION, "")
    if not isinstance(description, str):
        raise wrong(f"has the description {description!r}", "write a text in quotes")
    knobs: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name in knobs:
            raise wrong(f"sets {name} twice, with - and with _", "keep one")
        knobs[name] = value
    return description, knobs


def save(name: str, knobs: Mapping[str, Any], description: str = "", *, overwrite: bool = False) -> Path:
    """Write checked knobs as a preset of the user's own; raises `SettingsError`."""
    if NAME.fullmatch(name) is None:
        raise SettingsError(
            f"The preset's name is {name!r}", "use letters, digits, - and _ only", knob="name", value=name
        )
    known, path = paths(), folder() / f"{name}.toml"
    if name in known and not overwrite:
        whose = "comes with impasto" if known[name].parent == BUNDLED else f"is in {quoted(known[name])} already"
        raise SettingsError(
            f"The preset {name!r} {whose}", "choose another name, or set `overwrite`", knob="name", value=name
        )
    text = to_toml({DESCRIPTION: description} | dict(knobs))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise SettingsError(
            f"{quoted(path)} can't be written ({reason(error)})", "set IMPASTO_PRESETS to a folder that can"
        ) from None
    return path


def to_toml(knobs: Mapping[str, Any]) -> str:
    """A line for each knob; raises `TypeError` for what no knob holds."""
    return "".join(f"{name.replace('_', '-')} = {_literal(value)}\n" for name, value in knobs.items())


def _literal(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return '"' + "".join(_escaped(c) for c in value) + '"'
        case list() | tuple():
            return "[" + ", ".join(map(_literal, value)) + "]"
    raise TypeError(f"TOML for {value!r}")


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
