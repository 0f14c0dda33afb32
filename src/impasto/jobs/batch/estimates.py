"""What the pictures of a batch may take, from the headers of their files: seconds to weigh them by, and memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.images.reading import read_size
from impasto.images.size import Size, canvas_size
from impasto.jobs.batch.job import BatchJob
from impasto.jobs.inputs import SWATCH_SIDE, shapes_of
from impasto.jobs.network import KeptNetwork
from impasto.jobs.style_scale import unsettled
from impasto.network.engines.choice import choose_device
from impasto.run.memory_plan import free_memory
from impasto.run.plan import plan_run
from impasto.settings.choices import EngineName
from impasto.settings.settings import Settings

SPARE = 0.8
"""Part of the free memory that all workers together may plan with."""


@dataclass(frozen=True)
class Estimate:
    """Planned seconds of a picture on this machine alone, and bytes at the peak."""

    seconds: float
    peak: int


def estimates(jobs: Sequence[BatchJob], kept: KeptNetwork | None = None) -> list[Estimate | None]:
    """The plan of each picture without decoding it; None for one that can't be planned, which painting it will say."""
    kept = kept or KeptNetwork()
    known: dict[object, Estimate] = {}
    found: list[Estimate | None] = []
    for job in jobs:
        settings = unsettled(job.settings)
        try:
            canvas = canvas_size(read_size(job.content), settings.longest_side)
            styles = tuple(_style_size(style, max(canvas)) for style in job.styles)
            key = (canvas, styles, settings.model_dump_json())
            if key not in known:
                network, speed = kept.network(settings), kept.speed(settings)
                plan = plan_run(settings, shapes_of(canvas, styles, settings), network.engine, speed=speed)
                known[key] = Estimate(plan.seconds, plan.memory.peak)
        except ImpastoError:
            found.append(None)
        else:
            found.append(known[key])
    return found


def _style_size(style: str, longest: int) -> Size:
    if Path(style).exists():
        return read_size(style)
    side = min(max(longest, SWATCH_SIDE[0]), SWATCH_SIDE[1])
    return side, side


def sensible_workers(found: Sequence[Estimate | None], settings: Sequence[Settings], most: int | None) -> int:
    """How many processes, `most` or as many as there are processors, that the memory lets paint at once.

    One process with one thread each is the fastest way to use several processors (docs/decisions/0025-batches.md); on a
    GPU one process is enough.
    """
    peak = max((one.peak for one in found if one is not None), default=0)
    by_memory = int(SPARE * free_memory() / peak) if peak else len(found)
    wanted = most or (1 if any(map(on_gpu, settings)) else processors())
    return max(1, min(wanted, len(found), max(1, by_memory)))


def on_gpu(settings: Settings) -> bool:
    """Whether a GPU paints, on this machine where the settings leave it open."""
    if settings.engine is EngineName.NATIVE:
        return False
    return settings.device != "cpu" and (settings.device != "auto" or choose_device("auto").type != "cpu")


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
