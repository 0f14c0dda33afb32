"""`impasto sweep`: one photo over a grid of settings, on one sheet."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import Parameter

from impasto import grid
from impasto.cli import knobs, outputs
from impasto.cli.knobs import OUTPUT
from impasto.cli.running import Interruption
from impasto.cli.terminal import duration, note, tell, tell_json
from impasto.cli.weights import fetch_if_missing
from impasto.errors import DivergedError, ImpastoError, SettingsError
from impasto.events import Finished
from impasto.files import quoted, reason
from impasto.grid import Cell
from impasto.settings import Settings, flag

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.sweep import Sweep


def sweep(
    content: Annotated[str, Parameter(help="The photo.")],
    style: Annotated[list[str], Parameter(metavar="STYLE…", help="Paintings, or names from 'impasto swatches'.")],
    /,
    *,
    vary: Annotated[
        list[str],
        Parameter(
            metavar="KNOB=VALUES",
            help="A setting and its values: a,b,c or from:to:count, with :log for equal ratios. "
            "Once or twice: the first goes across, the second down.",
        ),
    ],
    output: Annotated[
        Path | None,
        Parameter(
            ("--output", "-o"),
            metavar="SHEET",
            group=OUTPUT,
            help="Where the sheet goes: .png, .jpg, .webp, .tif or .bmp. "
            "Default: CONTENT_STYLE_sweep.png beside the photo.",
        ),
    ] = None,
    keep: Annotated[
        Path | None, Parameter(metavar="FOLDER", group=OUTPUT, help="Also write every picture, with its recipe.")
    ] = None,
    overwrite: Annotated[bool, Parameter(group=OUTPUT, help="Replace files that exist.")] = False,
    json: Annotated[bool, Parameter(group=OUTPUT, help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, Parameter(group=OUTPUT, help="Show no progress.")] = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: Annotated[knobs.Knobs | None, Parameter(name="*")] = None,
) -> int:
    """Paint a photo over one or two varied settings, and put the pictures on one labelled sheet.

    Try: impasto sweep photo.jpg dots --size 256 --vary content-weight=0.01:1:5:log --vary pooling=max,average
    """
    cells = _cells([grid.parse_axis(text) for text in vary], flags or {}, config, preset)
    files = Files(Path(content), style, cells, output, keep, overwrite)
    if Path(content).exists():  # if not, that is the first thing to say, and Sweep says it
        files.check([Path(content), *map(Path, style), *([] if config is None else [config])])
    for source in sorted({cell.settings.weights for cell in cells}):
        fetch_if_missing(source, quiet=quiet)
    from impasto.sweep import Sweep

    return _run(Sweep(content, style, cells), files, as_json=json, quiet=quiet)


def _cells(axes: Sequence[grid.Axis], flags: Mapping[str, Any], config: Path | None, preset: str | None) -> list[Cell]:
    if both := [axis.knob for axis in axes if axis.knob in flags]:
        raise SettingsError(f"{flag(both[0])} is given and varied too: drop one.")
    layers = knobs.layers(flags, os.environ, config, preset)
    return grid.cells(axes, lambda changes: knobs.settle(*layers, knobs.Layer(changes, "--vary")))


class Files:
    """The files of a sweep: their names, and the checks that they can be written, made before the work."""

    def __init__(
        self, content: Path, styles: Sequence[str], cells: Sequence[Cell], sheet: Path | None, folder: Path | None,
        overwrite: bool,
    ) -> None:  # fmt: skip
        name = outputs.default_picture(content, styles).name.replace("_impasto.png", "_sweep.png")
        self.sheet = sheet or content.with_name(name)
        self.folder, self.overwrite, self.cells = folder, overwrite, cells
        width = len(str(len(cells)))
        self.pictures = (
            []
            if folder is None
            else [folder / f"{n:0{width}}_{_file_name(cell.labels())}.png" for n, cell in enumerate(cells, start=1)]
        )

    def check(self, inputs: Sequence[Path]) -> None:
        """Raise `SettingsError` or `ImageError` for whatever can be known to fail later; makes the folder."""
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ImpastoError(f"{quoted(self.folder)} can't be made ({reason(error)}): choose another.") from None
        everything = outputs.Outputs(self.sheet, dict(enumerate(self.pictures)), overwrite=self.overwrite)
        everything.check(Settings(), inputs)


def _file_name(labels: Sequence[str]) -> str:
    """'content-weight-0.05_size-256': whatever a file's name may hold anywhere."""
    return "_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", label).strip("-.")[:60] for label in labels)


@dataclass(frozen=True)
class Result:
    """What became of a cell: its last picture; where it diverged, that is the last good one, and there is no loss."""

    picture: Tensor
    seconds: float
    loss: float | None = None


def _run(sweep: Sweep, files: Files, *, as_json: bool, quiet: bool) -> int:
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
            return 128 + (interruption.signal or signal.SIGINT)
        _write_sheet(sweep, files, results)
    _tell(sweep, files, results, as_json=as_json)
    if len(results) < len(sweep.cells):
        note(f"Interrupted after {len(results)} of {len(sweep.cells)} pictures: the sheet has those.")
        return 128 + (interruption.signal or signal.SIGINT)
    return 0


def _keep(sweep: Sweep, files: Files, number: int, result: Result) -> None:
    """Write the picture of a cell if asked to; only a finished one carries its recipe."""
    if not files.pictures:
        return
    from impasto import images

    painting = sweep.paintings[number]
    recipe = None if result.loss is None else painting.recipe().to_json()
    alpha = painting.alpha(result.picture)
    images.save(files.pictures[number], result.picture, alpha=alpha, note=recipe, overwrite=files.overwrite)


def _progress(sweep: Sweep, results: Mapping[int, Result], number: int) -> str:
    """'2/6  size 256: 12 s, about 1 min 05 s left.', at the pace so far."""
    done = sum(sweep.prospects[n].seconds for n in results)
    left = sum(result.seconds for result in results.values()) * (sweep.seconds / done - 1)
    result = results[number]
    what = ", ".join(sweep.cells[number].labels()) + (" diverged" if result.loss is None else "")
    rest = f", about {duration(left)} left" if len(results) < len(sweep.cells) else ""
    return f"{len(results)}/{len(sweep.cells)}  {what}: {duration(result.seconds)}{rest}."


def _write_sheet(sweep: Sweep, files: Files, results: Mapping[int, Result]) -> None:
    from impasto import images
    from impasto.sheet import Shot, draw, wrapped

    shots: list[Shot | None] = []
    for number, (cell, painting) in enumerate(zip(sweep.cells, sweep.paintings, strict=True)):
        if (result := results.get(number)) is None:
            shots.append(None)
            continue
        labels = cell.labels() + ["diverged"] * (result.loss is None)
        shots.append(Shot(result.picture, labels, painting.alpha(result.picture)))
    columns = 1 + max(cell.column for cell in sweep.cells)
    one_axis = len(sweep.cells) == columns
    rows = wrapped(shots) if one_axis else [shots[n : n + columns] for n in range(0, len(shots), columns)]
    first = sweep.paintings[0]
    title = f"{first.content.name} as {' + '.join(style.name for style in first.styles)}"
    images.save(files.sheet, images.load(draw(rows, title)).pixels, overwrite=files.overwrite)


def _tell(sweep: Sweep, files: Files, results: Mapping[int, Result], *, as_json: bool) -> None:
    if not as_json:
        for path in (files.sheet, *(files.pictures[n] for n in sorted(results) if files.pictures)):
            tell(str(path))
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
