"""`impasto batch`: many photos in many styles, into a folder that knows what is done."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli import knobs
from impasto.cli.batch_how import How
from impasto.cli.cluster import Address
from impasto.cli.knobs import OUTPUT, SELDOM
from impasto.cli.weights import fetch_if_missing
from impasto.errors import SettingsError
from impasto.storage.files import quoted

if TYPE_CHECKING:
    from impasto.jobs.batch.job import Wanted


def batch(
    contents: Annotated[list[str], Parameter(metavar="CONTENT…", help="Photos, folders of photos, or patterns.")] = [],  # noqa: B006
    /,
    *,
    styles: Annotated[
        list[str],
        Parameter(
            metavar="STYLE…",
            consume_multiple=True,
            help="Paintings, folders, patterns, or names from 'impasto swatches'; every photo is painted in each.",
        ),
    ] = [],  # noqa: B006
    folder: Annotated[
        Path,
        Parameter(("--output", "-o"), metavar="DIR", group=OUTPUT, help="The folder that the pictures go to."),
    ],
    zip: Annotated[
        bool, Parameter(help="Paint the first photo in the first style, the second in the second …")
    ] = False,
    manifest: Annotated[
        Path | None,
        Parameter(
            metavar="TABLE",
            help="A .csv or .jsonl table instead: a row a picture, with content, styles, output and any setting.",
        ),
    ] = None,
    format: Annotated[
        str, Parameter(metavar="NAME", group=OUTPUT, help="png, jpg, webp, avif, tif or bmp. [default: png]")
    ] = "png",
    workers: Annotated[
        int | None,
        Parameter(metavar="N", help="Pictures painted at once. [default: one a processor, as memory lets]"),
    ] = None,
    executor: Annotated[
        str, Parameter(metavar="NAME", help="Where they are painted: 'local', or 'ray' for a cluster. [default: local]")
    ] = "local",
    address: Address = None,
    fetch: Annotated[
        bool,
        Parameter(group=SELDOM, help="The cluster shares no folder with this machine: send inputs, fetch pictures."),
    ] = False,
    watch: Annotated[bool, Parameter(help="Go on until Ctrl-C: paint what is put into the folders.")] = False,
    dry_run: Annotated[bool, Parameter(help="Say what would be painted and how long it takes.")] = False,
    overwrite: knobs.Overwrite = False,
    json: knobs.AsJson = False,
    quiet: knobs.Quiet = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: knobs.Flags = None,
) -> int:
    """Paint many photos in many styles, into a folder; run again, it paints only what is missing.

    Try: impasto batch photos/ --styles mosaic dots -o painted/

    DIR/manifest.jsonl says what became of each; what was cut off goes on from where it was. Exit code 3: some failed.
    """
    if not contents and manifest is None:
        raise SettingsError("No photo was given", "name photos or folders, or give a `manifest`", knob="contents")
    if manifest is not None and (contents or styles or zip or watch):
        raise SettingsError(
            "`manifest` names the photos and styles", "give no others, and no `zip` or `watch`", knob="manifest"
        )
    layers = knobs.layers(flags or {}, os.environ, config, preset)
    settings = knobs.settle(*layers)
    how = How(workers, executor, address, fetch)
    how.check()
    fetch_if_missing(settings.weights, quiet=quiet)
    from impasto.cli.batch_run import BatchRun
    from impasto.jobs.batch import job

    def wanted() -> list[Wanted]:
        if manifest is not None:
            return _rows(manifest, layers)
        chosen = [style for given in styles for style in _styles_of(given)]
        return job.pairs(_photos(contents, folder, may_be_empty=watch), chosen, settings, zipped=zip)

    run = BatchRun(folder, wanted, _suffix(format), how, overwrite=overwrite, quiet=quiet)
    if dry_run:
        return run.tell_plan(as_json=json)
    return run.paint(contents if watch else None, as_json=json)


def _photos(contents: Sequence[str], output: Path, *, may_be_empty: bool) -> list[Path]:
    """The files of photos, none of which lies where the pictures go: they would be painted themselves next time."""
    from impasto.jobs.batch import job

    files = job.contents(contents, may_be_empty=may_be_empty)
    if any(file.absolute().parent == output.absolute() for file in files):
        raise SettingsError(
            f"{quoted(output)} is the photos' own folder, and its pictures would be painted again next time",
            "choose another one with `output`",
            knob="output",
            value=str(output),
        )
    return files


def _styles_of(given: str) -> list[str]:
    """A swatch's name or a file as it is; the pictures of a folder or a pattern."""
    from impasto.jobs.batch import job

    path = Path(given)
    return [str(file) for file in job.contents([given])] if path.is_dir() or glob.has_magic(given) else [given]


def _rows(table: Path, layers: Sequence[knobs.Layer]) -> list[Wanted]:
    """What a table asks for, its rows' own settings beating all others; raises `SettingsError` that names the line."""
    from impasto.jobs.batch.job import Wanted
    from impasto.jobs.batch.table import read

    return [
        Wanted(
            row.content,
            row.styles,
            knobs.settle(*layers, knobs.Layer(row.knobs, f"{table}, line {row.line}")),
            row.output,
        )
        for row in read(table)
    ]


def _suffix(format: str) -> str:
    from impasto.images.writing import FORMATS

    if (suffix := f".{format.lower().lstrip('.')}") not in FORMATS:
        known = ", ".join(name[1:] for name in FORMATS)
        raise SettingsError(f"`format` is {format!r}", f"choose from {known}", knob="format", value=format)
    return suffix
