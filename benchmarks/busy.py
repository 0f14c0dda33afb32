"""How much longer does a run take beside one other busy program, by how its threads wait? Medians, in turns.

Whole processes, on a quiet machine and beside a loop that keeps one core busy: `impasto paint` as it sets the waiting
itself and with what OpenMP does by default, and the library in a program that imported torch first, where it can set
nothing. On two cores twice as long is what sharing them costs.

python benchmarks/busy.py [--sizes 128 256] [--rounds N] [--quick]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import harness
import pictures
import record

RUN = "from impasto.cli import main; raise SystemExit(main())"
LOOP = "while True: pass"
HOST = (
    "import sys, torch; from impasto import stylize; knobs = dict(epochs=1, steps_per_epoch=20, scales=1); "
    "stylize(sys.argv[2], sys.argv[3], size=int(sys.argv[5]), **knobs).save(sys.argv[-1])"
)
LIBRARY = "a library, torch imported before"
WAYS = {
    "as impasto sets it": {},
    "OpenMP's default": {"GOMP_SPINCOUNT": "300000"},
    "asleep at once": {"GOMP_SPINCOUNT": "0"},
    LIBRARY: {},
}
"""How threads wait. libgomp looks 300,000 times where the environment says nothing; impasto leaves what is set."""

STEPS = ("--epochs", "1", "--steps-per-epoch", "20", "--scales", "1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny and once, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    sizes, rounds = ([32], 1) if chosen.quick else (chosen.sizes, chosen.rounds)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        photo, painting = pictures.prepared(Path(name), (max(sizes), max(sizes) * 3 // 2))
        for size in sizes:
            arguments = ("paint", str(photo), str(painting), "--size", str(size), *STEPS)
            taken: dict[tuple[str, bool], list[float]] = {(way, busy): [] for way in WAYS for busy in (False, True)}
            for _ in range(rounds):
                for way, busy in taken:
                    with beside_a_loop() if busy else tempfile.TemporaryDirectory():
                        code = HOST if way == LIBRARY else RUN
                        taken[way, busy].append(seconds(code, arguments, WAYS[way], Path(name)))
            rows += [row(size, way, taken[way, False], taken[way, True]) for way in WAYS]
    question = "Seconds of a whole process that takes 20 steps, alone and beside one busy loop, by how threads wait"
    record.report("busy", {"question": question}, rows, chosen.results)


@contextmanager
def beside_a_loop() -> Iterator[None]:
    """A program that keeps one core busy while the block runs."""
    loop = subprocess.Popen([sys.executable, "-c", LOOP])
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def seconds(code: str, arguments: tuple[str, ...], waiting: dict[str, str], folder: Path) -> float:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_WAIT"))}
    command = [sys.executable, "-c", code, *arguments, "--overwrite", "--quiet", "-o", str(folder / "out.png")]
    began = time.perf_counter()
    subprocess.run(command, env=environment | waiting, check=True, capture_output=True)
    return time.perf_counter() - began


def row(size: int, way: str, alone: list[float], busy: list[float]) -> dict[str, object]:
    """A line of the table; the ratio is taken within each round."""
    ratio = harness.ratios(busy, alone)
    seconds = {"alone, s": str(harness.spread(alone)), "busy, s": str(harness.spread(busy))}
    return {"size": f"{size} px", "threads wait": way} | seconds | {"busy ÷ alone": str(ratio)}


if __name__ == "__main__":
    main()
