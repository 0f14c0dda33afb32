"""`impasto resume`: going on with a run that was interrupted, killed or out of room."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from impasto.cli.outputs import Outputs, recalled
from impasto.cli.recipes import again
from impasto.cli.running import run as drive
from impasto.cli.terminal import note, tell, tell_json
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
    json: Annotated[bool, Parameter(help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, Parameter(help="Show no progress.")] = False,
) -> int:
    """Go on with an unfinished run from its last saved state, to the same picture as if nothing had happened."""
    folder = run if run.is_dir() else run.with_name(run.name + ".run")
    recipe, noted = origin(folder)
    files = recalled(noted, folder)
    stylization = again(recipe, files, content, style or (), [], quiet=quiet)
    return drive(stylization, files, as_json=json, quiet=quiet, resume=True)


def earlier(files: Outputs) -> tuple[Recipe | None, bool]:
    """The recipe of what `paint --resume` goes on with, None where there is nothing, and whether it is finished.

    A finished picture isn't looked at where it may be overwritten.
    """
    from impasto.images import reading
    from impasto.jobs.checkpointer import STATE

    if (files.folder / STATE).exists():
        return origin(files.folder)[0], False
    if not files.overwrite:
        with contextlib.suppress(ImageError):
            return Recipe.from_json(reading.read_note(files.picture), str(files.picture)), True
    return None, False


def tell_finished(files: Outputs, *, as_json: bool) -> int:
    """What there is to say of a run that had ended before; it may have been killed before it could tidy up."""
    from impasto.jobs.checkpointer import tidy

    tidy(files.folder)
    if as_json:
        tell_json({"output": str(files.picture), "finished": True, "run": None})
    else:
        tell(str(files.picture))
    note("The picture had been finished before.")
    return 0


def origin(folder: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a run and its outputs as they were noted; raises `ImpastoError`."""
    from impasto.jobs import checkpoint
    from impasto.jobs.checkpointer import STATE

    return checkpoint.read_origin(folder / STATE)
