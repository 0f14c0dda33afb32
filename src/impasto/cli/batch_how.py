"""Where the pictures of a batch are painted, and how many at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import SettingsError

if TYPE_CHECKING:
    from impasto.jobs.executors.executor import Executor

LOCAL, RAY = "local", "ray"

LOG = "batch.log"
"""In the folder of the pictures: what the processes that paint print."""


@dataclass(frozen=True)
class How:
    """The executor by name; of Ray, the cluster's address, and whether files must be sent and fetched."""

    workers: int | None
    executor: str
    address: str | None
    fetch: bool

    @property
    def on_ray(self) -> bool:
        """Whether that is a cluster."""
        return self.executor == RAY

    def check(self) -> None:
        """Raise `SettingsError` for what contradicts."""
        if self.workers is not None and self.workers < 1:
            raise SettingsError(f"`workers` is {self.workers}", "give 1 or more", knob="workers", value=self.workers)
        if self.executor not in (LOCAL, RAY):
            raise SettingsError(
                f"`executor` is {self.executor!r}", f"choose {LOCAL} or {RAY}", knob="executor", value=self.executor
            )
        for knob, given in (("address", self.address), ("fetch", self.fetch)):
            if given and self.executor != RAY:
                raise SettingsError(f"`{knob}` is of a cluster", f"add `executor` {RAY}, or drop it", knob=knob)
        if self.workers is not None and self.executor == RAY:
            raise SettingsError(
                "A cluster has as many workers as its processors allow", "drop `workers`", knob="workers"
            )

    def make_for_film(self, workers: int, threads: int, log: Path, *, gpu: bool) -> Executor:
        """The executor where all machines see the same folders."""
        if self.executor == LOCAL:
            from impasto.jobs.executors.local import LocalExecutor

            return LocalExecutor(workers, threads, log)
        from impasto.jobs.executors.ray import RayExecutor

        return RayExecutor(self.address or "auto", threads, gpu=gpu)

    def make(self, workers: int, threads: int, folder: Path, *, gpu: bool) -> Executor:
        """The executor of a batch."""
        if self.executor == LOCAL:
            return self.make_for_film(workers, threads, folder / LOG, gpu=gpu)
        from impasto.jobs.batch.parcel import Parcel
        from impasto.jobs.executors.ray import RayExecutor

        return RayExecutor(self.address or "auto", threads, gpu=gpu, parcel=Parcel() if self.fetch else None)
