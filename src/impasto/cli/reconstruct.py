"""`impasto reconstruct`: what each layer of the network knows of a picture."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from impasto.cli import knobs
from impasto.cli.sheets import Files, Keep, Sheet, default_sheet, paint_sheet
from impasto.errors import SettingsError
from impasto.settings import grid
from impasto.settings.settings import Settings, flag

LAYERS = "relu1_1,relu2_1,relu3_1,relu4_1,relu5_1"

KNOBS: dict[str, Any] = {"size": 256, "init": "noise", "scales": 1, "objective": "gatys", "pooling": "average"}
"""The paper's way, small; whatever is given beats it."""

SET_HERE: dict[str, Any] = {
    **dict.fromkeys(("content_layers", "style_layers", "content_layer_weights", "layer_weights", "style_weights"), ()),
    **dict.fromkeys(("content_weight", "style_weight"), 1.0),
}
"""What each picture of the sheet settles itself, from this on."""


def reconstruct(
    image: Annotated[str, Parameter(help="The picture.")],
    /,
    *,
    of: Annotated[Literal["content", "style", "both"], Parameter(help="What to reconstruct.")] = "both",
    layers: Annotated[
        str, Parameter(metavar="A,B,…", help="Content: each of these alone. Style: up to each of these.")
    ] = LAYERS,
    output: Sheet = None,
    keep: Keep = None,
    overwrite: knobs.Overwrite = False,
    json: knobs.AsJson = False,
    quiet: knobs.Quiet = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: knobs.Flags = None,
) -> int:
    """Paint a picture reset from noise by what one layer knows of its content, or layers up to one of its style.

    As figure 1 of Gatys, Ecker & Bethge 2015: two rows on one sheet. Default here: 256 px, one size, average pooling.
    """
    if strays := [knob for knob in SET_HERE if knob in (flags or {})]:
        raise SettingsError(f"{flag(strays[0])} is set by reconstruct itself: drop it; --layers says what counts.")
    names = [name.strip() for name in layers.split(",")]
    given = [knobs.Layer(KNOBS), *knobs.layers(flags or {}, os.environ, config, preset)]

    def settle(changes: dict[str, Any]) -> Settings:
        return knobs.settle(*given, knobs.Layer(SET_HERE | changes, "--layers"))

    cells = grid.reconstructions(names, settle, ("content", "style") if of == "both" else (of,))
    files = Files(output or default_sheet(image, (), "reconstruction"), cells, keep, overwrite)
    return paint_sheet(image, [image], cells, files, config, as_json=json, quiet=quiet)
