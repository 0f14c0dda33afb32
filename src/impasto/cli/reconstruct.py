"""`impasto reconstruct`: what each layer of the network knows of a picture."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from impasto.cli import knobs
from impasto.cli.error_text import flag
from impasto.cli.outputs import SheetOutputs, default_sheet, placed
from impasto.cli.sheets import paint_sheet
from impasto.errors import SettingsError
from impasto.settings import grid
from impasto.settings.reconstruction import LAYERS, OWN, USUAL
from impasto.settings.settings import Settings


def reconstruct(
    image: Annotated[str, Parameter(help="The picture.")],
    /,
    *,
    of: Annotated[Literal["content", "style", "both"], Parameter(help="What to reconstruct.")] = "both",
    layers: Annotated[
        str, Parameter(metavar="A,B,…", help="Content: each of these alone. Style: up to each of these.")
    ] = ",".join(LAYERS),
    output: knobs.Sheet = None,
    keep: knobs.Keep = None,
    overwrite: knobs.Overwrite = False,
    json: knobs.AsJson = False,
    quiet: knobs.Quiet = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: knobs.Flags = None,
) -> int:
    """Paint a picture from noise by what one layer knows of its content, or layers up to one of its style.

    As figure 1 of Gatys, Ecker & Bethge 2015: two rows on one sheet. Default here: 256 px, one size, average pooling.
    """
    if strays := [knob for knob in OWN if knob in (flags or {})]:
        cure = "drop it; `layers` says what counts"
        raise SettingsError(f"`{strays[0]}` is set by reconstruct itself", cure, knob=strays[0])
    names = [name.strip() for name in layers.split(",")]
    given = [knobs.Layer(USUAL), *knobs.layers(flags or {}, os.environ, config, preset)]

    def settle(changes: dict[str, Any]) -> Settings:
        return knobs.settle(*given, knobs.Layer(OWN | changes, flag("layers")))

    cells = grid.reconstructions(names, settle, ("content", "style") if of == "both" else (of,))
    files = SheetOutputs(placed(output, default_sheet(image, (), "reconstruction")), cells, keep, overwrite)
    return paint_sheet(image, [image], cells, files, config, as_json=json, quiet=quiet)
