"""Uploads and the shelf."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse, Response

from impasto.studio.models import Image, ImageChange, Role
from impasto.studio.routes.parts import TheImage, TheStudio, file

router = APIRouter(prefix="/api/v1", tags=["images"])

BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/images", status_code=201, openapi_extra=BODY)
async def upload(
    request: Request,
    studio: TheStudio,
    name: Annotated[str, Query(min_length=1, max_length=300)] = "picture",
    role: Role = "any",
) -> Image:
    """Take a picture or a film in: the body is the file's bytes. The same bytes give the same id."""
    studio.check_room(int(request.headers.get("content-length", 0)))
    image = await studio.images.receive(request.stream(), name, role)
    studio.metrics.uploads.inc()
    studio.changes.image(image)
    return image


@router.get("/images")
async def listed(studio: TheStudio, role: Role | None = None) -> list[Image]:
    """The pictures on the shelf, newest first."""
    return studio.store.images(role)


@router.get("/images/{id}")
async def one(image: TheImage) -> Image:
    """A picture."""
    return image


@router.patch("/images/{id}")
async def change(image: TheImage, change: ImageChange, studio: TheStudio) -> Image:
    """Give a picture another name, or put it on the shelf or off it."""
    changed = studio.store.change_image(image.id, **change.model_dump(exclude_none=True))
    if changed is None:
        raise HTTPException(404, "There is no such picture")
    studio.changes.image(changed)
    return changed


@router.delete("/images/{id}", status_code=204)
async def remove(image: TheImage, studio: TheStudio) -> Response:
    """Take a picture off the shelf; jobs that use it keep it."""
    if (changed := studio.store.change_image(image.id, shelf=False)) is not None:
        studio.changes.image(changed)
    return Response(status_code=204)


@router.get("/images/{id}/{kind}", response_class=FileResponse)
async def shown(image: TheImage, kind: Literal["thumbnail", "view", "file"], studio: TheStudio) -> FileResponse:
    """A picture's pixels: small, for a page, or as it came (a download, for it may be anything)."""
    path = studio.images.shown(image.id, kind)
    if kind == "file":
        return file(path, "application/octet-stream", forever=True, download=image.name)
    return file(path, "image/webp", forever=True)
