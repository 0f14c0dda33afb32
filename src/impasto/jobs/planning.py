"""What a job would take: its plan without its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from impasto.images.size import canvas_size
from impasto.jobs.inputs import Source, open_image, open_style, shapes_of
from impasto.jobs.network import Network, load_network
from impasto.jobs.style_scale import settled_style_scale, unsettled
from impasto.jobs.surroundings import usual_modes
from impasto.run.plan import RunPlan, measure_speed, plan_run, scales_of
from impasto.settings.settings import Settings


@dataclass(frozen=True)
class PlannedJob:
    """The plan, the settings with their style scale decided, the engine's name and the result's pixels an inch."""

    plan: RunPlan
    settings: Settings
    engine: str
    dpi: float | None


def plan_job(
    content: Source,
    styles: Sequence[Source],
    settings: Settings,
    *,
    network: Callable[[Settings], Network] = load_network,
    speed: Callable[[Settings], float | None] = lambda _: None,
) -> PlannedJob:
    """How a photo would be painted; raises `ImpastoError`.

    Without styles, one like the photo is assumed for each that the settings speak of. `network` and `speed` give what
    is known of earlier plans, see `measure_speed`; None where that is to be measured.
    """
    image = open_image(content, settings)
    canvas = canvas_size(image.size, settings.longest_side)
    opened = [open_style(style, unsettled(settings), max(canvas)) for style in styles]
    settings = settled_style_scale(settings, image, opened, lambda: network(settings))
    sizes = [style.size for style in opened] or [image.size] * max(1, len(settings.style_weights), len(settings.mask))
    shapes = shapes_of(canvas, sizes, settings)
    scales = scales_of(settings, shapes, [(style.name, style.size) for style in opened])
    engine = network(settings).engine
    with usual_modes(settings.threads):
        known = speed(settings)
        timed = measure_speed(engine, settings.layers) if known is None else known
        planned = plan_run(settings, shapes, engine, scales=scales, speed=timed)
    dpi = image.dpi if settings.longest_side is None else settings.dpi
    return PlannedJob(planned, settings, str(engine.name), dpi)
