"""`impasto bench`: how fast this machine paints."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli.terminal import duration, note, tell, tell_json
from impasto.settings.choices import EngineName
from impasto.settings.settings import Settings

if TYPE_CHECKING:
    from impasto.jobs.stylization import Stylization

SIZES = ((192, 256), (384, 512))
"""Height and width in pixels."""

SIDE = 1024
"""Of the square matrices whose product shows what the processor could do."""

BUDGET = 8.0
"""Seconds spent at most on one engine at one size, two steps aside."""

MOST_ROUNDS = 7


def bench(*, json: Annotated[bool, Parameter(help="Print the figures as one JSON object.")] = False) -> None:
    """Measure the speed of this machine: a matrix product, and a step of each engine; in under a minute.

    Engines take turns, so that whatever else the machine does slows them alike; the figures are medians.
    """
    note("Close other programs: they share the processor, and the figures would show it.")
    import torch

    from impasto.network.engines.choice import can_run

    gflops = 2 * SIDE**3 / _seconds(_product()) / 1e9
    names = [name for name in EngineName if name is not EngineName.AUTO and can_run(name)]
    steps = {size: _steps(names, size) for size in SIZES}
    best = min(names, key=lambda name: steps[SIZES[-1]][name])
    figures: dict[str, Any] = {
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
        "sgemm_gflops": round(gflops, 1),
        "seconds_per_step": {
            f"{width}x{height}": {str(name): round(taken, 4) for name, taken in steps[height, width].items()}
            for height, width in SIZES
        },
        "engine": str(best),
        "default_picture_seconds": round(_estimate({size: steps[size][best] for size in SIZES}), 1),
    }
    figures["threads"] = torch.get_num_threads()
    if json:
        tell_json(figures)
    else:
        _tell(figures)


def _product() -> Callable[[], object]:
    import torch

    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    return lambda: a @ b


def _seconds(work: Callable[[], object]) -> float:
    work()  # the first one also makes the threads
    return statistics.median(_timed(work) for _ in range(MOST_ROUNDS))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _steps(names: list[EngineName], size: tuple[int, int]) -> dict[EngineName, float]:
    """Median seconds per step of the default objective and optimiser, engines in turns."""
    from impasto.run.events import Stepped

    runs = {name: _stylization(name, size).events() for name in names}

    def step(name: EngineName) -> float:
        return _timed(lambda: next(event for event in runs[name] if isinstance(event, Stepped)))

    taken = {name: [step(name), step(name)][1:] for name in names}  # the first measures the targets
    slowest = max(max(times) for times in taken.values())
    for _ in range(max(1, min(MOST_ROUNDS, int(BUDGET / slowest))) - 1):
        for name in names:
            taken[name].append(step(name))
    return {name: statistics.median(times) for name, times in taken.items()}


def _stylization(name: EngineName, size: tuple[int, int]) -> Stylization:
    import numpy as np

    from impasto.jobs.stylization import Stylization

    picture, style = np.random.default_rng(0).random((2, *size, 3), dtype=np.float32)
    settings = Settings(size=max(size), engine=name, device="cpu", scales=1, steps_per_epoch=100)
    return Stylization(picture, [style], settings)


def _estimate(steps: dict[tuple[int, int], float]) -> float:
    """Seconds for the steps of a run with the default settings on a photo of 4:3: seconds per pixel carry over."""
    from impasto.run.scales import plan_scales

    settings = Settings()
    side = settings.longest_side or 0
    per_pixel = {height * width: taken / (height * width) for (height, width), taken in steps.items()}
    total = 0.0
    for scale in plan_scales(settings, (side * 3 // 4, side)):
        pixels = scale.size[0] * scale.size[1]
        nearest = min(per_pixel, key=lambda known: abs(known - pixels))
        total += scale.steps * pixels * per_pixel[nearest]
    return total


def _tell(figures: dict[str, Any]) -> None:
    tell(f"{'machine':<16} {figures['threads']} threads on {figures['machine']}, torch {figures['torch']}")
    tell(f"{'matrix product':<16} {figures['sgemm_gflops']} GFLOP/s in float32")
    for size, taken in figures["seconds_per_step"].items():
        slowest = max(taken.values())
        shown = [
            f"{name} {seconds:.3g} s" + (f" ({slowest / seconds:.1f}×)" if seconds < slowest else "")
            for name, seconds in taken.items()
        ]
        tell(f"{'step at ' + size:<16} {', '.join(shown)}")
    settings = Settings()
    tell(
        f"A picture of {settings.size} px takes about {duration(figures['default_picture_seconds'])} "
        f"with the {figures['engine']} engine, the start and the saving aside."
    )
