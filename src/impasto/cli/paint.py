"""`impasto paint`: a photo in the manner of one or more paintings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli import knobs, outputs
from impasto.cli.cluster import Address, Executor, Tiles
from impasto.cli.knobs import OUTPUT, SELDOM
from impasto.cli.recipes import tell_differences
from impasto.cli.resume import earlier, tell_finished
from impasto.cli.running import run
from impasto.cli.silent_losses import silent_losses
from impasto.cli.terminal import note
from impasto.cli.weights import fetch_if_missing
from impasto.errors import ImpastoError
from impasto.storage.array_cache import check_ahead

Picture = Annotated[
    str | None,
    Parameter(
        ("--output", "-o"),
        metavar="OUT",
        group=OUTPUT,
        help="Where the picture goes: .png, .jpg, .webp, .avif, .tif or .bmp, or a folder. "
        "Default: CONTENT_STYLE_impasto.png beside the photo.",
    ),
]
Snapshots = Annotated[
    str | None,
    Parameter(metavar="1,5,…", group=OUTPUT, help="Also write these epochs, as OUT_epoch-01.png and so on."),
]
Report = Annotated[
    Path | None,
    Parameter(
        metavar="FIGURE",
        group=OUTPUT,
        help="Also draw the run as .png, .pdf or .svg, with its measures in a .json beside it.",
    ),
]
NoMetadata = Annotated[
    bool, Parameter(group=SELDOM, help="Leave the recipe, which 'impasto rerun' needs, out of the picture.")
]
Resume = Annotated[
    bool,
    Parameter(group=SELDOM, help="Go on with the unfinished run in OUT.run, to the same picture; else begin one."),
]
Checkpoint = Annotated[
    str,
    Parameter(
        metavar="SECONDS",
        group=SELDOM,
        help="How often the run's state is saved in OUT.run: seconds, 'off', or 'auto' for each minute, or more "
        "seldom where saving would take more than 1 % of the time. [default: auto]",
    ),
]


def paint(
    content: knobs.Content,
    style: knobs.Styles,
    /,
    *,
    output: Picture = None,
    snapshots: Snapshots = None,
    report: Report = None,
    overwrite: knobs.Overwrite = False,
    no_metadata: NoMetadata = False,
    resume: Resume = False,
    checkpoint: Checkpoint = "auto",
    executor: Executor = "local",
    address: Address = None,
    json: knobs.AsJson = False,
    quiet: knobs.Quiet = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: knobs.Flags = None,
) -> int:
    """Paint a photo in the manner of one or more paintings.

    Flags beat the environment (IMPASTO_STYLE_WEIGHT), which beats --config, which beats --preset.
    """
    tiles = Tiles(executor, address)
    settings = tiles.settle(knobs.from_shell(flags or {}, os.environ, config, preset))
    check_ahead()  # while torch is imported, for the first time by what checks the outputs
    picture = outputs.placed(output, outputs.default_picture(Path(content), style))
    epochs, every = outputs.parse_epochs(snapshots, settings.epochs), outputs.parse_every(checkpoint)
    snapshot_paths = outputs.snapshot_paths(picture, epochs)
    files = outputs.Outputs(picture, snapshot_paths, report, overwrite, not no_metadata, every)
    files, began, done = earlier(files) if resume else (files, None, False)
    if began is not None:
        asked, settings = settings, began.continued(settings)
        if asked.style_scale == "auto" and not quiet:
            note(f"`style_scale` auto goes on as {settings.style_factor:g}, as the run began.")
    if Path(content).exists():  # if not, that is the first thing to say, and Stylization says it
        files.check(settings, outputs.inputs([content, *style], settings, config))
    fetch_if_missing(settings.weights, quiet=quiet)
    from impasto.jobs.stylization import Stylization

    stylization = Stylization(content, style, settings, steps=None if began is None else began.steps)
    if began is not None:
        if changed := began.changed_inputs(stylization.recipe()):
            raise ImpastoError(changed[0].fault, changed[0].cure, others=changed[1:])
        if done:
            began.check_carried(settings)
            return tell_finished(files, as_json=json)
        tell_differences(began, stylization.recipe())
    for sentence in () if quiet else silent_losses(stylization, files):
        note(sentence)
    with tiles.computing(stylization):
        return run(stylization, files, as_json=json, quiet=quiet, resume=began is not None)
