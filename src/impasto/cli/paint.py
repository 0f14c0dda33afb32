"""`impasto paint`: a photo in the manner of one or more paintings."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli import knobs, outputs
from impasto.cli.knobs import OUTPUT
from impasto.cli.recipes import differences
from impasto.cli.resume import finished, tell_finished, unfinished
from impasto.cli.running import run
from impasto.cli.terminal import note
from impasto.cli.weights import fetch_if_missing
from impasto.errors import ImpastoError
from impasto.settings import Settings


def paint(
    content: Annotated[str, Parameter(help="The photo.")],
    style: Annotated[list[str], Parameter(metavar="STYLE…", help="Paintings, or names from 'impasto swatches'.")],
    /,
    *,
    output: Annotated[
        Path | None,
        Parameter(
            ("--output", "-o"),
            metavar="OUT",
            group=OUTPUT,
            help="Where the picture goes: .png, .jpg, .webp, .tif or .bmp. "
            "Default: CONTENT_STYLE_impasto.png beside the photo.",
        ),
    ] = None,
    snapshots: Annotated[
        str | None,
        Parameter(metavar="1,5,…", group=OUTPUT, help="Also write these epochs, as OUT_epoch-01.png and so on."),
    ] = None,
    report: Annotated[
        Path | None,
        Parameter(
            metavar="FIGURE",
            group=OUTPUT,
            help="Also draw the run as .png, .pdf or .svg, with its measures in a .json beside it.",
        ),
    ] = None,
    overwrite: Annotated[bool, Parameter(group=OUTPUT, help="Replace files that exist.")] = False,
    no_metadata: Annotated[
        bool, Parameter(group=OUTPUT, help="Leave the recipe, which 'impasto rerun' needs, out of the picture.")
    ] = False,
    resume: Annotated[
        bool,
        Parameter(group=OUTPUT, help="Go on with the unfinished run in OUT.run, to the same picture; else begin one."),
    ] = False,
    checkpoint: Annotated[
        str,
        Parameter(
            metavar="SECONDS",
            group=OUTPUT,
            help="How often the run's state is saved in OUT.run: seconds, 'off', or 'auto' for each minute, or more "
            "seldom where saving would take more than 1 % of the time. [default: auto]",
        ),
    ] = "auto",
    json: Annotated[bool, Parameter(group=OUTPUT, help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, Parameter(group=OUTPUT, help="Show no progress.")] = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: Annotated[knobs.Knobs | None, Parameter(name="*")] = None,
) -> int:
    """Paint a photo in the manner of one or more paintings.

    Every setting can also come from the environment (--style-weight from IMPASTO_STYLE_WEIGHT) or from a file
    (--config). Flags beat the environment, which beats the file, which beats the preset.
    """
    settings = knobs.from_shell(flags or {}, os.environ, config, preset)
    picture = output or outputs.default_picture(Path(content), style)
    epochs = outputs.parse_epochs(snapshots, settings.epochs)
    files = outputs.Outputs(
        picture, outputs.snapshot_paths(picture, epochs), report, overwrite, not no_metadata,
        outputs.parse_every(checkpoint),
    )  # fmt: skip
    saved = unfinished(files) if resume else None
    done = finished(picture) if resume and saved is None and not overwrite else None
    began = done or saved
    if began is not None:
        files, settings = replace(files, overwrite=True), began.continued(settings)
    if Path(content).exists():  # if not, that is the first thing to say, and Painting says it
        files.check(settings, _inputs(content, style, settings, config))
    fetch_if_missing(settings.weights, quiet=quiet)
    from impasto.painting import Painting

    painting = Painting(content, style, settings)
    if began is not None:
        if changed := began.changed_inputs(painting.recipe()):
            raise ImpastoError("\n".join(changed))
        if done is not None:
            return tell_finished(files, as_json=json)
        for difference in differences(began, painting.recipe()):
            note(difference)
    return run(painting, files, as_json=json, quiet=quiet, resume=saved is not None)


def _inputs(content: str, styles: list[str], settings: Settings, config: Path | None) -> list[Path]:
    paths = [Path(content), *map(Path, styles), Path(settings.weights)]
    if settings.init_is_image:
        paths.append(Path(settings.init))
    return paths if config is None else [*paths, config]
