"""A studio in a process of its own, ways to wait for what it does, and small jobs for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from impasto.client import StudioClient
from impasto.studio.app import make_app
from impasto.studio.config import StudioConfig

SMALL: dict[str, Any] = {
    "size": 32,
    "epochs": 1,
    "steps_per_epoch": 2,
    "scales": 1,
    "style_layers": ["relu1_1", "relu2_1"],
    "content_layers": ["relu2_1"],
}
"""Settings of a job that takes a moment."""

LONG = SMALL | {"size": 64, "steps_per_epoch": 40, "epochs": 2}
"""Settings of one that can be interrupted."""


class Served:
    """`impasto studio` on a free port, in a process that can be killed and started again."""

    def __init__(self, data: Path, *arguments: str, port: int = 0) -> None:
        self.data, self.arguments, self.port = data, arguments, str(port)
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "impasto",
            "studio",
            "--data",
            str(self.data),
            "--port",
            self.port,
            *self.arguments,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://"), self.process.communicate()
        self.port = self.address.rpartition(":")[2].partition("/")[0]
        self.client = StudioClient(self.address)

    def painter_or_none(self) -> int | None:
        """The process id of the one that paints, if there is one."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "paint" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    return child.pid
        return None

    def painter(self) -> int:
        """The process id of the one that paints."""
        return until(self.painter_or_none)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def close(self) -> str:
        """End it as Ctrl-C does; what it said on stderr."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=60)[1]


class Desk:
    """A studio's application in this process, asked one thing at a time; it doesn't paint."""

    def __init__(self, config: StudioConfig) -> None:
        self.app = make_app(config)
        self.studio = self.app.state.studio
        self.headers: dict[str, str] = {}

    def request(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def pieces() -> AsyncIterator[bytes]:
            for piece in content:
                yield piece

        if not isinstance(content := request.get("content", b""), bytes | str):
            request["content"] = pieces()

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8600") as client:
                return await client.request(method, path, headers=self.headers | request.pop("headers", {}), **request)

        return asyncio.run(ask())

    def raw(self, path: str) -> int:
        """The status that a path has which no client tidies up first."""
        told: list[Any] = []

        async def ask() -> None:
            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b""}

            async def send(message: Any) -> None:
                told.append(message)

            scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "root_path": ""}
            await self.app(scope | {"headers": [(b"host", b"localhost")]}, receive, send)

        asyncio.run(ask())
        return told[0]["status"]

    def get(self, path: str, **request: Any) -> httpx.Response:
        return self.request("GET", path, **request)

    def post(self, path: str, **request: Any) -> httpx.Response:
        return self.request("POST", path, **request)

    def patch(self, path: str, **request: Any) -> httpx.Response:
        return self.request("PATCH", path, **request)

    def delete(self, path: str) -> httpx.Response:
        return self.request("DELETE", path)

    def close(self) -> None:
        """Give the folder back, as the end of a server does."""
        self.studio.store.close()
        self.app.state.lock.release()


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    """What `found()` returns once that is something."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
    return value


def ended(client: StudioClient, id: str) -> dict[str, Any]:
    """A job once it has ended."""
    return [*client.follow(id)][-1]


def running(client: StudioClient, id: str, step: int = 1) -> dict[str, Any]:
    """A job once it has taken so many steps."""

    def found() -> dict[str, Any] | None:
        job = client.job(id)
        assert job["state"] in ("queued", "running"), job
        return job if job["progress"] and job["progress"]["step"] >= step else None

    return until(found)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def sent(desk: Desk, file: Path, **query: str) -> dict[str, Any]:
    """An uploaded image."""
    answer = desk.post("/api/v1/images", params={"name": file.name} | query, content=file.read_bytes())
    assert answer.status_code == 201, answer.text
    return answer.json()
