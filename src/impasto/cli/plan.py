"""`impasto plan`: what a run would take, before it is started."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli import knobs
from impasto.cli.terminal import duration, tell, tell_json

if TYPE_CHECKING:
    from impasto.run.plan import RunPlan

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
    """Show how a photo would be painted: sizes, tiles, memory and time, without painting it.

    The styles count in the time that it takes to measure them; without any, one like the photo is assumed.
    """
    settings = knobs.from_shell(flags or {}, os.environ, config, preset)
    from impasto.images.size import canvas_size
    from impasto.jobs.inputs import open_image, open_style, shapes_of
    from impasto.jobs.network import load_network
    from impasto.jobs.style_scale import settled_style_scale, unsettled
    from impasto.jobs.surroundings import usual_modes
    from impasto.run.plan import plan_run, scales_of

    image = open_image(content, settings)
    canvas = canvas_size(image.size, settings.longest_side)
    opened = [open_style(style, unsettled(settings), max(canvas)) for style in styles]
    settings = settled_style_scale(settings, image, opened, partial(load_network, settings))
    sizes = [style.size for style in opened] or [image.size] * max(1, len(settings.style_weights), len(settings.mask))
    shapes = shapes_of(canvas, sizes, settings)
    scales = scales_of(settings, shapes, [(style.name, style.size) for style in opened])
    engine = load_network(settings).engine
    with usual_modes(settings.threads):
        planned = plan_run(settings, shapes, engine, scales=scales)
    dpi = image.dpi if settings.longest_side is None else settings.dpi
    if json:
        _tell_as_json(planned, str(engine.name), dpi, settings.style_factor)
    else:
        _tell(planned, str(engine.name), dpi, settings.style_factor)


def _tell_as_json(plan: RunPlan, engine: str, dpi: float | None, style_scale: float) -> None:
    memory = plan.memory
    tell_json(
        {
            "size": {"width": plan.size[1], "height": plan.size[0]},
            "dpi": dpi,
            "scales": [
                {"width": scale.size[1], "height": scale.size[0], "steps": scale.steps} for scale in plan.scales
            ],
            "style_scale": style_scale,
            "engine": engine,
            "tile": memory.tile,
            "history": memory.history,
            "peak_bytes": memory.peak,
            "budget_bytes": memory.budget,
            "disk_bytes": memory.disk,
            "scratch": None if memory.folder is None else str(memory.folder),
            "seconds": round(plan.seconds, 1),
        }
    )


def _tell(plan: RunPlan, engine: str, dpi: float | None, style_scale: float) -> None:
    from impasto.run.memory_plan import MEGABYTE

    memory = plan.memory
    height, width = plan.size
    across, down = (f"{2.54 * side / dpi:.1f}" if dpi else "" for side in (width, height))
    tell(f"size     {width}×{height} px" + (f", {across}×{down} cm at {dpi:g} dpi" if dpi else ""))
    sizes = ", ".join(f"{scale.size[1]}×{scale.size[0]} px: {scale.steps} steps" for scale in plan.scales)
    tell(f"scales   {sizes}")
    tell(f"styles   {style_scale:g} times the picture's size")
    tell(f"engine   {engine}, " + (f"tiles of {memory.tile} px" if memory.tile else "whole picture at once"))
    if memory.history:
        tell(f"history  {memory.history} steps of L-BFGS")
    tell(f"memory   about {memory.peak / MEGABYTE:,.0f} MB at the peak, of {memory.budget / MEGABYTE:,.0f} MB allowed")
    if memory.folder is not None:
        tell(f"disk     about {memory.disk / MEGABYTE:,.0f} MB of files in {memory.folder} while it lasts")
    tell(f"time     about {duration(plan.seconds)}")
