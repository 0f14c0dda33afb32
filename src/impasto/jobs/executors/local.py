"""Processes of this machine: each works on one item at a time, and is replaced where it dies."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from impasto.jobs.executors.executor import TRIES, Begun, Done, Item, Lost, News, Told
from impasto.storage.process import death

PATIENCE = 60.0
"""Seconds that a process may take to save and return, when it is asked to or nobody listens any more."""

QUIET = 0.25
"""Seconds without news after which None is told."""


class LocalExecutor:
    """`workers` processes with so many `threads` each; what they print goes to the file `log`."""

    def __init__(self, workers: int, threads: int, log: Path) -> None:
        self.workers, self.threads, self.log = workers, threads, log
        self._heard: queue.SimpleQueue[tuple[_Worker, Item | None]] = queue.SimpleQueue()
        self._ending = False
        self._started: list[_Worker] = []

    def map(self, task: str, items: Iterable[Item]) -> Iterator[News | None]:
        """See `Executor`."""
        waiting: Iterator[tuple[int, Item]] = iter(enumerate(items))
        again: list[tuple[int, Item]] = []
        deaths: Counter[int] = Counter()
        try:
            while True:
                while not self._ending and (free := self._free()) is not None:
                    if (taken := again.pop() if again else next(waiting, None)) is None:
                        break
                    free.begin(task, *taken)
                    yield Begun(taken[0], again=deaths[taken[0]] > 0)
                busy = [worker for worker in self._started if worker.item is not None]
                if not busy:
                    return
                try:
                    worker, message = self._heard.get(timeout=QUIET)
                except queue.Empty:
                    yield None
                    continue
                if message is not None:
                    yield worker.news(message)
                    continue
                self._started.remove(worker)
                how = worker.close()
                if worker.item is None:
                    continue
                number, _ = worker.item
                deaths[number] += 1
                if self._ending:
                    continue
                if deaths[number] < TRIES:
                    again.append(worker.item)
                else:
                    yield Lost(number, f"the process ended {how}, {TRIES} times")
        finally:
            self._close()

    def end(self) -> None:
        """See `Executor`."""
        self._ending = True
        for worker in self._started:
            worker.listen_no_more()

    def kill(self) -> None:
        """End all processes at once, whatever they are at, and begin no other."""
        self._ending = True
        for worker in self._started:
            worker.kill()

    def _free(self) -> _Worker | None:
        """A process that has nothing to do, a new one where there is room, or None."""
        for worker in self._started:
            if worker.item is None:
                return worker
        if len(self._started) == self.workers:
            return None
        self._started.append(_Worker(self._heard, self.threads, self.log))
        return self._started[-1]

    def _close(self) -> None:
        for worker in self._started:
            if self._ending and worker.item is not None:  # it was asked, and whoever drives waits no longer
                worker.kill()
            worker.listen_no_more()
        for worker in self._started:
            worker.close()
        self._started.clear()


class _Worker:
    """One process, a thread that hears it, and the item that it works on."""

    def __init__(self, heard: queue.SimpleQueue[tuple[_Worker, Item | None]], threads: int, log: Path) -> None:
        self.item: tuple[int, Item] | None = None
        self._heard = heard
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "impasto.jobs.executors.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
                start_new_session=True,  # Ctrl-C in the terminal is for whoever drives
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def begin(self, task: str, number: int, item: Item) -> None:
        """Work on an item; a process that has just died is heard of soon."""
        self.item = number, item
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps({"task": task, "number": number, "item": item}) + "\n")
            self._process.stdin.flush()

    def news(self, message: Item) -> News:
        """What a message of the process means."""
        match message:
            case {"told": number, "what": what}:
                return Told(number, what)
            case {"done": number, "result": result}:
                self.item = None
                return Done(number, result)
            case _:
                self.item = None
                return Lost(message["lost"], message["fault"])

    def listen_no_more(self) -> None:
        """Let the process know that it is to save and return."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def kill(self) -> None:
        """End it at once; `close` tells of it."""
        self._process.kill()

    def close(self) -> str:
        """Wait for its end, or bring it about; how it ended, in words."""
        self.listen_no_more()
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._listener.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return death(code)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # the last line of a process that was killed may be cut
            for line in self._process.stdout:
                self._heard.put((self, json.loads(line)))
        self._heard.put((self, None))
