"""What became of each picture of a batch: a line of JSON in the folder's manifest.jsonl, the truth of a later run.

Lines are added as pictures end and the last line of a picture counts, so a killed run loses at most the line that it
was writing; when a run begins and ends, the file is written anew with one line a picture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from impasto.errors import ImpastoError
from impasto.storage.files import quoted, reason, write_atomically

NAME = "manifest.jsonl"


class State(StrEnum):
    """What became of a picture."""

    DONE = "done"
    FAILED = "failed"
    CUT_OFF = "cut off"


@dataclass(frozen=True)
class Record:
    """One picture: what it is of, what became of it, by which `key`, and the SHA-256 of the file that was written.

    `key` is empty where settings alone don't lead to it, as of one whose knobs were turned on the way. `output` is a
    name within the folder. `seconds` is what painting took, all starts together; `error` a sentence.
    """

    content: str
    styles: tuple[str, ...]
    output: str
    key: str
    state: State
    seconds: float = 0.0
    sha256: str | None = None
    loss: float | None = None
    error: str | None = None
    version: str = ""
    date: str = ""

    @property
    def inputs(self) -> tuple[str, tuple[str, ...]]:
        """Content and styles, as `BatchJob.inputs` has them."""
        return self.content, self.styles


def recorded(inputs: tuple[str, tuple[str, ...]], output: str, key: str, result: Mapping[str, Any]) -> Record:
    """The record of a picture by this version now, of what its task gives back: see `painting.paint`."""
    content, styles = inputs
    return Record(
        content=content,
        styles=styles,
        output=output,
        key=key,
        state=State(result["state"]),
        seconds=result.get("seconds", 0.0),
        sha256=result.get("sha256"),
        loss=result.get("loss"),
        error=result.get("error"),
        version=version("impasto"),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


class Manifest:
    """The records of a folder by output; raises `ImpastoError` where the file can't be read or written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.records: dict[str, Record] = {}
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        except (OSError, UnicodeDecodeError) as error:
            raise ImpastoError(
                f"{quoted(self.path)} can't be read ({reason(error)})", "choose another folder"
            ) from None
        for number, line in enumerate(lines, start=1):
            try:
                record = TypeAdapter(Record).validate_python(json.loads(line))
            except (ValueError, ValidationError, RecursionError):
                if number == len(lines):  # cut by a crash; the picture is painted again
                    continue
                raise ImpastoError(
                    f"{quoted(self.path)} is damaged in line {number}", "remove that line, or choose another folder"
                ) from None
            self.records[record.output] = record

    def add(self, record: Record) -> None:
        """Note what became of a picture, at once on the disk."""
        self.records[record.output] = record
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(record))
        except OSError as error:
            raise self._unwritten(error) from None

    def compact(self) -> None:
        """Write the file anew, with one line a picture, in the order of their first appearance."""
        text = "".join(map(_line, self.records.values()))
        try:
            write_atomically(self.path, lambda file: file.write(text.encode()))
        except OSError as error:
            raise self._unwritten(error) from None

    def _unwritten(self, error: OSError) -> ImpastoError:
        return ImpastoError(
            f"{quoted(self.path)} can't be written ({reason(error)})",
            "put that right and run the same again: what is finished stays",
        )


def _line(record: Record) -> str:
    found: dict[str, Any] = {name: value for name, value in asdict(record).items() if value is not None}
    return json.dumps(found, ensure_ascii=False) + "\n"
