"""Films: what was painted, to be played or downloaded, and its frames one by one."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path
from fastapi.responses import FileResponse

from impasto.studio.films.files import FilmFiles
from impasto.studio.models import Job
from impasto.studio.routes.parts import TheJob, TheStudio, file

router = APIRouter(prefix="/api/v1", tags=["films"])


def _film(job: TheJob) -> Job:
    if job.film is None:
        raise HTTPException(404, "The job isn't a film")
    return job


TheFilm = Annotated[Job, Depends(_film)]
Number = Annotated[int, Path(ge=0, lt=1_000_000)]


@router.get("/jobs/{id}/film", response_class=FileResponse)
@router.head("/jobs/{id}/film", response_class=FileResponse, include_in_schema=False)
async def film(job: TheFilm, studio: TheStudio, download: bool = False) -> FileResponse:
    """The painted film with its sound, as MP4; ranges of its bytes too, as a player asks for them."""
    name = f"{job.title.replace('×', 'x').replace('/', '-')}.mp4"
    return file(_files(studio, job).film, "video/mp4", forever=False, download=name if download else None)


@router.get("/jobs/{id}/frames/{number}", response_class=FileResponse)
async def painted(job: TheFilm, number: Number, studio: TheStudio) -> FileResponse:
    """A painted frame, counted from 0 among those that are painted, as WebP; 404 until it is finished."""
    return file(_files(studio, job).painted(number), "image/webp", forever=True)


@router.get("/jobs/{id}/frames/{number}/original", response_class=FileResponse)
async def original(job: TheFilm, number: Number, studio: TheStudio) -> FileResponse:
    """The same frame as the film has it, at the size of the painted one."""
    files = _files(studio, job)
    target = files.original(number)
    if not target.is_file():
        try:
            size, time = files.frame(number)
            source = studio.store.image_file(job.content.image or "")
        except (OSError, LookupError, ValueError):
            raise HTTPException(404, "There is no such frame") from None
        await asyncio.to_thread(target.parent.mkdir, exist_ok=True)
        await studio.images.write_original(source, size, time, target)
    return file(target, "image/webp", forever=True)


def _files(studio: TheStudio, job: Job) -> FilmFiles:
    return FilmFiles(studio.config.data / "runs" / job.id)
