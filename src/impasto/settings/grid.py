"""Settings over one or two knobs: the axes, read from text, and the checked settings of every cell."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from impasto.errors import SettingsError
from impasto.settings.settings import Settings

MOST_VALUES = 100
"""On one axis."""

FORMS = "write KNOB=a,b,c or KNOB=from:to:count, with :log for equal ratios"


@dataclass(frozen=True)
class Axis:
    """A knob and the values it takes, as text or numbers: `Settings` checks them."""

    knob: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Cell:
    """One picture of a grid: its place, counted from 0, what is varied there, all its settings, and lines of text."""

    row: int
    column: int
    changes: Mapping[str, Any]
    settings: Settings
    labels: tuple[str, ...]


def parse_axis(text: str) -> Axis:
    """'content-weight=0.01,0.1', 'size=128:512:4' or 'content-weight=0.01:1:3:log' -> an axis.

    The values of a knob that is a list itself are cut at semicolons: 'style-layers=relu1_1,relu2_1;relu4_1'. Raises
    `SettingsError`.
    """
    name, equals, values = text.partition("=")
    knob = name.strip().replace("-", "_")
    if not equals:
        raise _wrong(f"`vary` is {text!r}, without a '='", FORMS, text)
    if knob not in Settings.model_fields:
        near = difflib.get_close_matches(knob, Settings.model_fields, n=1)
        cure = f"did you mean {near[0].replace('_', '-')!r}?" if near else ""
        raise _wrong(f"`vary` names {name.strip()!r}, which is not a setting", cure, text)
    if _is_list(knob):
        found = [tuple(part.strip() for part in value.split(",")) for value in values.split(";")]
    elif ":" in values and (number := _kind_of_number(knob)) is not None:
        found = _range(text, values.split(":"), number)
    else:
        found = [value.strip() for value in values.split(",")]
    if not 2 <= len(found) <= MOST_VALUES:
        raise _wrong(f"`vary` {text} has {len(found)} values", f"give 2 to {MOST_VALUES}", text)
    return Axis(knob, tuple(found))


def cells(axes: Sequence[Axis], settle: Callable[[dict[str, Any]], Settings]) -> list[Cell]:
    """The grid, row by row: the first axis goes across, the second down; `settle` makes settings of what is varied.

    Raises `SettingsError` for any value that isn't allowed, and for one that comes twice.
    """
    if not 1 <= len(axes) <= 2 or len({axis.knob for axis in axes}) < len(axes):
        named = ", ".join(axis.knob for axis in axes)
        raise _wrong(f"`vary` names {named}", "give one or two different knobs", named)
    across, down = axes[0], axes[1] if len(axes) == 2 else None
    grid: list[Cell] = []
    for row, below in enumerate([None] if down is None else down.values):
        for column, value in enumerate(across.values):
            changes = {across.knob: value} | ({} if down is None else {down.knob: below})
            settings = settle(changes)
            labels = tuple(label(knob, getattr(settings, knob)) for knob in changes)
            grid.append(Cell(row, column, changes, settings, labels))
    for axis in axes:
        edge = [c for c in grid if (c.row if axis is across else c.column) == 0]
        taken = [getattr(cell.settings, axis.knob) for cell in edge]
        if twice := [value for n, value in enumerate(taken) if value in taken[:n]]:
            raise _wrong(f"`vary` gives {label(axis.knob, twice[0])} twice", "give each value once", twice[0])
    return grid


def reconstructions(
    layers: Sequence[str], settle: Callable[[dict[str, Any]], Settings], of: Sequence[str] = ("content", "style")
) -> list[Cell]:
    """A row of what each layer alone knows of an image's content, one of its style up to each depth.

    Gatys et al. 2015, figure 1. Raises `SettingsError` for a layer that VGG19 doesn't have.
    """
    asked = {
        "content": lambda n: {"content_layers": (layers[n],), "style_layers": ()},
        "style": lambda n: {"content_layers": (), "style_layers": tuple(layers[: n + 1])},
    }
    words = {"content": "content of", "style": "style up to"}
    return [
        Cell(row, column, changes := asked[kind](column), settle(changes), (f"{words[kind]} {layer}",))
        for row, kind in enumerate(of)
        for column, layer in enumerate(layers)
    ]


def label(knob: str, value: Any) -> str:
    """'content-weight 0.05'."""
    return f"{knob.replace('_', '-')} {_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _range(text: str, parts: list[str], number: type) -> list[float] | list[int]:
    """Equal differences, or equal ratios with ':log', both ends included; rounded where the knob is a whole number."""
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
        log = parts[3:] == ["log"]
        if len(parts) > 3 + log or not 2 <= count <= MOST_VALUES or low - low or high - high:  # ∞ − ∞ is NaN: true
            raise ValueError
    except (ValueError, IndexError):
        raise _wrong(f"`vary` {text} is no range of 2 to {MOST_VALUES} values", FORMS, text) from None
    if log and not (low > 0 and high > 0):
        raise _wrong(f"`vary` {text} goes to 0 or below, which has no ratio", "leave :log out or begin above 0", text)
    shares = [n / (count - 1) for n in range(count)]
    values = [low ** (1 - t) * high**t if log else low + (high - low) * t for t in shares]
    return [round(value) for value in values] if number is int else [float(f"{value:.6g}") for value in values]


def _wrong(fault: str, cure: str, value: object) -> SettingsError:
    return SettingsError(fault, cure, knob="vary", value=value)


def _is_list(knob: str) -> bool:
    return get_origin(Settings.model_fields[knob].annotation) is tuple


def _kind_of_number(knob: str) -> type | None:
    """`int` or `float` where the knob is that, or that or a word; None otherwise."""
    annotation = Settings.model_fields[knob].annotation
    kinds = [getattr(kind, "__origin__", kind) for kind in (annotation, *get_args(annotation))]
    return float if float in kinds else int if int in kinds else None
