"""A run's outputs as its state has them: whose they are is known by a seal, as a run may come from a stranger."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.cli.outputs import Outputs
from impasto.errors import ImpastoError
from impasto.jobs.recipe import Text
from impasto.storage.files import quoted
from impasto.storage.seal import is_sealed, seal


def noted(outputs: Outputs) -> dict[str, Any]:
    """What a resumed run has to know of its outputs; names are relative to the folder that the picture is in."""

    def name(path: Path) -> str:
        return os.path.relpath(path.absolute(), outputs.picture.absolute().parent)

    found = {
        "picture": outputs.picture.name,
        "snapshots": {str(epoch): name(path) for epoch, path in outputs.snapshots.items()},
        "figure": None if outputs.figure is None else name(outputs.figure),
        "with_recipe": outputs.with_recipe,
        "every": outputs.every,
    }
    return found | {"seal": seal(_sealed(found, outputs.folder))}


class NotedOutputs(BaseModel):
    """What `Outputs.noted` wrote into a run's state, checked; names are relative to the folder that the run is in."""

    model_config = ConfigDict(strict=True, extra="forbid")

    picture: Text
    snapshots: dict[Annotated[str, Field(pattern=r"^[1-9]\d{0,8}$")], Text]
    figure: Text | None
    with_recipe: bool
    every: Annotated[float | None, Field(ge=0)]
    seal: Text = ""


def recalled(noted: Mapping[str, Any], folder: Path, *, report: Path | None, overwrite: bool) -> Outputs:
    """The outputs of the run in that folder, which may have moved together with them; `report` is another figure.

    A run that this user began here goes on to replace what it wrote. One from elsewhere writes into the folder that it
    lies in and nowhere else, and replaces nothing there unless told to `overwrite`. Raises `ImpastoError`, also for a
    run that the command line didn't begin.
    """
    try:
        found = NotedOutputs.model_validate(noted)
    except ValidationError:
        raise ImpastoError(
            f"{quoted(folder)} doesn't say where the picture goes, as its run wasn't begun on the command line",
            "go on with it from Python",
        ) from None
    if not (mine := is_own(noted, folder)):
        for name in (
            found.picture,
            *found.snapshots.values(),
            *([found.figure] if found.figure and not report else []),
        ):
            if name != os.path.basename(name) or name in ("", os.curdir, os.pardir):  # noqa: PTH119 - as text
                raise ImpastoError(
                    f"{quoted(folder)} comes from elsewhere and would write {name!r}, outside of its folder",
                    "name another figure with `report`" if name == found.figure else "begin a run of your own",
                )
    return Outputs(
        folder.parent / found.picture,
        {int(epoch): folder.parent / name for epoch, name in found.snapshots.items()},
        report or (None if found.figure is None else folder.parent / found.figure),
        overwrite=overwrite or mine,
        with_recipe=found.with_recipe,
        every=found.every,
        resumed=True,
    )


def is_own(noted: Mapping[str, Any], folder: Path) -> bool:
    """Whether the run in a folder was begun there by this user, who named its outputs."""
    bare = {name: value for name, value in noted.items() if name != "seal"}
    found = noted.get("seal")
    return isinstance(found, str) and is_sealed(_sealed(bare, folder), found)


def _sealed(noted: Mapping[str, Any], folder: Path) -> bytes:
    """What the seal of a run's outputs is of: also the place, as elsewhere other files have these names."""
    return json.dumps([os.path.realpath(folder), noted], sort_keys=True).encode()
