"""A table of jobs, CSV with a line of names above or JSON Lines: a picture a row, with settings of its own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.errors import SettingsError
from impasto.storage.files import quoted, read_small, reason

MOST_BYTES = 64 * 2**20

COLUMNS = "content, styles, output and any setting"


@dataclass(frozen=True)
class Row:
    """One picture: content, styles, the name of the output if there is one, the settings of its own, and its line."""

    content: Path
    styles: tuple[str, ...]
    output: str | None
    knobs: dict[str, Any]
    line: int


def read(path: Path) -> list[Row]:
    """The rows of a table; raises `SettingsError`. Paths are meant from the table's folder.

    `styles` are one or several: in CSV joined with ';', in JSON a text or a list. Empty fields count as not given.
    """
    try:
        text = read_small(path, MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, f"can't be read ({reason(error)})", "check the path; tables are UTF-8") from None
    entries = _json_lines(path, text) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv(path, text)
    rows = [_row(path, line, entry) for line, entry in entries]
    if not rows:
        raise _wrong(path, "has no rows", "write one for each picture")
    return rows


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, each in enumerate(text.splitlines(), start=1):
        if not each.strip():
            continue
        try:
            entry = json.loads(each)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            raise _wrong(path, f"has no JSON object in line {line}", "write one object a line")
        yield line, entry


def _csv(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = csv.reader(io.StringIO(text))
    try:
        names = [name.strip() for name in next(lines, [])]
        for values in lines:
            if not any(value.strip() for value in values):
                continue
            if len(values) > len(names):
                raise _wrong(path, f"has {len(values)} fields in line {lines.line_num}, more than names above", COLUMNS)
            entry: dict[str, Any] = dict(zip(names, values, strict=False))
            if "styles" in entry:
                entry["styles"] = entry["styles"].split(";")
            yield lines.line_num, entry
    except csv.Error as error:
        raise _wrong(path, f"isn't CSV in line {lines.line_num} ({error})", "quote what holds commas") from None


def _row(path: Path, line: int, entry: dict[str, Any]) -> Row:
    given = {name.replace("-", "_"): value for name, value in entry.items() if value not in ("", None)}
    content, styles, output = (given.pop(name, None) for name in ("content", "styles", "output"))
    styles = [styles] if isinstance(styles, str) else styles
    texts = isinstance(styles, list) and all(isinstance(style, str) for style in styles)
    styles = [style.strip() for style in styles if style.strip()] if texts and styles else []
    if not isinstance(content, str) or not styles:
        raise _wrong(path, f"lacks a content or a style in line {line}", f"its columns are {COLUMNS}")
    if output is not None and (not isinstance(output, str) or Path(output).name != output):
        raise _wrong(path, f"names the output {output!r} in line {line}", "give a file's name without folders")
    return Row(path.parent / content, tuple(_located(path, style) for style in styles), output, given, line)


def _located(path: Path, style: str) -> str:
    """A style that is a file beside the table; a swatch's name stays, and so does what is neither."""
    beside = path.parent / style
    return str(beside) if beside.exists() else style


def _wrong(path: Path, fault: str, cure: str) -> SettingsError:
    return SettingsError(f"The table {quoted(path)} {fault}", cure, knob="manifest", value=str(path))
