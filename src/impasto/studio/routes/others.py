"""Health, disk, metrics and the login."""

from __future__ import annotations

import asyncio
import shutil

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import PlainTextResponse, Response

from impasto.studio.guards import COOKIE, address_of
from impasto.studio.models import Disk, Health, Login, State
from impasto.studio.routes.parts import TheStudio

router = APIRouter(tags=["others"])


@router.get("/api/v1/health")
async def health(studio: TheStudio) -> Health:
    """Whether the studio works, and what it does."""
    from impasto import __version__

    queued = studio.store.counts().get(State.QUEUED, 0)
    return Health(version=__version__, worker=studio.scheduler.worker, queued=queued)


@router.get("/api/v1/disk")
async def disk(studio: TheStudio) -> Disk:
    """What the studio keeps."""
    free = (await asyncio.to_thread(shutil.disk_usage, studio.config.data)).free
    return Disk(used=studio.used_bytes(), quota=studio.config.limits.disk_bytes, free=free)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(studio: TheStudio) -> Response:
    """The studio's numbers in Prometheus' form."""
    text = studio.metrics.text(studio.store.counts(), studio.used_bytes(), studio.changes.watchers)
    return Response(text, media_type="text/plain; version=0.0.4")


@router.post("/api/v1/login", status_code=204)
async def login(given: Login, request: Request, studio: TheStudio) -> Response:
    """Exchange the token for a cookie."""
    session, address = studio.session, address_of(request.scope)
    if not session.may_try(address):
        raise HTTPException(429, "Too many wrong tokens: wait for a minute")
    if session.needed and not session.is_token(given.token, address):
        raise HTTPException(401, "That isn't the token that the studio printed")
    answer = Response(status_code=204)
    answer.set_cookie(COOKIE, session.cookie, max_age=90 * 86400, httponly=True, samesite="strict", path="/")
    return answer
