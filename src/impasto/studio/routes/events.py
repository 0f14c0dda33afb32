"""What changes, as server-sent events: whoever comes back says what it saw last and gets what it missed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from sse_starlette import EventSourceResponse, ServerSentEvent

from impasto.studio.changes import Change
from impasto.studio.routes.parts import TheStudio

router = APIRouter(prefix="/api/v1", tags=["events"])

MOST_MISSED = 500
"""Jobs that are told to somebody who comes back; one who missed more is to fetch everything anew."""

PING = 15


@router.get("/events", response_class=EventSourceResponse)
async def events(
    studio: TheStudio, last_event_id: Annotated[str | None, Header(max_length=30)] = None
) -> EventSourceResponse:
    """`job`, `group` and `image` with what changed, and `reset` where everything is to be fetched anew."""
    seen = int(last_event_id) if last_event_id is not None and last_event_id.isdecimal() else None

    def missed() -> list[Change]:
        found = None if seen is None else studio.store.changed_since(seen, MOST_MISSED)
        if found is None:
            return [Change("reset", studio.store.seq, "{}")]
        return [Change("job", job.seq, job.model_dump_json()) for job in found]

    async def stream() -> AsyncIterator[ServerSentEvent]:
        async for change in studio.changes.watch(missed):
            number = None if change.number is None else str(change.number)
            yield ServerSentEvent(change.data, event=change.kind, id=number)

    return EventSourceResponse(stream(), ping=PING, headers={"cache-control": "no-store"})
