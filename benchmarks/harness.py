"""Contestants taken in turns, and statistics of what they took.

Each contestant is a process of its own that does one piece of work whenever it reads a line, so that a noisy machine
is noisy to all of them alike: A B C A B C. Ratios are taken within a round, then their median.
This module never imports torch: a child's peak memory starts from its parent's.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

AVX2_ONLY = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
"""Holds torch (oneDNN, ATen, MKL) to AVX2, and by `held_to_avx2` the native engine; ncnn has no such switch."""


def held_to_avx2() -> bool:
    """Whether this process runs under `AVX2_ONLY`."""
    return AVX2_ONLY.items() <= os.environ.items()


@dataclass(frozen=True)
class Sample:
    """One piece of work: wall-clock and processor seconds, and the process's peak resident memory so far, in MB."""

    seconds: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles and the least value."""

    median: float
    low: float
    high: float
    least: float
    count: int

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g}–{self.high:.3g})"


def spread(values: Sequence[float]) -> Spread:
    """Median, quartiles and least of at least one value."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return Spread(middle, low, high, min(values), len(values))


def ratios(slow: Sequence[float], fast: Sequence[float]) -> Spread:
    """How many times longer `slow` took, compared round by round."""
    return spread([a / b for a, b in zip(slow, fast, strict=True)])


class Worker:
    """A contestant's process; `ready` is what it said once it was prepared."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.command = command
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.ready: dict[str, Any] = self._answer()

    def work(self) -> Sample:
        """One piece of work, done now."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return Sample(**self._answer())

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()  # end of input is the sign to leave

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.communicate()
            raise SystemExit(f"{' '.join(self.command)} ended with code {self.process.returncode}.")
        return json.loads(line)


def in_turns(
    commands: Mapping[str, Sequence[str]], rounds: int, environment: Mapping[str, str] | None = None
) -> dict[str, list[Sample]]:
    """Samples of every contestant, `rounds` each; a first round to warm up isn't counted."""
    with ExitStack() as stack:
        workers = {n: stack.enter_context(Worker(c, environment or {})) for n, c in commands.items()}
        taken = [{name: worker.work() for name, worker in workers.items()} for _ in range(rounds + 1)]
    return {name: [turn[name] for turn in taken[1:]] for name in workers}


def serve(prepare: Callable[[], Callable[[], object]]) -> None:
    """The worker's side: prepare, then do one piece of work per line of input."""
    import resource
    import time

    work = prepare()
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print("{}", flush=True)
    for _ in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        work()
        taken = time.perf_counter() - began, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        print(json.dumps(asdict(Sample(*taken, peak))), flush=True)
