"""`impasto sweep`: one photo over a grid of settings, on one sheet."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from impasto.cli import knobs
from impasto.cli.error_text import flag
from impasto.cli.outputs import SheetOutputs, default_sheet, placed
from impasto.cli.sheets import paint_sheet
from impasto.errors import SettingsError
from impasto.settings import grid
from impasto.settings.grid import Cell


def sweep(
    content: knobs.Content,
    style: knobs.Styles,
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
    output: knobs.Sheet = None,
    keep: knobs.Keep = None,
    overwrite: knobs.Overwrite = False,
    json: knobs.AsJson = False,
    quiet: knobs.Quiet = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: knobs.Flags = None,
) -> int:
    """Paint a photo over one or two varied settings, and put the pictures on one labelled sheet.

    Try: impasto sweep photo.jpg dots --size 256 --vary content-weight=0.01:1:5:log --vary pooling=max,average
    """
    cells = _cells([grid.parse_axis(text) for text in vary], flags or {}, config, preset)
    sheet = placed(output, default_sheet(content, style, "sweep"))
    files = SheetOutputs(sheet, cells, keep, overwrite)
    return paint_sheet(content, style, cells, files, config, as_json=json, quiet=quiet)


def _cells(axes: Sequence[grid.Axis], flags: Mapping[str, Any], config: Path | None, preset: str | None) -> list[Cell]:
    if both := [axis.knob for axis in axes if axis.knob in flags]:
        raise SettingsError(f"`{both[0]}` is given and varied too", "drop one", knob=both[0], value=flags[both[0]])
    layers = knobs.layers(flags, os.environ, config, preset)
    return grid.cells(axes, lambda changes: knobs.settle(*layers, knobs.Layer(changes, flag("vary"))))
