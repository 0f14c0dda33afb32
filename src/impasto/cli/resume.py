"""`impasto resume`: going on with a run that was interrupted, killed or out of room."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from impasto.cli.outputs import Outputs, recalled
from impasto.cli.recipes import differences
from impasto.cli.running import run as drive
from impasto.cli.terminal import note, tell, tell_json
from impasto.cli.weights import fetch_if_missing
from impasto.errors import ImageError
from impasto.recipe import Recipe


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
    settings = recipe.checked_settings()
    recorded = [item.path for item in (recipe.content, *recipe.styles, recipe.init) if item is not None]
    given = [content, *map(Path, style or [])]
    files.check(settings, [Path(path) for path in (*recorded, *given) if path is not None])
    fetch_if_missing(settings.weights, quiet=quiet)
    from impasto.painting import from_recipe

    painting = from_recipe(recipe, content=content, styles=style or ())
    for difference in differences(recipe, painting.recipe()):
        note(difference)
    return drive(painting, files, as_json=json, quiet=quiet, resume=True)


def unfinished(files: Outputs) -> Recipe | None:
    """The recipe of the run that `paint --resume` goes on with, None where there is nothing yet."""
    from impasto.keeper import STATE

    return origin(files.folder)[0] if (files.folder / STATE).exists() else None


def finished(picture: Path) -> Recipe | None:
    """The recipe of a finished picture, for `paint --resume` to be said again and again; None where there's none."""
    from impasto import images

    with contextlib.suppress(ImageError):
        return Recipe.from_json(images.read_note(picture), str(picture))
    return None


def tell_finished(files: Outputs, *, as_json: bool) -> int:
    """What there is to say of a run that had ended before; it may have been killed before it could tidy up."""
    from impasto.keeper import tidy

    tidy(files.folder)
    if as_json:
        tell_json({"output": str(files.picture), "finished": True, "run": None})
    else:
        tell(str(files.picture))
    note("The picture had been finished before.")
    return 0


def origin(folder: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a run and its outputs as they were noted; raises `ImpastoError`."""
    from impasto import checkpoint
    from impasto.keeper import STATE

    return checkpoint.read_origin(folder / STATE)
