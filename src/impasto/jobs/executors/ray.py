"""A Ray cluster, of many machines or this one: each item is a task of Ray's, in a process that may die alone."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.jobs.executors.executor import TRIES, Begun, Done, Item, Lost, News, Parcel, found
from impasto.jobs.executors.ray_cluster import connected, places_in
from impasto.storage.files import reason, write_atomically
from impasto.storage.process import owned

PATIENCE = 60.0
"""Seconds that tasks may take to save and return, when they are asked to or nobody listens any more."""

QUIET = 0.25
"""Seconds without news after which None is told."""

GLANCE = 5.0
"""Seconds after which the machines of the cluster are counted again."""

ROOMLESS = 300.0
"""Seconds that a cluster may have no machine that is large enough: it may be about to get one."""


@dataclass(frozen=True)
class _Flight:
    """An item that was handed to Ray, and the hashes of the inputs that travel with it."""

    number: int
    item: Item
    digests: tuple[str, ...] = ()


class RayExecutor:
    """Tasks with so many `threads`, and a GPU each if asked for, wherever the cluster has room.

    `address` is HOST:PORT, "auto" for the cluster of this machine, "local" or None for a new one on this machine only.
    Where Ray is in use by this process already, that is taken. With a `parcel` inputs and outputs travel, each content
    once; without one all machines see the same files. An item is `Begun` when it is handed to Ray, which may be a while
    before it runs; what tasks tell on the way stays where they run. What they print is in Ray's own logs, by itself in
    /tmp/ray. Ray begins an item again whose process or machine dies. Losing the head of the cluster ends this process:
    what was written is there, and the rest is to be done by another run.
    """

    def __init__(self, address: str | None, threads: int, gpu: bool = False, parcel: Parcel | None = None) -> None:
        self.address, self.threads, self.gpu, self.parcel = address or "local", threads, gpu, parcel
        self._ending = False

    def map(self, task: str, items: Iterable[Item]) -> Iterator[News | None]:
        """See `Executor`; raises `ImpastoError` where there is no Ray, no such cluster, or no room in it for long."""
        with connected(self.address) as ray:
            rounds = _Rounds(ray, self, task)
            try:
                yield from rounds.news(iter(enumerate(items)))
            finally:
                rounds.close()

    def end(self) -> None:
        """See `Executor`: tasks that don't return within a minute are killed."""
        self._ending = True

    @property
    def ending(self) -> bool:
        """Whether no other item is to be begun."""
        return self._ending


