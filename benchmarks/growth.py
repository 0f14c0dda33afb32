"""How do the seconds of a step grow with the picture, and is the memory that was planned the memory that is taken?

A process per size, square pictures, L-BFGS, whatever plan the run makes of the memory there is (or of --max-memory).
The first step measures targets and touches memory for the first time, so it isn't counted. Sizes go up and down again,
so that a machine that gets slower meanwhile shows.

python benchmarks/growth.py [--sides 512 1024 …] [--steps N] [--max-memory 3GB] [--quick]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import harness
import pictures
import record

from impasto.storage import process

SIDES = (512, 1024, 2048, 4096)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--max-memory", default="auto", help="a limit, as `impasto paint --max-memory` takes it")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    parser.add_argument("--worker", nargs=3, metavar=("SIDE", "CONTENT", "STYLE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker is not None:
        side, *files = chosen.worker
        print(json.dumps(measured(int(side), *files, chosen.steps, chosen.max_memory)))
        return
    sides = (48, 64) if chosen.quick else sorted(chosen.sides)
    runs: dict[int, list[dict[str, Any]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        for side in (*sides, *reversed(sides[:-1])):
            files = map(str, pictures.prepared(Path(folder), (side, side)))
            options = ["--steps", str(chosen.steps), "--max-memory", chosen.max_memory]
            command = [sys.executable, "-W", "ignore", __file__, *options, "--worker", str(side), *files]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[side].append(json.loads(done.stdout.splitlines()[-1]))
            print(side, runs[side][-1], file=sys.stderr, flush=True)
    name = "growth" if chosen.max_memory == "auto" else f"growth_{chosen.max_memory}"
    facts = {"question": "Seconds of a step, and memory, against the size of the picture", "runs": runs}
    record.report(name, facts, table(runs), chosen.results)


def table(runs: dict[int, list[dict[str, Any]]]) -> list[dict[str, object]]:
    """A row per size; a size's seconds are the median of its steps, its deviation is from the middle of all sizes."""
    rates = {
        side: median(taken for run in several for taken in run["cpu"]) / (side**2 / 1e6)
        for side, several in runs.items()
    }
    middle = (min(rates.values()) + max(rates.values())) / 2
    rows = []
    for side, several in runs.items():
        run = several[0]
        rows.append(
            {
                "size": f"{side}×{side}",
                "megapixels": round(side**2 / 1e6, 2),
                "tile": run["tile"] or "whole",
                "history": run["history"],
                "seconds a step": str(harness.spread([taken for run in several for taken in run["seconds"]])),
                "CPU s a megapixel": rates[side],
                "off the middle": f"{rates[side] / middle - 1:+.0%}",
                "peak MB": round(max(run["peak"] for run in several)),
                "planned": round(run["planned"]),
            }
        )
    return rows


@process.owned()  # as the command line does
def measured(side: int, content: str, style: str, steps: int, max_memory: str) -> dict[str, Any]:
    """One process's steps: wall-clock and processor seconds, peak resident memory and the plan's, in MB."""
    import resource

    from impasto.jobs.stylization import Stylization
    from impasto.run.events import Started, Stepped
    from impasto.settings.settings import Settings

    # As long a history as these steps fill: memory that is planned for more would not be taken yet.
    settings = Settings(size=side, scales=1, epochs=1, steps_per_epoch=steps + 1, history=steps, max_memory=max_memory)
    clocks, plan = [], None
    for event in Stylization(content, [style], settings).events():
        if isinstance(event, Started):
            plan = event.plan.memory
        if isinstance(event, Stepped):
            clocks.append((time.perf_counter(), time.process_time()))
    assert plan is not None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "tile": plan.tile,
        "history": plan.history,
        "planned": plan.peak / 2**20,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        "seconds": [after[0] - before[0] for before, after in pairwise(clocks)],
        "cpu": [after[1] - before[1] for before, after in pairwise(clocks)],
    }


if __name__ == "__main__":
    main()
