"""A batch: which of its pictures are still to be painted, their painting by an executor, and what became of each.

The truth is on the disk: see `manifest`. What is finished by the same inputs, settings and version is skipped, what
failed is tried again, and what was cut off goes on from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from impasto.errors import ImpastoError
from impasto.jobs.batch.fingerprint import Fingerprints, sha256_of
from impasto.jobs.batch.job import BatchJob, Wanted, placed
from impasto.jobs.batch.manifest import Manifest, Record, State, recorded
from impasto.jobs.batch.painting import TASK, item
from impasto.jobs.batch.progress import Moved, moved
from impasto.jobs.executors.executor import Begun, Done, Executor, Item, Lost, Told
from impasto.storage.files import quoted, reason


@dataclass(frozen=True)
class Ended:
    """A picture is done, failed or cut off."""

    job: BatchJob
    record: Record


class Batch:
    """The pictures of a folder; enter it, so that no other process paints there.

    Raises `ImpastoError` where the folder can't be had.
    """

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        self.folder, self.overwrite = folder, overwrite
        self.skipped: list[Record] = []
        self.ended: list[Record] = []
        self._lock = FileLock(folder / ".batch.lock", timeout=0)
        self._fingerprints = Fingerprints()
        self._manifest: Manifest | None = None

    def __enter__(self) -> Batch:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._manifest = Manifest(self.folder)
            self._manifest.compact()
        except Timeout:
            raise ImpastoError(
                f"{quoted(self.folder)} belongs to a batch that another process is painting", "wait for it, or stop it"
            ) from None
        except OSError as error:
            raise ImpastoError(
                f"{quoted(self.folder)} can't be used ({reason(error)})", "choose another folder"
            ) from None
        except ImpastoError:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.manifest.compact()
        finally:
            self._lock.release()

    @property
    def manifest(self) -> Manifest:
        """What is known of the folder; nothing before the batch is entered."""
        return self._manifest or Manifest(self.folder)

    def key(self, job: BatchJob) -> str:
        """See `Fingerprints.of`."""
        return self._fingerprints.of(job)

    def placed(self, wanted: Sequence[Wanted], suffix: str) -> list[BatchJob]:
        """The jobs with their places: see `job.placed`."""
        return placed(wanted, self.folder, suffix, self.manifest.records.values(), self.key)

    def unfinished(self, jobs: Sequence[BatchJob]) -> list[BatchJob]:
        """Those of the jobs that are to be painted; what is finished is noted in `skipped`."""
        self.skipped = []
        left: list[BatchJob] = []
        for job in jobs:
            record = self.manifest.records.get(job.output.name)
            same = record is not None and record.key == self.key(job)
            if record is not None and same and record.state is State.DONE and self._is_ours(job, record):
                self.skipped.append(record)
            else:
                left.append(job)
        return left

    def events(
        self, jobs: Sequence[BatchJob], executor: Executor, weights: Sequence[float]
    ) -> Generator[Ended | Moved]:
        """Paint jobs: each one's end, and how far all of it is by the planned seconds that are their `weights`.

        Records are on the disk before they are told.
        """
        free: list[BatchJob] = []
        planned: list[float] = []
        for job, weight in zip(jobs, weights, strict=True):
            if self._may_write(job):
                free.append(job)
                planned.append(weight)
                continue
            fault = (
                f"{quoted(job.output)} is there already and isn't what this batch wrote: move it, or set `overwrite`."
            )
            yield Ended(job, self._end(job, self.key(job), {"state": State.FAILED, "error": fault}))
        work = _Work(planned)
        keys: dict[int, str] = {}

        def items() -> Generator[Item]:
            for number, job in enumerate(free):
                keys[number] = self.key(job)
                yield item(job.content, job.styles, job.settings, job.output)

        for news in executor.map(TASK, items()):
            match news:
                case Begun(number=number):
                    work.share.setdefault(number, 0.0)
                    # Until more is known of it: a killed run may leave its state, or even its picture.
                    self._note(free[number], keys[number], {"state": State.CUT_OFF})
                case Told(number=number, what={"share": share}):
                    work.share[number] = share
                case Done(number=number, result=result):
                    work.share[number] = 1.0
                    yield Ended(free[number], self._end(free[number], keys[number], result))
                case Lost(number=number, fault=fault):
                    work.share[number] = 1.0
                    lost = {"state": State.FAILED, "error": f"{free[number].name} failed: {fault}."}
                    yield Ended(free[number], self._end(free[number], keys[number], lost))
                case _:
                    pass
            yield work.moved()

    def _may_write(self, job: BatchJob) -> bool:
        if self.overwrite or not job.output.exists():
            return True
        record = self.manifest.records.get(job.output.name)
        return record is not None and (record.state is State.CUT_OFF or self._is_ours(job, record))

    def _is_ours(self, job: BatchJob, record: Record) -> bool:
        """Whether the picture on the disk is the one that was written then."""
        try:
            return record.sha256 is not None and sha256_of(job.output) == record.sha256
        except OSError:
            return False

    def _end(self, job: BatchJob, key: str, result: Item) -> Record:
        self.ended.append(self._note(job, key, result))
        return self.ended[-1]

    def _note(self, job: BatchJob, key: str, result: Item) -> Record:
        """Record what became of a picture, as its task or the executor tells it."""
        record = recorded(job.inputs, job.output.name, key, result)
        before = self.manifest.records.get(job.output.name)
        if before is not None and before.key == key and before.state is State.CUT_OFF:
            record = replace(record, seconds=round(before.seconds + record.seconds, 3))
        if record.sha256 is None and before is not None:
            record = replace(record, sha256=before.sha256)  # an earlier picture of ours may still be there
        self.manifest.add(record)
        return record


class _Work:
    """How much of the planned work is done; what is resumed counts from where it goes on."""

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = weights
        self.share: dict[int, float] = {}
        self._began = time.monotonic()

    def moved(self) -> Moved:
        shares = [self.share.get(number, 0.0) for number in range(len(self.weights))]
        return moved(self.weights, shares, time.monotonic() - self._began)
