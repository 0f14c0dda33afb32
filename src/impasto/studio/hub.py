"""All parts of a running studio in one place, for its routes."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import sqlite3

from impasto.studio import reading
from impasto.studio.changes import Changes
from impasto.studio.config import StudioConfig
from impasto.studio.groups import Groups
from impasto.studio.guards import Session
from impasto.studio.images import Images
from impasto.studio.metrics import Metrics
from impasto.studio.orders import Orders
from impasto.studio.problems import TooLargeError
from impasto.studio.runs import bytes_in
from impasto.studio.scheduler import Planner, Scheduler
from impasto.studio.store import Store, hours_ago

BIN_HOURS = 1
"""How long a deleted run can be had back, at least."""

SWEEP_EVERY = 600.0
"""Seconds between two looks at what can be removed."""

WARM_AFTER = 1.0
"""Seconds that a page has for itself before the processes behind it take the processor."""


class Studio:
    """All parts of a running studio, for its routes."""

    def __init__(self, config: StudioConfig) -> None:
        self.config = config
        self.store = Store(config.database)
        self.groups = Groups(self.store)
        self.changes, self.metrics = Changes(self.groups.now), Metrics()
        self.orders = Orders(config, self.store)
        self.images = Images(config, self.store)
        self.scheduler = Scheduler(config, self.store, self.orders, self.changes, self.metrics)
        self.planner = Planner(config)
        self.session = Session(config, self.store.fact("salt", secrets.token_hex(16)))
        self._used: tuple[float, int] = (-1e9, 0)

    async def warm(self) -> None:
        """Load what takes a while before it's asked for, where the studio paints at all; the page comes first."""
        await asyncio.sleep(WARM_AFTER)
        if self.scheduler.running:
            await asyncio.to_thread(reading.warm)
            await self.scheduler.warm()

    def used_bytes(self) -> int:
        """What the studio keeps, counted at most every ten seconds."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._used[0] > 10:
            self._used = (loop.time(), bytes_in(self.config.data))
        return self._used[1]

    def check_room(self, more: int = 0) -> None:
        """Raise `TooLargeError` where the studio keeps as much as it may, or would with so many bytes more."""
        if (used := self.used_bytes()) + more > (most := self.config.limits.disk_bytes):
            raise TooLargeError(
                f"The studio keeps {used / 1e9:.1f} of the {most / 1e9:.1f} GB that it may",
                "delete pictures in the history to make room",
            )

    def sweep(self) -> None:
        """Remove for good what was deleted a while ago, and uploads that nobody can reach."""
        for id in self.store.deleted_before(hours_ago(BIN_HOURS)):
            shutil.rmtree(self.config.data / "runs" / id, ignore_errors=True)
            self.store.remove_job(id)
        self.images.sweep()

    async def sweep_forever(self) -> None:
        """Do so now and then; what fails, on a full disk, is tried again."""
        while True:
            with contextlib.suppress(OSError, sqlite3.Error):
                await asyncio.to_thread(self.sweep)
            await asyncio.sleep(SWEEP_EVERY)
