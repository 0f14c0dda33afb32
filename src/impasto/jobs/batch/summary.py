"""What became of all pictures of a batch, in numbers: the folder's summary.json, and what lies beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impasto.jobs.batch.manifest import Record, State
from impasto.storage.files import write_atomically

NAME = "summary.json"

SHEET = "contact_sheet.png"
"""All pictures on one sheet."""

Summary = dict[str, Any]
"""As JSON has it."""


def summary(records: Sequence[Record | None], *, painted_now: int, skipped: int, seconds: float) -> Summary:
    """Of a record for each picture that was asked for, None where nothing is known of it; `seconds` in all."""
    count = {state: sum(one is not None and one.state is state for one in records) for state in State}
    return {
        "pictures": len(records),
        "done": count[State.DONE],
        "failed": count[State.FAILED],
        "unfinished": len(records) - count[State.DONE] - count[State.FAILED],
        "painted_now": painted_now,
        "skipped": skipped,
        "seconds": round(seconds, 1),
        "failures": {one.output: one.error for one in records if one is not None and one.state is State.FAILED},
    }


def write(folder: Path, found: Summary) -> None:
    """Write it into a folder; raises `OSError`."""
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / NAME, lambda file: file.write(text.encode()))
