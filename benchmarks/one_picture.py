"""How well do more processes compute one picture's tiles, and what does the process do that adds them up?

Evaluations of one objective (loss and gradient) at one canvas, in turns: by this process alone, by one of Ray's actors,
by two; a thread each. Efficiency is by how many times two are faster than one, halved. *Driver* is this process's own
time on its processor while two work; *bytes* are what it sends and receives for an evaluation; *optimiser* is L-BFGS's
own time on its processor, which no actor shares. The other programs' share of the processors is noted: above a tenth
an evaluation says little.

python benchmarks/one_picture.py [--size N] [--tile N] [--rounds N] [--quick]
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import harness
import pictures
import psutil
import record

from impasto.storage.process import short_waits

with short_waits():
    import torch

from impasto.jobs.executors import ray_tiles
from impasto.jobs.stylization import Stylization
from impasto.objective.evaluation import Evaluation
from impasto.objective.stylization import StylizationProblem
from impasto.run.optimizers.lbfgs import LBFGS
from impasto.settings.settings import Settings

WAYS = {"this process": 0, "one actor": 1, "two actors": 2}
QUIET = 0.1
"""Share of the processors that other programs may have."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="tiny and once, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.size, chosen.tile, chosen.rounds = 144, 64, 1
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        photo, painting = pictures.prepared(Path(name), (chosen.size * 2 // 3, chosen.size))
        settings = ray_tiles.spread_settings(Settings(size=chosen.size, tile=chosen.tile, scales=1, device="cpu"))
        rows, facts = measure(Stylization(photo, [painting], settings), chosen.rounds)
    h, w = facts.pop("size")
    facts = {"question": f"An evaluation at {w}×{h} px in tiles of {chosen.tile} px"} | facts
    record.report("one_picture", facts, rows, chosen.results)


def measure(job: Stylization, rounds: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A row for each way, and the constants."""
    problem = StylizationProblem(
        job.inputs.tensors(), job.settings, job.network.engine, job.plan.size, tile=job.plan.memory.tile
    )
    canvas = problem.first_canvas(job.plan.size)
    objective = problem.at(job.plan.size).objective
    here = objective.passes
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    others: dict[str, list[float]] = {way: [] for way in WAYS}
    driver: list[float] = []
    found: list[Evaluation] = []
    with ray_tiles.tiles_on_ray(job.settings, "local", 2) as tiles:
        both = list(tiles.actors)
        for turn in range(rounds + 1):  # the first one sends what actors keep
            for way, count in WAYS.items():
                objective.passes = tiles if count else here
                tiles.actors = both[: max(1, count)]
                began, own = time.perf_counter(), time.process_time()
                with noting(others[way]), counting() as moved:
                    found.append(objective.evaluate(canvas))
                if turn:
                    seconds[way].append(time.perf_counter() - began)
                if count == 2 and turn:
                    driver.append(time.process_time() - own)
        tiles.actors = both
    assert all(torch.equal(one.gradient, found[0].gradient) and one.loss == found[0].loss for one in found)
    optimiser = LBFGS()
    for _ in range(3):
        canvas, _ = optimiser.step(canvas, lambda x: Evaluation(found[0].loss, {}, found[0].gradient + 0.01 * x))
    began = time.process_time()
    for _ in range(20):
        canvas, _ = optimiser.step(canvas, lambda x: Evaluation(found[0].loss, {}, found[0].gradient + 0.01 * x))
    of_optimiser = (time.process_time() - began) / 20
    quiet = {
        way: [s for s, busy in zip(seconds[way], others[way][1:], strict=True) if busy < QUIET] or seconds[way]
        for way in WAYS
    }
    one = harness.spread(quiet["one actor"]).median
    rows = [
        {
            "by": way,
            "seconds": str(harness.spread(quiet[way])),
            "quiet rounds": sum(busy < QUIET for busy in others[way][1:]),
            "of one actor's rate": round(one / harness.spread(quiet[way]).median, 2),
            "efficiency": round(one / harness.spread(quiet[way]).median / max(1, count), 2),
        }
        for way, count in WAYS.items()
    ]
    megapixels = job.plan.size[0] * job.plan.size[1] / 1e6
    facts = {
        "size": job.plan.size,
        "driver": f"{min(driver) / megapixels:.3f} s a megapixel",
        "bytes": f"{moved['bytes'] / megapixels / 1e6:.0f} MB a megapixel",
        "optimiser": f"{of_optimiser / megapixels:.3f} s a megapixel",
        "calls": f"{moved['calls'] / megapixels:.0f} tensors a megapixel",
    }
    return rows, facts


@contextmanager
def noting(shares: list[float]) -> Iterator[None]:
    """Appends which share of the processors programs had that aren't this process, its actors or Ray's."""
    began, times, ours = time.perf_counter(), psutil.cpu_times(), own_seconds()
    yield
    now = psutil.cpu_times()
    busy = sum(getattr(now, kind) - getattr(times, kind) for kind in ("user", "system", "nice"))
    span = (time.perf_counter() - began) * record.cores()
    shares.append(max(0.0, busy - (own_seconds() - ours)) / span)


def own_seconds() -> float:
    """Processor seconds of this process and of Ray's."""
    total = 0.0
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if "ray" in command or process.pid == psutil.Process().pid:
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
    return total


@contextmanager
def counting() -> Iterator[dict[str, int]]:
    """Counts what this process sends and receives."""
    moved = {"bytes": 0, "calls": 0}
    packed, unpacked = ray_tiles.packed, ray_tiles.unpacked

    def noted(sent: ray_tiles.Packed) -> ray_tiles.Packed:
        moved["bytes"] += sent.array.nbytes
        moved["calls"] += 1
        return sent

    ray_tiles.packed = lambda tensor: noted(packed(tensor))
    ray_tiles.unpacked = lambda sent: unpacked(noted(sent))
    try:
        yield moved
    finally:
        ray_tiles.packed, ray_tiles.unpacked = packed, unpacked


if __name__ == "__main__":
    main()
