"""The worker's end of the connection to the server: lines of JSON, in and out."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Iterator
from typing import Any, TextIO


class Line:
    """The connection to the server: requests come in a thread of their own, answers go out whole."""

    def __init__(self, incoming: TextIO, outgoing: TextIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._incoming:
            self._requests.put(json.loads(line))
        self._requests.put(None)

    def next(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next request; None where the server has gone, or nothing came within `seconds`."""
        try:
            return self._requests.get(timeout=seconds)
        except queue.Empty:
            return None

    def waiting(self) -> Iterator[dict[str, Any] | None]:
        """The requests that are there already."""
        while True:
            try:
                yield self._requests.get_nowait()
            except queue.Empty:
                return

    def tell(self, **message: Any) -> None:
        """Send an answer; a server that has gone is noticed where its requests end."""
        with contextlib.suppress(OSError):
            self._outgoing.write(json.dumps(message) + "\n")
            self._outgoing.flush()
