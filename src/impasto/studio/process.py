"""A process that is spoken to in lines of JSON: started, asked, told, and killed where it doesn't listen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from impasto.storage.process import death

LONGEST_LINE = 4_000_000
"""Bytes of an answer."""


class WorkerProcess:
    """`python -m impasto.studio.worker ROLE DATA`; lines in, lines out, and its errors in a file.

    It ends by itself where its input is closed, as it is when the server is killed.
    """

    def __init__(self, role: str, data: Path) -> None:
        self.role, self.data = role, data
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Its process id, None where it doesn't run."""
        return self._process.pid if self._process is not None and self.alive else None

    async def start(self) -> None:
        """Start it, if it doesn't run."""
        async with self._starting:
            await self._start()

    async def _start(self) -> None:
        if self.alive:
            return
        with (self.data / f"{self.role}.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "impasto.studio.worker", self.role, str(self.data)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LONGEST_LINE,
                start_new_session=True,  # Ctrl-C in the terminal is the server's to handle
            )

    async def tell(self, message: dict[str, Any]) -> None:
        """Send it a line; nothing happens where it has gone."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(ConnectionError, RuntimeError):
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
                await self._process.stdin.drain()

    async def hear(self) -> dict[str, Any] | None:
        """Its next line; None where it has ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            if line := await self._process.stdout.readline():
                return json.loads(line)
        except (ValueError, ConnectionError):  # what nobody understands: the end of a line is missing, or its middle
            self.kill()
        await self._process.wait()
        return None

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self, seconds: float) -> None:
        """Let it end: it saves what it does; kill it where that takes longer than `seconds`."""
        if self._process is None or not self.alive:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def death(self) -> str:
        """How it ended, in words."""
        return death(None if self._process is None else self._process.returncode)