class _Rounds:
    """The items of one `map` that Ray has, and the contents that travel with them."""

    def __init__(self, ray: Any, executor: RayExecutor, task: str) -> None:
        self._ray, self._executor, self._task, self._parcel = ray, executor, task, executor.parcel
        threads = executor.threads
        self._call = ray.remote(_call).options(
            num_cpus=threads,
            num_gpus=1 if executor.gpu else 0,
            max_retries=TRIES - 1,
            retry_exceptions=False,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(threads)}},
        )
        self._flights: dict[Any, _Flight] = {}
        self._contents: dict[str, Any] = {}
        self._needed: Counter[str] = Counter()
        self._room, self._counted, self._roomy = 0, float("-inf"), time.monotonic()

    def news(self, waiting: Iterator[tuple[int, Item]]) -> Iterator[News | None]:
        """News of all items until there are no more, or until those that run have ended."""
        asked: float | None = None
        while True:
            while not self._executor.ending and len(self._flights) < max(1, 2 * self._places()):
                if (taken := next(waiting, None)) is None:
                    break
                try:
                    self._submit(*taken)
                except OSError as error:
                    yield Lost(taken[0], f"an input couldn't be read: {reason(error)}")
                else:
                    yield Begun(taken[0])
            if not self._flights:
                return
            if self._executor.ending:
                if asked is None:
                    asked = self._cancel(force=False)
                elif time.monotonic() > asked + PATIENCE:
                    return
            ready, _ = self._ray.wait(list(self._flights), num_returns=1, timeout=QUIET)
            yield self._outcome(ready[0]) if ready else None

    def close(self) -> None:
        """Let what still runs save and return, and end it where it doesn't."""
        if not self._flights:
            return
        if not self._executor.ending:
            self._cancel(force=False)
            self._ray.wait(list(self._flights), num_returns=len(self._flights), timeout=PATIENCE)
        self._cancel(force=True)
        self._flights.clear()
        self._contents.clear()

    def _places(self) -> int:
        """How many tasks run at once; raises `ImpastoError` where there has been no place for long."""
        now = time.monotonic()
        if now < self._counted + GLANCE:
            return self._room
        threads, gpu = self._executor.threads, self._executor.gpu
        offered = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        self._room, self._counted = sum(places_in(resources, threads, gpu) for resources in offered), now
        if self._room:
            self._roomy = now
        elif self._executor.address == "local" or now > self._roomy + ROOMLESS:
            what = f"{threads} CPU{'s' * (threads > 1)}{' and a GPU' if gpu else ''}"
            raise ImpastoError(f"No machine of the Ray cluster has {what} for a task", "ask for less, or add a machine")
        return self._room

    def _submit(self, number: int, item: Item) -> None:
        """Hand an item to Ray, with its inputs where they travel; raises `OSError` where they can't be read."""
        if self._parcel is None:
            self._flights[self._call.remote(self._task, item)] = _Flight(number, item)
            return
        paths = self._parcel.inputs(item)
        digests: list[str] = []
        try:
            for path in paths:
                data = path.read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                if digest not in self._contents:
                    self._contents[digest] = self._ray.put(data)
                self._needed[digest] += 1
                digests.append(digest)
        except BaseException:
            self._drop(digests)
            raise
        sent = [(str(path), digest) for path, digest in zip(paths, digests, strict=True)]
        contents = [self._contents[digest] for digest in digests]
        call = self._call.remote(self._task, item, self._parcel, sent, *contents)
        self._flights[call] = _Flight(number, item, tuple(digests))

    def _drop(self, digests: Iterable[str]) -> None:
        """Forget contents that no item needs any more."""
        for digest in digests:
            self._needed[digest] -= 1
            if not self._needed[digest]:
                del self._needed[digest], self._contents[digest]

    def _outcome(self, call: Any) -> News | None:
        """What became of an item whose task has ended; None where that is still on its way, or it was cancelled."""
        try:
            result, fault, output = self._ray.get(call, timeout=QUIET)
        except self._ray.exceptions.GetTimeoutError:  # its machine died since, and it runs again
            return None
        except self._ray.exceptions.RayError as error:
            result, fault, output = {}, self._fault(error), None
        flight = self._flights.pop(call)
        self._drop(flight.digests)
        if fault is not None:
            return Lost(flight.number, fault) if fault else None
        if self._parcel is not None and output is not None:
            try:
                write_atomically(self._parcel.output(flight.item), lambda file: file.write(output))
            except OSError as error:
                return Lost(flight.number, f"its output couldn't be written: {reason(error)}")
        return Done(flight.number, result)

    def _fault(self, error: Exception) -> str:
        """Why Ray has no result, in words; empty where that was asked for."""
        known = self._ray.exceptions
        if isinstance(error, known.TaskCancelledError):
            return ""
        if isinstance(error, known.RayTaskError):  # before or after the task itself, which returns its faults
            cause = getattr(error, "cause", error)
            return "" if isinstance(cause, known.TaskCancelledError) else f"{type(cause).__name__}: {reason(cause)}"
        if self._executor.ending:
            return ""
        if isinstance(error, known.OutOfMemoryError):
            return f"its machine had too little memory, {TRIES} times"
        if isinstance(error, known.WorkerCrashedError | known.NodeDiedError):
            return f"its process or its machine died, {TRIES} times"
        return f"{type(error).__name__}: {reason(error)}"

    def _cancel(self, *, force: bool) -> float:
        """Cancel all; when that was."""
        for call in self._flights:
            self._ray.cancel(call, force=force)
        return time.monotonic()


Answer = tuple[Item, str | None, bytes | None]
"""What a task's process gives back: the result, what was raised instead, and the output's bytes where they travel."""


def _call(
    task: str, item: Item, parcel: Parcel | None = None, sent: list[tuple[str, str]] | None = None, *contents: bytes
) -> Answer:
    """Call a task in a process of Ray's; where Ray cancels it, which comes as SIGINT, ask it to save and return."""
    asked = threading.Event()
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.set())
    try:
        with owned(), contextlib.ExitStack() as stack:
            if parcel is None or sent is None:
                return found(task)(item, lambda what: None, asked.is_set), None, None
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="impasto-")))
            inputs: dict[str, str] = {}
            for (path, digest), content in zip(sent, contents, strict=True):
                copy = folder / digest / Path(path).name
                copy.parent.mkdir(exist_ok=True)
                copy.write_bytes(content)
                inputs[path] = str(copy)
            output = folder / "output" / parcel.output(item).name
            output.parent.mkdir()
            result = found(task)(parcel.moved(item, inputs, str(output)), lambda what: None, asked.is_set)
            return parcel.told(result, inputs), None, output.read_bytes() if output.exists() else None
    except Exception as error:  # as in the processes of `LocalExecutor`; Ray's log has the rest
        traceback.print_exception(error)
        return {}, f"{type(error).__name__}: {error}", None
    finally:
        signal.signal(signal.SIGINT, before)
