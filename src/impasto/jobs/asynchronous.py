"""A job's events for asyncio: a thread of its own computes, and the event loop never waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from impasto.run.events import Event


class Job(Protocol):
    """Whatever has the events of a run: a `Stylization` or a `Texture`."""

    def events(self) -> Iterator[Event]:
        """The run's events; closing them ends it."""
        ...


async def async_events(job: Job | Callable[[], Job]) -> AsyncGenerator[Event, None]:
    """The events of a job, each computed in a thread while the event loop goes on with other things.

    `job` may be a function that makes it, such as `lambda: Stylization(…)`: it is called in that thread too, as opening
    images and loading the network take a moment. No step is begun before its event is asked for, so that a slow
    consumer holds the run back, and an event's `picture()` and `state()` may be called until the next one is.

    To stop, cancel the task that iterates, or leave `async with contextlib.aclosing(async_events(job)) as events`: the
    run ends with the step that it is at, in the thread that computed it, and then `CancelledError` goes on its way.
    Raises what the job does, `ImpastoError`.
    """
    loop, driver = asyncio.get_running_loop(), _Driver(job)
    pool = ThreadPoolExecutor(1, thread_name_prefix="impasto")  # one: whoever began a run's generator has to close it
    try:
        while (event := await loop.run_in_executor(pool, driver.advance)) is not None:
            yield event
            del event  # or its picture would take memory through the next step
    finally:
        closed = loop.run_in_executor(pool, driver.close)
        pool.shutdown(wait=False)
        await asyncio.shield(closed)


class _Driver:
    """A job's generator, made, advanced and closed by one thread."""

    def __init__(self, job: Job | Callable[[], Job]) -> None:
        self._job = job
        self._events: Iterator[Event] | None = None

    def advance(self) -> Event | None:
        """The next event, None after the last."""
        if self._events is None:
            job = self._job() if callable(self._job) else self._job
            self._events = job.events()
        return next(self._events, None)

    def close(self) -> None:
        """End the run, if it has begun."""
        if (close := getattr(self._events, "close", None)) is not None:
            close()
