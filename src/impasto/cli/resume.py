"""`impasto resume`: going on with a run that was interrupted, killed or out of room."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from impasto.cli.noted_outputs import is_own, recalled
from impasto.cli.outputs import Outputs, check_no_film
from impasto.cli.recipes import again
from impasto.cli.running import run as drive
from impasto.cli.terminal import note, tell_json, tell_path
from impasto.errors import ImageError
from impasto.jobs.recipe import Recipe


def resume(
    run: Annotated[Path, Parameter(metavar="RUN", help="A run's folder, OUT.run; or OUT itself.")],
    /,
    *,
    content: Annotated[Path | None, Parameter(metavar="FILE", help="The photo, if it isn't where it was.")] = None,
    style: Annotated[
        list[str] | None, Parameter(metavar="FILE", help="The style, if it isn't where it was; once for each.")
    ] = None,
    report: Annotated[
        Path | None, Parameter(metavar="FIGURE", help="Draw the run there, not where it was to be drawn.")
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Replace files that exist; what your own run wrote is replaced anyhow.")
    ] = False,
    json: Annotated[bool, Parameter(help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, Parameter(help="Show no progress.")] = False,
) -> int:
    """Go on with an unfinished run from its last saved state, to the same picture as if nothing had happened."""
    folder = run if run.is_dir() or run.suffix == ".run" else run.with_name(run.name + ".run")
    if (finished := finished_beside(folder)) is not None:
        return tell_finished(finished, as_json=json)
    check_no_film(run)
    recipe, noted = origin(folder)
    files = recalled(noted, folder, report=report, overwrite=overwrite)
    from impasto.jobs.rerun import located

    stylization = again(located(recipe, [folder.absolute().parent]), files, content, style or (), [])
    return drive(stylization, files, as_json=json, quiet=quiet, resume=True)


def earlier(files: Outputs) -> tuple[Outputs, Recipe | None, bool]:
    """The recipe of what `paint --resume` goes on with, None where there is nothing, and whether it is finished.

    A finished picture isn't looked at where it may be overwritten. The outputs are given back with what is known of
    them then: that a run goes on, which replaces what it wrote if it is the user's own.
    """
    from impasto.images import reading

    if files.unfinished:
        recipe, noted = origin(files.folder)
        mine = files.overwrite or is_own(noted, files.folder)
        return replace(files, overwrite=mine, resumed=True), recipe, False
    if not files.overwrite:
        with contextlib.suppress(ImageError):
            found = Recipe.from_json(reading.read_note(files.picture), str(files.picture))
            return replace(files, overwrite=True), found, True
    return files, None, False


def finished_beside(folder: Path) -> Outputs | None:
    """The outputs of the run that was in a folder, where it has left its picture and nothing to go on with."""
    from impasto.images import reading
    from impasto.jobs.checkpointer import STATE

    picture = folder.with_name(folder.name.removesuffix(".run"))
    if not (folder / STATE).exists() and picture.is_file():
        with contextlib.suppress(ImageError):
            Recipe.from_json(reading.read_note(picture), str(picture))
            return Outputs(picture)
    return None


def tell_finished(files: Outputs, *, as_json: bool) -> int:
    """What there is to say of a run that had ended before; it may have been killed before it could tidy up."""
    from impasto.jobs.checkpointer import tidy

    tidy(files.folder)
    if as_json:
        tell_json({"output": str(files.picture), "finished": True, "run": None})
    else:
        tell_path(files.picture)
    note("The picture had been finished before.")
    return 0


def origin(folder: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a run and its outputs as they were noted; raises `ImpastoError`."""
    from impasto.jobs import checkpoint
    from impasto.jobs.checkpointer import STATE

    return checkpoint.read_origin(folder / STATE)
