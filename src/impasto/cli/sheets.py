"""Painting many pictures for one labelled sheet, from the shell: what `sweep` and `reconstruct` share."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from impasto.cli.outputs import SheetOutputs, inputs
from impasto.cli.terminal import duration, note, tell_json, tell_path
from impasto.cli.weights import fetch_if_missing
from impasto.errors import DivergedError, SettingsError
from impasto.run.events import Finished
from impasto.settings.grid import Cell
from impasto.storage.process import Interruption

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.jobs.sweep import Sweep


def paint_sheet(
    content: str,
    styles: Sequence[str],
    cells: Sequence[Cell],
    files: SheetOutputs,
    config: Path | None,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Check everything, paint the cells, write what `files` names, and return the exit code."""
    if not files.pictures and any(cell.settings.keep_exif or cell.settings.keep_gps for cell in cells):
        raise SettingsError(
            "A sheet carries nothing that a camera noted", "drop `keep_exif` and `keep_gps`, or `keep` the pictures too"
        )
    if Path(content).exists():  # if not, that is the first thing to say, and Sweep says it
        files.check([path for cell in cells for path in inputs([content, *styles], cell.settings, config)])
    for source in sorted({cell.settings.weights for cell in cells}):
        fetch_if_missing(source, quiet=quiet)
    from impasto.jobs.sweep import Sweep

    return _run(Sweep(content, styles, cells), files, as_json=as_json, quiet=quiet)


@dataclass(frozen=True)
class Result:
    """What became of a cell: its last picture; where it diverged, that is the last good one, and there is no loss."""

    picture: Tensor
    seconds: float
    loss: float | None = None


def _run(sweep: Sweep, files: SheetOutputs, *, as_json: bool, quiet: bool) -> int:
    """Paint the cells, write what `files` names, say where it is, and return the exit code.

    The first Ctrl-C (SIGTERM) leaves a sheet of what is done and returns 130 (143).
    """
    if not quiet:
        note(f"{len(sweep.cells)} pictures, about {duration(sweep.seconds)}.")
    results: dict[int, Result] = {}
    began = time.perf_counter()
    with Interruption() as interruption, closing(sweep.events()) as events:
        for number, event in events:
            taken = time.perf_counter() - began - sum(result.seconds for result in results.values())
            if isinstance(event, Finished):
                results[number] = Result(event.picture, taken, event.loss)
            elif isinstance(event, DivergedError):
                results[number] = Result(cast("Tensor", event.picture), taken)
            if isinstance(event, Finished | DivergedError):
                _keep(sweep, files, number, results[number])
                if not quiet:
                    note(_progress(sweep, results, number))
            if interruption.signal is not None:
                break
        if not results:
            note("Interrupted before there was a picture: no sheet was written.")
            return interruption.code
        _write_sheet(sweep, files, results)
    _tell(sweep, files, results, as_json=as_json)
    if len(results) < len(sweep.cells):
        note(f"Interrupted after {len(results)} of {len(sweep.cells)} pictures: the sheet has those.")
        return interruption.code
    return 0


def _keep(sweep: Sweep, files: SheetOutputs, number: int, result: Result) -> None:
    """Write the picture of a cell if asked to; only a finished one carries its recipe."""
    if not files.pictures:
        return
    from impasto.images import writing

    stylization = sweep.stylizations[number]
    recipe = None if result.loss is None else stylization.recipe().without_folders().to_json()
    writing.save(
        files.pictures[number],
        result.picture,
        alpha=stylization.alpha(result.picture),
        note=recipe,
        camera=stylization.camera(),
        dpi=stylization.dpi,
        overwrite=files.overwrite,
    )


def _progress(sweep: Sweep, results: Mapping[int, Result], number: int) -> str:
    """'2/6  size 256: 12 s, about 1 min 05 s left.', at the pace so far."""
    done = sum(sweep.estimates[n] for n in results)
    left = sum(result.seconds for result in results.values()) * (sweep.seconds / done - 1)
    result = results[number]
    what = ", ".join(sweep.cells[number].labels) + (" diverged" if result.loss is None else "")
    rest = f", about {duration(left)} left" if len(results) < len(sweep.cells) else ""
    return f"{len(results)}/{len(sweep.cells)}  {what}: {duration(result.seconds)}{rest}."


def _write_sheet(sweep: Sweep, files: SheetOutputs, results: Mapping[int, Result]) -> None:
    from impasto.images import reading, writing
    from impasto.report.contact_sheet import LabelledImage, draw, in_rows

    shots: list[LabelledImage | None] = []
    for number, (cell, stylization) in enumerate(zip(sweep.cells, sweep.stylizations, strict=True)):
        if (result := results.get(number)) is None:
            shots.append(None)
            continue
        labels = [*cell.labels, *["diverged"] * (result.loss is None)]
        shots.append(LabelledImage(result.picture, labels, stylization.alpha(result.picture)))
    columns = 1 + max(cell.column for cell in sweep.cells)
    one_axis = len(sweep.cells) == columns
    rows = in_rows(shots) if one_axis else [shots[n : n + columns] for n in range(0, len(shots), columns)]
    first = sweep.stylizations[0]
    others = [style.name for style in first.styles if style.sha256 != first.content.sha256]
    title = first.content.name + (f" as {' + '.join(others)}" if others else "")
    writing.save(files.sheet, reading.load(draw(rows, title)).pixels, overwrite=files.overwrite)


def _tell(sweep: Sweep, files: SheetOutputs, results: Mapping[int, Result], *, as_json: bool) -> None:
    if not as_json:
        for path in (files.sheet, *(files.pictures[n] for n in sorted(results) if files.pictures)):
            tell_path(path)
        return
    cells = []
    for number, result in sorted(results.items()):
        settings = sweep.cells[number].settings.model_dump(mode="json")
        cells.append(
            {
                "varied": {knob: settings[knob] for knob in sweep.cells[number].changes},
                "loss": result.loss,
                "seconds": round(result.seconds, 3),
                "picture": str(files.pictures[number]) if files.pictures else None,
            }
        )
    tell_json({"output": str(files.sheet), "finished": len(results) == len(sweep.cells), "cells": cells})
