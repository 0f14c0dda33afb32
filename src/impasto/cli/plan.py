"""`impasto plan`: what a run would take, before it is started."""

from __future__ import annotations

import os
from pathlib import Path

from impasto.cli import knobs
from impasto.cli.terminal import duration, tell, tell_json
from impasto.images.size import size_of


def plan(
    content: knobs.Content,
    /,
    *,
    json: knobs.AsJson = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: knobs.Flags = None,
) -> None:
    """Show how a photo would be painted: sizes, tiles, memory and time, without painting it."""
    settings = knobs.from_shell(flags or {}, os.environ, config, preset)
    from impasto.images import io as images
    from impasto.network import weights
    from impasto.network.engines.choice import make_engine
    from impasto.run.memory import MEGABYTE
    from impasto.run.plan import foresee

    pixels = images.load(Path(content), max_pixels=settings.max_pixels).pixels
    network = make_engine(settings, weights.load(settings.weights))
    prospect = foresee(settings, network, size_of(pixels))
    found, seconds = prospect.plan, prospect.seconds
    if json:
        tell_json(
            {
                "size": {"width": found.size[1], "height": found.size[0]},
                "scales": [
                    {"width": scale.size[1], "height": scale.size[0], "steps": scale.steps} for scale in prospect.scales
                ],
                "engine": str(network.name),
                "tile": found.tile,
                "history": found.history,
                "peak_bytes": found.peak,
                "budget_bytes": found.budget,
                "disk_bytes": found.disk,
                "scratch": None if found.folder is None else str(found.folder),
                "seconds": round(seconds, 1),
            }
        )
        return
    height, width = found.size
    tell(f"size     {width}×{height} px")
    sizes = ", ".join(f"{scale.size[1]}×{scale.size[0]} px: {scale.steps} steps" for scale in prospect.scales)
    tell(f"scales   {sizes}")
    tell(f"engine   {network.name}, " + (f"tiles of {found.tile} px" if found.tile else "whole picture at once"))
    if found.history:
        tell(f"history  {found.history} steps of L-BFGS")
    tell(f"memory   about {found.peak / MEGABYTE:,.0f} MB at the peak, of {found.budget / MEGABYTE:,.0f} MB allowed")
    if found.folder is not None:
        tell(f"disk     about {found.disk / MEGABYTE:,.0f} MB of files in {found.folder} while it lasts")
    tell(f"time     about {duration(seconds)}")
