"""The queue's other end: which job is painted next, by a process that is asked, told, and replaced where it dies."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
import traceback
from collections.abc import Sequence
from typing import Any, Literal

from impasto.errors import ImpastoError
from impasto.studio.changes import Changes
from impasto.studio.config import StudioConfig
from impasto.studio.films.files import FilmFiles
from impasto.studio.metrics import Metrics
from impasto.studio.models import ENDED, Job, Problem, Progress, State
from impasto.studio.orders import Orders
from impasto.studio.problems import problem_of
from impasto.studio.process import WorkerProcess
from impasto.studio.runs import RunFiles, scheduled_knobs
from impasto.studio.store import Store, now

PATIENCE = 20.0
"""Seconds that a process may take to end a job before it is killed: a step of a large picture takes some."""

FAREWELL = 30.0
"""Seconds that a process may take to save its state when the studio is closed."""

TRIES = 3
"""How often a job is begun whose process dies before it has come further than the one before."""

RETRY = 3.0
"""Seconds until the database is tried again where it couldn't be written."""

TELL_EVERY = 0.5
"""Seconds between two changes of a job that are told, unless there is a new preview."""


class Scheduler:
    """Paints the queued jobs one after another. All of it belongs to the event loop's thread."""

    def __init__(self, config: StudioConfig, store: Store, orders: Orders, changes: Changes, metrics: Metrics) -> None:
        self.config, self.store, self.orders, self.changes, self.metrics = config, store, orders, changes, metrics
        self.process = WorkerProcess("paint", config.data)
        self.current: str | None = None
        self._woken = asyncio.Event()
        self._closing = self.running = False
        self._told = 0.0
        self._newest: dict[str, int] = {}
        self._asked: str | None = None
        self._progress: Progress | None = None
        self._watchdog: asyncio.Task[None] | None = None

    @property
    def worker(self) -> Literal["idle", "busy", "starting"]:
        """What the process does, in a word."""
        if self.current is None:
            return "idle"
        return "busy" if self.process.alive else "starting"

    async def warm(self) -> None:
        """Have a process ready for the first job, which somebody who opens the page is about to ask for."""
        if self.running and self.current is None:
            await self.process.start()

    def wake(self) -> None:
        """Look at the queue again."""
        self._woken.set()

    def recover(self) -> None:
        """Put back what was running when the studio ended: it goes on from its state."""
        for job in self.store.in_state(State.RUNNING):
            self.store.change_job(job.id, state=State.QUEUED, position=-1e9)

    async def run(self) -> None:
        """Paint until the task is cancelled or the studio closes."""
        self.running = True
        while not self._closing:
            self._woken.clear()
            job = None
            try:
                if not (queue := self.store.in_state(State.QUEUED)):
                    await self._woken.wait()
                    continue
                job = queue[0]
                self.current, self._asked, self._progress = job.id, None, None
                await self._paint(job)
            except Exception as error:  # the queue goes on
                traceback.print_exception(error)
                await self._give_up(job, error)
            finally:
                self.current = None
                if self._watchdog is not None:
                    self._watchdog.cancel()
                    self._watchdog = None

    async def _give_up(self, job: Job | None, error: Exception) -> None:
        """End a job that the scheduler itself failed at; where that can't be written, on a full disk, try again."""
        await self.process.close(0.0)  # or its answers would be taken for the next job's
        while job is not None:
            try:
                self._end(job.id, State.FAILED, error=Problem(message=f"Painting failed ({error})."))
                return
            except sqlite3.Error:
                await asyncio.sleep(RETRY)
        await asyncio.sleep(RETRY)

    async def close(self) -> None:
        """Let the process save what it paints, and end."""
        self._closing, self.running = True, False
        await self.process.close(FAREWELL)

    def change(self, id: str, **changes: Any) -> Job:
        """Change a job, and tell everybody."""
        job = self.store.change_job(id, **changes)
        self.changes.job(job)
        return job

    async def end(self, job: Job, how: str) -> Job:
        """Have a job end 'paused', 'stopped' or 'cancelled'; at once where it isn't running."""
        if job.id == self.current:
            self._asked = how if how == "cancelled" else self._asked or how
            if how == "cancelled" and self._watchdog is None:
                self._watchdog = asyncio.create_task(self._kill_later(job.id))
            await self.process.tell({"do": "end", "as": how})
            return job
        if how == "stopped":
            how = "cancelled"
        if how == "cancelled":
            self._discard(job.id)
        return self.change(job.id, state=State(how), ended=now() if State(how) in ENDED else None)

    def enqueue(self, job: Job) -> Job:
        """Put a job that was paused or has ended in front of the queue."""
        queue = self.store.in_state(State.QUEUED)
        first = queue[0].position - 1 if queue else 0.0
        job = self.change(job.id, state=State.QUEUED, ended=None, error=None, position=first)
        self.wake()
        return job

    async def retune(self, job: Job, knobs: dict[str, Any]) -> Job:
        """Change knobs of a job that runs from its next step on, or of one that waits; raises `ImpastoError`."""
        from impasto.settings import schedule

        spec = self.store.spec(job.id)
        changed = schedule.changed(self.orders.settings(spec.preset, spec.settings), knobs)
        self.store.change_spec(job.id, settings=spec.settings | knobs)
        if job.id == self.current:
            await self.process.tell({"do": "change", "knobs": knobs})
        return self.change(job.id, settings=job.settings | knobs, scheduled=scheduled_knobs(changed))

    def _discard(self, id: str) -> None:
        """Remove what a cancelled job has painted."""
        FilmFiles(self.config.data / "runs" / id).discard()

    async def _kill_later(self, id: str) -> None:
        await asyncio.sleep(PATIENCE)
        if self.current == id:
            self.process.kill()

    async def _paint(self, job: Job) -> None:
        """Have a process paint a job; another one goes on where it dies, but not at the same step for ever."""
        deaths, furthest = 0, -1
        self.change(job.id, state=State.RUNNING, started=job.started or now(), error=None)
        while deaths < TRIES:
            if (files := self._files(job.id)) is None:
                return
            await self.process.start()
            if self._asked is None:  # else it was asked to end before it began
                await self.process.tell({"do": "paint", "job": files.message()})
                if await self._follow(job.id, files) or self._closing:
                    return
            if self._asked is not None:
                if self._asked == "cancelled":
                    self._discard(job.id)
                self._end(job.id, State.CANCELLED if self._asked == "cancelled" else State.PAUSED)
                return
            reached = self._progress.step if self._progress is not None else -1
            deaths = 1 if reached > furthest else deaths + 1
            furthest = max(furthest, reached)
        death = ImpastoError(
            f"The process that paints ended {self.process.death()}", "try again, perhaps with a smaller `size`"
        )
        self._end(job.id, State.FAILED, error=problem_of(death))

    def _files(self, id: str) -> RunFiles | None:
        """A job's files and newest settings; None, and the job has failed, where there are none."""
        try:
            files = self.orders.files(id, self.store.spec(id))
            files.folder.mkdir(exist_ok=True)
        except ImpastoError as error:
            self._end(id, State.FAILED, error=problem_of(error))
        except OSError as error:
            wrong = ImpastoError(f"The run's folder can't be made ({error.strerror})", "make room on the disk")
            self._end(id, State.FAILED, error=problem_of(wrong))
        else:
            return files
        return None

    async def _follow(self, id: str, files: RunFiles) -> bool:
        """Take what the process tells of a job; whether it told the end."""
        while (message := await self.process.hear()) is not None:
            match message:
                case {"started": size}:
                    self.change(id, **size)
                case {"step": step, "preview": preview}:
                    self._step(id, Progress(**step), preview)
                case {"note": text}:
                    if (job := self.store.job(id)) is not None:
                        self.change(id, notes=[*job.notes, text][-20:])
                case {"ended": ended, "picture": picture}:
                    self._ended(id, ended, picture, message, files)
                    return True
        return False

    def _step(self, id: str, progress: Progress, preview: int) -> None:
        job = self.store.job(id)
        if progress.film is None:
            self.metrics.step(progress)
        self._progress = progress
        if job is None:
            return
        # The number grows over processes too, so that no browser shows an old one from its cache.
        fresh = preview != self._newest.get(id, 0)
        if fresh or time.monotonic() - self._told >= TELL_EVERY:
            self._told = time.monotonic()
            self._newest = {id: preview}
            with contextlib.suppress(sqlite3.OperationalError):  # a full disk costs the news alone
                self.change(id, progress=progress, preview=job.preview + fresh)

    def _ended(self, id: str, ended: str, picture: bool, message: dict[str, Any], files: RunFiles) -> None:
        if ended == "gone" or (ended == "paused" and self._closing and self._asked is None):
            return  # it stays running, and goes on when the studio is started again
        self.metrics.spent(**message.get("spent", {}))
        last = {} if self._progress is None else {"progress": self._progress}  # which may not have been told
        errors = [Problem(**error) for error in message.get("errors", [])]
        self._end(
            id,
            State(ended),
            error=errors[0] if errors else None,
            has_picture=picture,
            bytes=message.get("bytes", files.size()),
            **last,
        )

    def _end(self, id: str, state: State, **more: Any) -> None:
        with contextlib.suppress(KeyError):
            self.metrics.ended(state)
            self.change(id, state=state, ended=now() if state in ENDED else None, **more)


class Planner:
    """Asks a process of its own for plans; only the newest question of each page matters, so one waits at a time."""

    def __init__(self, config: StudioConfig) -> None:
        self.process = WorkerProcess("plan", config.data)
        self._lock = asyncio.Lock()

    async def plan(self, files: RunFiles) -> dict[str, Any]:
        """What the process answers: {'plan': …} or {'errors': …}."""
        return await self._ask({"do": "plan", "job": files.message()})

    async def weigh(self, jobs: Sequence[RunFiles]) -> list[float | None]:
        """The seconds that jobs are planned to take, None for one that can't be planned."""
        answer = await self._ask({"do": "weigh", "jobs": [files.message() for files in jobs]})
        return answer.get("seconds", [None] * len(jobs))

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """What the process answers, {'errors': …} where it died."""
        async with self._lock:
            for _ in range(2):  # one that was idle may just have ended
                await self.process.start()
                await self.process.tell(question)
                if (answer := await self.process.hear()) is not None:
                    return answer
        died = ImpastoError(f"The process that plans ended {self.process.death()}", "paint without a plan")
        return {"errors": [problem_of(died).model_dump()]}

    async def close(self) -> None:
        """End the process."""
        self.process.kill()
        await self.process.close(1.0)
