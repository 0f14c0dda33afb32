"""A run's folder, and when its state is saved there: a run that was killed goes on instead of beginning anew."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from impasto.errors import ImpastoError
from impasto.jobs import checkpoint
from impasto.jobs.checkpoint import Checkpoint
from impasto.jobs.recipe import Recipe
from impasto.run.events import Event, Stepped
from impasto.run.state import RunState
from impasto.storage.files import quoted, reason, remove_drafts

STATE, LOCK = "state.safetensors", "lock"

EVERY = 60.0
"""Seconds between two saves, unless saving takes long."""

SHARE = 0.01
"""Part of a run's time that saving may take: after a save of one second it is left alone for 100."""


class Checkpointer:
    """Saves a run's state in its folder: enter it, feed it every event, `discard` when the result is safe.

    `record()` is asked for the report's record at each save, `shell` is what the shell wants to know again. Saves come
    `every` so many seconds (None: `EVERY`, or more where that would take more than `SHARE` of the time; ∞: only when
    asked to), and with the first step and each new scale. A save that fails costs the run nothing but a call of
    `warn`, once. Entering raises `ImpastoError` where another process paints the same run.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        *,
        record: Callable[[], dict[str, Any]],
        shell: dict[str, Any],
        every: float | None = None,
        warn: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.every = every
        self.spent = 0.0
        self._recipe, self._record, self._shell, self._warn = recipe, record, shell, warn
        self._lock = FileLock(folder / LOCK, timeout=0)
        self._state: Callable[[], RunState] | None = None
        # Of the last save. The first step is of a new scale too: a folder that can't be written in is found out early.
        self._scale, self._last, self._cost = 0, 0.0, 0.0
        self._warned = False

    def __enter__(self) -> Checkpointer:
        try:
            self._claim()
        except OSError as error:
            self._complain(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tidy(self.folder)  # with the lock still held, so that nobody has just come in
        with contextlib.suppress(OSError):
            self._lock.release()

    def observe(self, event: Event) -> None:
        """Takes note of an event, and saves where it is time."""
        if isinstance(event, Stepped) and event.state is not None:
            self._state = event.state
            if self._is_due(event.scale):
                self._scale = event.scale
                self.save()

    @property
    def saved(self) -> bool:
        """Whether there is a state to go on from."""
        return (self.folder / STATE).exists()

    def save(self, *, complain: bool = True) -> bool:
        """Saves the state as of the last event now; whether it could."""
        if self._state is None:
            return False
        began = time.monotonic()
        try:
            self._claim()
            checkpoint.write(
                self.folder / STATE, Checkpoint(self._recipe, self._state(), self._record(), self._shell)
            )  # fmt: skip
        except (OSError, ImpastoError) as error:
            if complain:
                self._complain(error)
            return False
        finally:
            self._last = time.monotonic()
            self._cost = self._last - began
            self.spent += self._cost
        return True

    def discard(self) -> None:
        """Forget what is saved here: the run begins anew, or its result is safe."""
        with contextlib.suppress(OSError):
            (self.folder / STATE).unlink(missing_ok=True)

    def _is_due(self, scale: int) -> bool:
        if self.every == math.inf:
            return False
        rest = self._cost / SHARE
        wait = max(EVERY, rest) if self.every is None else self.every
        if scale != self._scale:
            wait = rest if self.every is None else 0.0
        return time.monotonic() - self._last >= wait

    def _claim(self) -> None:
        """Make the folder if need be, keep others out, and clear away what killed processes left."""
        if self._lock.is_locked and (self.folder / LOCK).exists():
            return
        self._lock.release(force=True)  # of a folder that has vanished
        self.folder.mkdir(exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise ImpastoError(
                f"{quoted(self.folder)} belongs to a run that another process is painting", "wait for it, or stop it"
            ) from None
        remove_drafts(self.folder / STATE)

    def _complain(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            self._warn(
                f"The run's state can't be saved in {quoted(self.folder)} ({reason(error)}): it goes on, but could not "
                "be resumed from here."
            )


def tidy(folder: Path) -> None:
    """Remove a run's folder without a state, which serves nobody; one with somebody else's files stays."""
    with contextlib.suppress(OSError):
        if not (folder / STATE).exists():
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()
