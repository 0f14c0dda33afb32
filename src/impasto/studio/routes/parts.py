"""What routes share: the studio, and things by their ids."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.responses import FileResponse

from impasto.studio.hub import Studio
from impasto.studio.models import Id, Image, Job


def _studio(request: Request) -> Studio:
    return request.app.state.studio


TheStudio = Annotated[Studio, Depends(_studio)]


def _job(id: Id, studio: TheStudio) -> Job:
    if (job := studio.store.job(id)) is None:
        raise HTTPException(404, "There is no such job")
    return job


def _image(id: Id, studio: TheStudio) -> Image:
    if (image := studio.store.image(id)) is None:
        raise HTTPException(404, "There is no such picture")
    return image


TheJob = Annotated[Job, Depends(_job)]
TheImage = Annotated[Image, Depends(_image)]


def file(path: Path, kind: str, *, forever: bool, download: str | None = None) -> FileResponse:
    """A file as an answer, for good in the browser's cache where it never changes; 404 where it isn't there."""
    if not path.is_file():
        raise HTTPException(404, "There is no such picture yet")
    cache = "private, max-age=31536000, immutable" if forever else "private, no-cache"
    return FileResponse(
        path,
        media_type=kind,
        filename=download,
        content_disposition_type="attachment" if download else "inline",
        headers={"cache-control": cache},
    )
