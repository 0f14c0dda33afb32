"""`impasto plan`: what a run would take, before it is started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli import knobs
from impasto.cli.terminal import duration, tell, tell_json

if TYPE_CHECKING:
    from impasto.jobs.planning import PlannedJob

PlannedStyle = Annotated[str, Parameter(metavar="STYLE…", help="Paintings, or names from 'impasto swatches'.")]


def plan(
    content: knobs.Content,
    /,
    *styles: PlannedStyle,
    json: knobs.AsJson = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: knobs.Flags = None,
) -> None:
    """Show how a photo or a film would be painted: sizes, tiles, memory and time, without painting it.

    The styles count in the time that it takes to measure them; without any, one like the photo is assumed.
    """
    settings = knobs.from_shell(flags or {}, os.environ, config, preset)
    from impasto.jobs.video.clip import is_film

    if is_film(content):
        from impasto.cli.video_shown import tell_plan_of

        tell_plan_of(content, styles, settings, as_json=json)
        return
    from impasto.jobs.planning import plan_job

    (_tell_as_json if json else _tell)(plan_job(content, styles, settings))


def _tell_as_json(planned: PlannedJob) -> None:
    plan, memory = planned.plan, planned.plan.memory
    tell_json(
        {
            "size": {"width": plan.size[1], "height": plan.size[0]},
            "dpi": planned.dpi,
            "scales": [
                {"width": scale.size[1], "height": scale.size[0], "steps": scale.steps} for scale in plan.scales
            ],
            "style_scale": planned.settings.style_factor,
            "engine": planned.engine,
            "tile": memory.tile,
            "history": memory.history,
            "peak_bytes": memory.peak,
            "budget_bytes": memory.budget,
            "disk_bytes": memory.disk,
            "host_bytes": memory.host,
            "scratch": None if memory.folder is None else str(memory.folder),
            "seconds": round(plan.seconds, 1),
        }
    )


def _tell(planned: PlannedJob) -> None:
    from impasto.run.memory_plan import MEGABYTE

    plan, memory, dpi = planned.plan, planned.plan.memory, planned.dpi
    height, width = plan.size
    across, down = (f"{2.54 * side / dpi:.1f}" if dpi else "" for side in (width, height))
    tell(f"size     {width}×{height} px" + (f", {across}×{down} cm at {dpi:g} dpi" if dpi else ""))
    sizes = ", ".join(f"{scale.size[1]}×{scale.size[0]} px: {scale.steps} steps" for scale in plan.scales)
    tell(f"scales   {sizes}")
    tell(f"styles   {planned.settings.style_factor:g} times the picture's size")
    tell(f"engine   {planned.engine}, " + (f"tiles of {memory.tile} px" if memory.tile else "whole picture at once"))
    if memory.history:
        tell(f"history  {memory.history} steps of L-BFGS")
    tell(f"memory   about {memory.peak / MEGABYTE:,.0f} MB at the peak, of {memory.budget / MEGABYTE:,.0f} MB allowed")
    if memory.host:
        tell(f"host     about {memory.host / MEGABYTE:,.0f} MB of its memory for canvases, beside the device's")
    if memory.folder is not None:
        tell(f"disk     about {memory.disk / MEGABYTE:,.0f} MB of files in {memory.folder} while it lasts")
    tell(f"time     about {duration(plan.seconds)}")
