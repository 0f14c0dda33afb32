"""What a job would take: its plan as the command line's, in a process that keeps the network from one to the next."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.jobs.batch.estimates import estimates
from impasto.jobs.network import KeptNetwork
from impasto.jobs.planning import plan_job
from impasto.settings.settings import Settings
from impasto.studio.films import planning as films
from impasto.studio.models import Plan, PlannedScale
from impasto.studio.records import batch_job
from impasto.studio.runs import RunFiles

KEPT = KeptNetwork()


def weigh(jobs: Sequence[RunFiles]) -> list[float | None]:
    """The planned seconds of each job, which a group's progress goes by as a batch's does; None without a plan."""
    found = estimates([batch_job(files) for files in jobs], KEPT)
    return [None if one is None else one.seconds for one in found]


def plan(files: RunFiles) -> Plan:
    """The plan of a job; raises `ImpastoError`."""
    if files.film is not None:
        return films.plan(files, KEPT)
    job = plan_job(files.content, files.styles, Settings(**files.settings), network=KEPT.network, speed=KEPT.speed)
    planned, memory = job.plan, job.plan.memory
    return Plan(
        width=planned.size[1],
        height=planned.size[0],
        scales=[PlannedScale(width=s.size[1], height=s.size[0], steps=s.steps) for s in planned.scales],
        seconds=planned.seconds,
        peak_bytes=memory.peak,
        budget_bytes=memory.budget,
        disk_bytes=memory.disk,
        tile=memory.tile,
        engine=job.engine,
        style_scale=job.settings.style_factor,
    )
