"""How well do more processes paint a batch, and what does an executor cost?

*Batch*: the same pictures by one process and by two, a thread each, and by one with two threads, processes started
anew each time; *pictures a minute* counts from the first process's start to the last picture's end. Efficiency is
that by what so many times one process's would be. *Overhead*: seconds a task that does nothing takes, one after
another, by processes of this machine and by Ray's (--ray), both running already.

python benchmarks/scaling.py [--size N] [--epochs N] [--pictures N] [--ray] [--quick]
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pictures
import record

from impasto.jobs.batch.painting import TASK, item
from impasto.jobs.executors.executor import Done, Executor, Item
from impasto.jobs.executors.local import LocalExecutor
from impasto.settings.settings import Settings

NOTHING = "scaling_task:nothing"
"""Beside this script, where processes find it by PYTHONPATH."""

WAYS = ((1, 1), (2, 1), (1, 2))
"""Processes, and threads of each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--tasks", type=int, default=200, help="that do nothing")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--quick", action="store_true", help="tiny, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.size, chosen.epochs, chosen.pictures, chosen.tasks = 32, 1, 2, 3
    os.environ["PYTHONPATH"] = os.pathsep.join([str(record.HERE), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as name:
        log, rows, one = Path(name) / "log", [], 0.0
        for workers, threads in WAYS:
            jobs = painting(Path(name), chosen.size, chosen.epochs, chosen.pictures, threads)
            rate = 60 * chosen.pictures / seconds(LocalExecutor(workers, threads, log), TASK, jobs)
            one = one or rate
            rows.append(
                {
                    "processes": workers,
                    "threads each": threads,
                    "pictures a minute": round(rate, 2),
                    "of one process's": round(rate / one, 2),
                    "efficiency": round(rate / one / (workers * threads), 2),
                }
            )
        executors: dict[str, Callable[[], Executor]] = {"local": lambda: LocalExecutor(1, 1, log)}
        if chosen.ray:
            from impasto.jobs.executors.ray import RayExecutor

            executors["ray"] = lambda: RayExecutor("local", threads=1)
        overhead = {name: each(make(), chosen.tasks) for name, make in executors.items()}
    facts = {
        "question": f"{chosen.pictures} pictures of {chosen.size} px in {20 * chosen.epochs} steps",
        "overhead": {name: f"{1000 * found:.2f} ms a task" for name, found in overhead.items()},
    }
    record.report("scaling", facts, rows, chosen.results)


def painting(folder: Path, size: int, epochs: int, count: int, threads: int) -> list[Item]:
    """Items of a batch."""
    settings = Settings(size=size, epochs=epochs, threads=threads, scales=1)
    photo = pictures.packaged("skimage/data/coffee.png")
    return [item(photo, ("mosaic",), settings, folder / f"{n}.png") for n in range(count)]


def seconds(executor: Executor, task: str, items: list[Item]) -> float:
    """Until all are done."""
    began = time.perf_counter()
    done = [news.result for news in executor.map(task, items) if isinstance(news, Done)]
    assert len(done) == len(items)
    assert all(result.get("state", "done") == "done" for result in done), done
    return time.perf_counter() - began


def each(executor: Executor, count: int) -> float:
    """Seconds a task that does nothing takes, between the first's end and the last's."""
    ends: list[float] = []
    for news in executor.map(NOTHING, [{}] * (count + 1)):
        if isinstance(news, Done):
            ends.append(time.perf_counter())
    return (ends[-1] - ends[0]) / count


if __name__ == "__main__":
    main()
