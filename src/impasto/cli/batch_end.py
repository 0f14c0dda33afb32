"""What a batch leaves behind besides its pictures, and says at its end: a sheet, a summary and an exit code."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.terminal import duration, note, tell_json, tell_path
from impasto.errors import ImpastoError
from impasto.jobs.batch import summary
from impasto.jobs.batch.manifest import State

if TYPE_CHECKING:
    from impasto.jobs.batch.batch import Batch
    from impasto.jobs.batch.job import BatchJob

SOME_FAILED = 3
"""The exit code where all has ended and not all is painted."""


def tell_end(batch: Batch, jobs: Sequence[BatchJob], seconds: float, *, as_json: bool, quiet: bool) -> int:
    """Write the sheet and the summary, say where they are; the exit code."""
    records = [batch.manifest.records.get(job.output.name) for job in jobs]
    found = summary.summary(
        records,
        painted_now=sum(one.state is State.DONE for one in batch.ended),
        skipped=len(batch.skipped),
        seconds=seconds,
    )
    pairs = zip(jobs, records, strict=True)
    sheet = _write_sheet(batch.folder, [job for job, one in pairs if one and one.state is State.DONE], len(jobs))
    with contextlib.suppress(OSError):  # the manifest has all that it tells
        summary.write(batch.folder, found)
    if as_json:
        tell_json(found | {"output": str(batch.folder), "sheet": None if sheet is None else str(sheet)})
    else:
        tell_path(batch.folder)
        if not quiet:
            note(
                f"{found['done']} of {len(jobs)} pictures are done, {found['painted_now']} of them painted now "
                f"in {duration(seconds)}; {found['failed']} failed."
            )
    return SOME_FAILED if found["failed"] or found["unfinished"] else 0


def _write_sheet(folder: Path, done: Sequence[BatchJob], of: int) -> Path | None:
    """All pictures that are done, small, on one sheet; None where there are none or it can't be written."""
    from impasto.report import sheet_of_files

    pictures = [(job.output, job.name.split(" in ")) for job in done]
    try:
        return sheet_of_files.write(folder / summary.SHEET, pictures, folder.absolute().name, of)
    except ImpastoError as error:
        note(str(error))
        return None
