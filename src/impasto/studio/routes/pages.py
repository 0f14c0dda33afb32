"""The page and its files."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.background import BackgroundTask

from impasto.studio.routes.parts import TheStudio

STATIC = Path(__file__).parents[1] / "static"

router = APIRouter(include_in_schema=False)

KINDS = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".png": "image/png",
    ".webp": "image/webp",
    ".webmanifest": "application/manifest+json",
}
"""Told here rather than by the system, which may know none of JavaScript."""


class Served(NamedTuple):
    """A file of the page, in memory: some forty are asked for at once."""

    content: bytes
    kind: str
    tag: str


@router.get("/")
async def index(request: Request, studio: TheStudio) -> Response:
    """The studio; what is needed first is loaded behind it."""
    page = _answer("index.html", request)
    page.background = BackgroundTask(studio.warm)
    return page


@router.get("/login")
async def login(request: Request) -> Response:
    """Where the token is asked for."""
    return _answer("login.html", request)


@router.get("/static/{path:path}")
async def static(path: str, request: Request) -> Response:
    """A file of the page."""
    return _answer(path, request)


def _answer(path: str, request: Request) -> Response:
    if (found := _files().get(path)) is None:
        raise HTTPException(404, "There is no such page")
    headers = {"cache-control": "no-cache", "etag": found.tag}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.kind, headers=headers)


@cache
def _files() -> dict[str, Served]:
    """Every file of the page by its path below static/: no other path leads anywhere."""
    found = {}
    for file in STATIC.rglob("*"):
        if file.is_file() and file.suffix in KINDS:
            content = file.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            found[file.relative_to(STATIC).as_posix()] = Served(content, KINDS[file.suffix], tag)
    return found
