"""Groups of jobs: what became of them, all paused, gone on with or cancelled at once, and a folder of the pictures."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import StreamingResponse

from impasto.studio import folders
from impasto.studio.hub import Studio
from impasto.studio.models import Group, GroupChange, Id, Job, State
from impasto.studio.routes.parts import TheStudio

router = APIRouter(prefix="/api/v1", tags=["groups"])


async def _group(id: Id, studio: TheStudio) -> Group:
    if (group := studio.groups.now(id)) is None:
        raise HTTPException(404, "There is no such group")
    return group


TheGroup = Annotated[Group, Depends(_group)]


@router.get("/groups/{id}")
async def one(group: TheGroup) -> Group:
    """A group."""
    return group


@router.patch("/groups/{id}")
async def change(group: TheGroup, change: GroupChange, studio: TheStudio) -> Group:
    """Its place in the queue: all that waits of it goes before a job that waits, or last (null)."""
    waiting = _some(studio, group, "moved", State.QUEUED)
    try:
        moved = studio.store.move([job.id for job in sorted(waiting, key=lambda job: job.position)], change.before)
    except KeyError:
        raise HTTPException(409, "Only before a job that waits, and isn't of the group, is a place") from None
    for job in moved:
        studio.changes.job(job)
    return _now(studio, group)


@router.post("/groups/{id}/pause")
async def pause(group: TheGroup, studio: TheStudio) -> Group:
    """Save the one that runs and let other jobs go first, until `resume`."""
    return await _end(studio, group, "paused", State.QUEUED, State.RUNNING)


@router.post("/groups/{id}/cancel")
async def cancel(group: TheGroup, studio: TheStudio) -> Group:
    """Call off all that waits, runs or is paused; what is done stays."""
    return await _end(studio, group, "cancelled", State.QUEUED, State.PAUSED, State.RUNNING)


@router.post("/groups/{id}/resume")
async def resume(group: TheGroup, studio: TheStudio) -> Group:
    """Go on with all that is paused, in front of the queue."""
    return _again(studio, group, "gone on with", State.PAUSED)


@router.post("/groups/{id}/retry")
async def retry(group: TheGroup, studio: TheStudio) -> Group:
    """Try again what failed, in front of the queue."""
    return _again(studio, group, "tried again", State.FAILED)


@router.get(
    "/groups/{id}/folder",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}, "description": "A ZIP file"}},
)
async def folder(group: TheGroup, studio: TheStudio) -> StreamingResponse:
    """Its pictures, `manifest.jsonl`, contact sheet and `summary.json`: a folder that `impasto batch` goes on with."""
    if not group.done:
        raise HTTPException(409, "Nothing of the group is painted yet")
    files = await asyncio.to_thread(folders.entries, studio.config, group, studio.store.group(group.id))
    name = folders.folder_name(group)
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}.zip",
        "cache-control": "private, no-store",
    }
    return StreamingResponse(folders.packed(name, files), media_type="application/zip", headers=headers)


def _some(studio: Studio, group: Group, what: str, *states: State) -> list[Job]:
    """The jobs of a group in these states, as they are now."""
    if not (found := [job for job in studio.store.group(group.id) if job.state in states]):
        raise HTTPException(409, f"Nothing of the group can be {what} now")
    return found


async def _end(studio: Studio, group: Group, how: str, *states: State) -> Group:
    """End jobs; the one that runs last, or the next of them would begin meanwhile."""
    found = _some(studio, group, how, *states)
    for job in sorted(found, key=lambda job: job.state is State.RUNNING):
        await studio.scheduler.end(job, how)
    return _now(studio, group)


def _again(studio: Studio, group: Group, what: str, state: State) -> Group:
    for job in reversed(_some(studio, group, what, state)):
        studio.scheduler.enqueue(job)
    return _now(studio, group)


def _now(studio: Studio, group: Group) -> Group:
    return studio.groups.now(group.id) or group
