"""Driving a batch from the shell: what is said on the way, its sheet and its summary."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.batch_end import tell_end
from impasto.cli.batch_how import How
from impasto.cli.error_text import with_flags
from impasto.cli.terminal import duration, note, tell, tell_json
from impasto.jobs.batch.batch import Batch, Ended
from impasto.jobs.batch.estimates import Estimate, estimates, processors, sensible_workers
from impasto.jobs.batch.manifest import State
from impasto.jobs.batch.progress import Moved, weights
from impasto.jobs.batch.watching import Watch
from impasto.storage.process import Interruption

if TYPE_CHECKING:
    from impasto.jobs.batch.job import BatchJob, Wanted

PROGRESS_EVERY = 30.0
"""Seconds between two lines that tell how far all is, besides those of pictures that end."""


@dataclass(frozen=True)
class BatchRun:
    """A batch into a folder; `wanted()` looks anew which pictures are asked for."""

    folder: Path
    wanted: Callable[[], list[Wanted]]
    suffix: str
    how: How
    overwrite: bool
    quiet: bool

    def tell_plan(self, *, as_json: bool) -> int:
        """Say what would be painted, and how long it may take; makes no folder."""
        with contextlib.ExitStack() as stack:
            batch = Batch(self.folder, overwrite=self.overwrite)
            if self.folder.is_dir():
                stack.enter_context(batch)
            jobs = batch.placed(self.wanted(), self.suffix)
            left = batch.unfinished(jobs)
        found = estimates(left)
        workers, threads = self._workers(left, found)
        seconds = sum(_weights(found))
        rows = [
            {"output": str(job.output), "content": str(job.content), "styles": list(job.styles),
             "seconds": None if one is None else round(one.seconds, 1)}
            for job, one in zip(left, found, strict=True)
        ]  # fmt: skip
        if as_json:
            tell_json({"pictures": rows, "finished": len(jobs) - len(left), "workers": workers, "seconds": seconds})
            return 0
        for row in rows:
            tell(f"{row['output']}  " + ("can't be planned" if row["seconds"] is None else duration(row["seconds"])))
        tell(
            f"{len(left)} pictures to paint, {len(jobs) - len(left)} are finished: about {duration(seconds)} on this "
            f"machine, {workers} at once with {threads} threads each."
        )
        return 0

    def paint(self, watched: Sequence[str] | None, *, as_json: bool) -> int:
        """Paint what is unfinished, and go on with what comes into the folders that are watched; the exit code."""
        self.wanted()  # what is wrong with it is said before there is a folder
        began = time.monotonic()
        with Interruption() as interruption, Batch(self.folder, overwrite=self.overwrite) as batch:
            watch = None if watched is None else Watch(watched)
            jobs: list[BatchJob] = []
            while watch is None or watch.wait(lambda: interruption.signal is not None):
                tried = {(record.output, record.key) for record in batch.ended}
                jobs = batch.placed(self.wanted(), self.suffix)
                left = [job for job in batch.unfinished(jobs) if (job.output.name, batch.key(job)) not in tried]
                self._paint(batch, left, interruption)
                if watch is None or interruption.signal is not None:
                    break
            code = tell_end(batch, jobs, time.monotonic() - began, as_json=as_json, quiet=self.quiet)
        if interruption.signal is None:
            return code
        note("Run the same again to go on.")
        return interruption.code

    def _paint(self, batch: Batch, left: list[BatchJob], interruption: Interruption) -> None:
        if not left:
            return
        found = estimates(left)
        workers, threads = self._workers(left, found)
        work = _weights(found)
        if not self.quiet:
            note(f"{len(left)} pictures to paint, {len(batch.skipped)} are finished: about {duration(sum(work))}.")
        left = [job.with_threads(threads) for job in left]
        gpu = any(str(job.settings.device).startswith("cuda") for job in left)
        executor = self.how.make(workers, threads, self.folder, gpu=gpu)
        last, asked, before = time.monotonic(), False, len(batch.ended)
        with closing(batch.events(left, executor, work)) as events:
            for event in events:
                match event:
                    case Ended():
                        self._tell_end(event, len(batch.ended) - before, len(left))
                    case Moved() if not self.quiet and time.monotonic() - last >= PROGRESS_EVERY:
                        last = time.monotonic()
                        rest = "" if event.seconds_left is None else f", about {duration(event.seconds_left)} left"
                        note(f"{100 * event.share:.0f} % of the work{rest}.")
                if interruption.signal is not None and not asked:
                    asked = True
                    note("Interrupted: saving what is being painted. Again to quit at once.")
                    executor.end()

    def _tell_end(self, event: Ended, ended: int, of: int) -> None:
        record = event.record
        if record.state is State.FAILED:
            note(f"{ended}/{of}  {event.job.name} failed: {with_flags(str(record.error))}")
        elif record.state is State.DONE and not self.quiet:
            note(f"{ended}/{of}  {event.job.name}: {duration(record.seconds)}.")

    def _workers(self, left: Sequence[BatchJob], found: Sequence[Estimate | None]) -> tuple[int, int]:
        """How many processes of how many threads."""
        workers = sensible_workers(found, [job.settings for job in left], self.how.workers)
        return workers, max(1, processors() // workers)


def _weights(found: Sequence[Estimate | None]) -> list[float]:
    return weights([None if one is None else one.seconds for one in found])
