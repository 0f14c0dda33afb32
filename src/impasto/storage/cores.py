"""How many threads the native engine's loops take: those that the run has, less the cores that others keep busy.

Its results don't depend on their number, so it may follow what is idle from moment to moment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import psutil

PERIOD = 0.25
"""Seconds over which the load is averaged: the system counts in hundredths of a second."""

STALE = 4.0
"""Seconds from which on what was counted last says nothing of now."""


@dataclass(frozen=True)
class Count:
    """Seconds on the clock, those in which this process's cores were busy, and those of them that it took itself."""

    clock: float
    busy: float
    own: float


def count() -> Count:
    """The counts of now; where the system tells nothing of its cores, they are never busy."""
    try:
        cores, allowed = psutil.cpu_times(percpu=True), _allowed()
        busy = sum(_busy(times) for number, times in enumerate(cores) if allowed is None or number in allowed)
    except (OSError, RuntimeError, NotImplementedError):
        busy = 0.0
    return Count(time.perf_counter(), busy, time.process_time())


class IdleCores:
    """Watches how many cores other programs keep busy. May be shared between threads: at worst one counts twice."""

    def __init__(self, count: Callable[[], Count] = count) -> None:
        self._count = count
        self._last = count()
        self._taken = 0.0
        self._next = self._last.clock + PERIOD

    def taken(self) -> float:
        """Cores that others have kept busy of late; 0 as long as that isn't known."""
        if time.perf_counter() >= self._next:
            now, last = self._count(), self._last
            seconds = now.clock - last.clock
            others = (now.busy - last.busy) - (now.own - last.own)
            self._taken = max(0.0, others / seconds) if 0 < seconds < STALE else 0.0
            self._last, self._next = now, now.clock + PERIOD
        return self._taken

    def threads(self, most: int) -> int:
        """So many threads at most, and one for each core that others leave idle, half of one counting as one."""
        cores = len(_allowed() or ()) or os.cpu_count() or 1
        return max(1, min(most, int(cores - self.taken() + 0.5)))


def _allowed() -> set[int] | None:
    """The cores that this process may run on, None where that isn't told."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _busy(times: object) -> float:
    """The seconds of a core that weren't idle; what guests took is in the users' already."""
    kinds = {name: getattr(times, name) for name in getattr(times, "_fields", ())}
    return sum(seconds for name, seconds in kinds.items() if name not in ("idle", "iowait", "guest", "guest_nice"))


IDLE = IdleCores()
"""The process's own; it counts from here on."""

_most: ContextVar[int | None] = ContextVar("most", default=None)


@contextmanager
def at_most(threads: int) -> Iterator[None]:
    """The native engine takes as many threads as `IDLE` says while the block runs, at most so many."""
    token = _most.set(threads)
    try:
        yield
    finally:
        _most.reset(token)


def threads(otherwise: int) -> int:
    """How many threads to take now; outside of `at_most`, where nobody left it open, `otherwise`."""
    most = _most.get()
    return otherwise if most is None else IDLE.threads(most)
