"""What changed, told to everybody who watches: each watcher gets the newest of each job, however slowly it reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from impasto.studio.models import Group, Image, Job


class Change(NamedTuple):
    """A server-sent event: its kind, its number where it has one, and its data as JSON."""

    kind: str
    number: int | None
    data: str


class Changes:
    """Hands changes to watchers. All of it belongs to the event loop's thread.

    `group(id)` is a group as it is now, asked for when a watcher is told that it changed; None where it has gone.
    """

    def __init__(self, group: Callable[[str], Group | None]) -> None:
        self._watchers: set[_Watcher] = set()
        self._group = group

    def job(self, job: Job) -> None:
        """Tell that a job is now like this, and so its group."""
        self._tell(job.id, Change("job", job.seq, job.model_dump_json()))
        if job.group is not None:
            self._tell(job.group, None)

    def image(self, image: Image) -> None:
        """Tell that an image is now like this."""
        self._tell(image.id, Change("image", None, image.model_dump_json()))

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def _tell(self, key: str, change: Change | None) -> None:
        for watcher in self._watchers:
            watcher.waiting.pop(key, None)  # so that it comes behind what changed before
            watcher.waiting[key] = change
            watcher.woken.set()

    async def watch(self, missed: Callable[[], list[Change]]) -> AsyncIterator[Change]:
        """What was `missed`, asked for at the first `anext`, then what changes from that moment on."""
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            for change in missed():
                yield change
            while True:
                await watcher.woken.wait()
                watcher.woken.clear()
                while watcher.waiting:
                    key = next(iter(watcher.waiting))
                    if (change := watcher.waiting.pop(key) or self._of_group(key)) is not None:
                        yield change
        finally:
            self._watchers.discard(watcher)

    def _of_group(self, id: str) -> Change | None:
        group = self._group(id)
        return None if group is None else Change("group", None, group.model_dump_json())


class _Watcher:
    """What somebody hasn't been told yet, by the id of what changed; None stands for a group as it is then."""

    def __init__(self) -> None:
        self.waiting: dict[str, Change | None] = {}
        self.woken = asyncio.Event()
