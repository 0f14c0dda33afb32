"""The jobs of one request seen as one: how many there are, what became of them, and how far all of them are."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence

from impasto.errors import ImpastoError
from impasto.jobs.batch.progress import moved, weights
from impasto.studio.models import ENDED, Group, Job, State
from impasto.studio.scheduler import Planner, Scheduler
from impasto.studio.store import Store

WEIGHED_AT_ONCE = 20
"""Jobs of a group: a page's question for a plan waits no longer than these take."""


class Groups:
    """The groups of a studio's jobs."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def now(self, id: str) -> Group | None:
        """A group as it is now; None where it has no jobs."""
        seq, jobs = self.store.seq, self.store.group(id)
        return group_of(jobs, seq) if jobs else None


async def weigh(ids: Sequence[str], planner: Planner, scheduler: Scheduler) -> None:
    """Note how long jobs are planned to take, which their group's progress goes by; where the studio paints at all."""
    for start in range(0, len(ids) if scheduler.running else 0, WEIGHED_AT_ONCE):
        some = ids[start : start + WEIGHED_AT_ONCE]
        with contextlib.suppress(ImpastoError, KeyError, OSError, sqlite3.Error):  # all weigh the same then
            planned = await planner.weigh([scheduler.orders.files(id, scheduler.store.spec(id)) for id in some])
            for id, seconds in zip(some, planned, strict=True):
                if seconds is not None:
                    scheduler.change(id, planned=seconds)


def group_of(jobs: Sequence[Job], seq: int) -> Group:
    """What is told of a group: of its jobs in the order in which they were made, as they are after the change `seq`."""
    first = jobs[0]
    count = {state: sum(job.state is state for job in jobs) for state in State}
    wanted = [job for job in jobs if job.state is not State.CANCELLED]
    planned = weights([job.planned for job in wanted])
    # What was painted before is the pace by which the rest is told.
    spent = sum(job.progress.seconds for job in wanted if job.progress is not None)
    so_far = moved(planned, [_share(job) for job in wanted], spent)
    seconds_left = so_far.seconds_left
    if not spent:
        seconds_left = sum(planned) if all(job.planned is not None for job in wanted) else None
    return Group(
        id=first.group or "",
        seq=seq,
        title=first.group_title,
        first=first.title,
        photos=len({(job.content.image, job.content.name) for job in jobs}),
        styles=len({tuple((style.image, style.swatch) for style in job.styles) for job in jobs}),
        knobs=[*first.labels],
        pictures=len(jobs),
        done=count[State.DONE] + count[State.STOPPED],
        failed=count[State.FAILED],
        cancelled=count[State.CANCELLED],
        running=count[State.RUNNING],
        paused=count[State.PAUSED],
        waiting=count[State.QUEUED],
        share=so_far.share if wanted else 1.0,
        seconds_left=None if all(job.state in ENDED for job in jobs) else seconds_left,
    )


def _share(job: Job) -> float:
    if job.state in ENDED:
        return 1.0
    return 0.0 if job.progress is None else job.progress.share
