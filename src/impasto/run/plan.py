"""The plan of a run: its scales, how it fits into memory, and the time it may take; made once, then consumed."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch

from impasto.errors import SettingsError
from impasto.images.size import Size, on_grid
from impasto.network.engine import Engine
from impasto.network.tiled_network import evaluation_pixels, forward_pixels
from impasto.objective.inputs import measuring_tile
from impasto.objective.neighbours import matched_pixels
from impasto.run.memory_plan import Available, MemoryPlan, fit_into_memory, free_memory, resident_memory, scratch_folder
from impasto.run.scales import Scale, check_styles, plan_scales, share_steps, with_steps
from impasto.run.stop_rules import RunSteps, StopReason, StopRules, deadlines
from impasto.settings.settings import Settings
from impasto.storage.devices import finish

PROBE = 128
"""Side in pixels of the image on which the network's speed is measured."""

FORWARD = 0.5
"""Time of a forward pass, in which an image is measured, relative to one with the way back."""

OVERHEAD = 1.1
"""Time of a step, and of measuring, relative to the network's part in it: losses, the optimiser, events' pictures."""


@dataclass(frozen=True)
class Shapes:
    """The canvas's final size, the number of style images, and what the network is given of the canvas.

    `style_sizes` says at which sizes these are measured for a canvas (h, w); None stands for the canvas's own size,
    times `style_scale`. A periodic canvas is given with `halo` pixels around it, and at every scale its sides are
    multiples of `grid`.
    """

    canvas: Size
    styles: int = 0
    halo: int = 0
    grid: int = 1
    style_sizes: Callable[[Size], Sequence[Size]] | None = None

    def network_size(self, size: Size) -> Size:
        """What the network is given of a canvas (h, w)."""
        return size[0] + 2 * self.halo, size[1] + 2 * self.halo


class Pace:
    """How long the scales of a run may take, by the pixels that go through the network.

    `evaluated` are those of an evaluation at each scale and `measured` those of measuring its targets, as evaluations
    count them. `speed` gives the seconds that a pixel takes; it is asked once, when somebody wants to know.
    """

    def __init__(self, evaluated: Sequence[float], measured: Sequence[float], speed: Callable[[], float]) -> None:
        self._evaluated, self._measured, self._speed = tuple(evaluated), tuple(measured), speed

    @cached_property
    def seconds_per_pixel(self) -> float:
        """Of an evaluation with all that a step has besides."""
        return OVERHEAD * self._speed()

    @property
    def each(self) -> tuple[float, ...]:
        """Seconds of one evaluation at each scale."""
        return tuple(self.seconds_per_pixel * pixels for pixels in self._evaluated)

    @property
    def measuring(self) -> tuple[float, ...]:
        """Seconds of measuring the targets of each scale."""
        return tuple(self.seconds_per_pixel * pixels for pixels in self._measured)

    def stepping(self, scales: Sequence[Scale]) -> tuple[float, ...]:
        """Seconds of the steps of each scale, and of one evaluation more: of what the last of them led to."""
        return tuple((scale.steps + 1) * seconds for scale, seconds in zip(scales, self.each, strict=True))


@dataclass(frozen=True)
class RunPlan:
    """All that is decided of a run before it begins.

    `pace` knows how long it may take. `stops` end a scale early, and a repeated run after as many steps as were `taken`
    then. An epoch is one of `epochs` equal parts of all steps.
    """

    scales: tuple[Scale, ...]
    memory: MemoryPlan
    pace: Pace
    epochs: int = 1
    stops: StopRules = field(default_factory=StopRules)
    taken: tuple[int, ...] = ()

    @property
    def size(self) -> Size:
        """The final size (h, w)."""
        return self.scales[-1].size

    @property
    def sizes(self) -> tuple[Size, ...]:
        """(h, w) of every scale, coarse to fine."""
        return tuple(scale.size for scale in self.scales)

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps of every scale."""
        return tuple(scale.steps for scale in self.scales)

    @property
    def total_steps(self) -> int:
        """Optimisation steps of the whole run."""
        return sum(self.steps)

    @property
    def step_seconds(self) -> tuple[float, ...]:
        """Seconds expected for the steps of each scale; the first to ask for seconds may time the network."""
        return self.pace.stepping(self.scales)

    @property
    def measuring_seconds(self) -> tuple[float, ...]:
        """Seconds expected for measuring the targets of each scale."""
        return self.pace.measuring

    @property
    def seconds(self) -> float:
        """The time that the run may take."""
        return sum(self.step_seconds) + sum(self.measuring_seconds)

    def end_of(self, scale: int) -> tuple[int, StopReason | None]:
        """The most steps that a scale, counted from 1, takes, and why where they are fewer than planned."""
        planned, taken = self.steps[scale - 1], (self.taken or self.steps)[scale - 1]
        return taken, None if taken == planned else StopReason.REPEATED

    def behind(self, scale: int, steps: int) -> int:
        """How many of all steps are behind a run after so many of a scale, counted from 1; skipped ones count too."""
        return sum(self.steps[: scale - 1]) + steps

    def epoch_of(self, step: int) -> int:
        """The epoch, counted from 1, in which that one of all steps ends."""
        return -(-step * self.epochs // self.total_steps)

    def epochs_ended(self, before: int, now: int) -> range:
        """The epochs, counted from 1, that ended since `before` of all steps were behind the run."""
        ended = (step * self.epochs // self.total_steps for step in (before, now))
        return range(next(ended) + 1, next(ended) + 1)

    def settled(self, settings: Settings, engine: Engine) -> Settings:
        """`settings` with what they leave open as it is planned, so that they paint the same with other memory free."""
        memory = self.memory
        return settings.model_copy(
            update={
                "engine": engine.name,
                "precision": engine.precision,
                "tile": memory.tile or 0,
                "history": memory.history or "auto",
                "threads": torch.get_num_threads() if settings.threads == "auto" else settings.threads,
            }
        )


def scales_of(settings: Settings, shapes: Shapes, styles: Sequence[tuple[str, Size]] = ()) -> tuple[Scale, ...]:
    """The scales of a run, which need no network.

    Raises `SettingsError` for what can't be painted, such as `styles`, a name and (h, w) each, that are too thin.
    """
    scales = plan_scales(settings, shapes.canvas)
    check_styles(settings, scales, styles)
    return tuple(replace(scale, size=on_grid(scale.size, shapes.grid)) for scale in scales)


def plan_run(
    settings: Settings,
    shapes: Shapes,
    engine: Engine,
    *,
    scales: tuple[Scale, ...] | None = None,
    speed: float | None = None,
    steps: RunSteps | None = None,
) -> RunPlan:
    """The plan of a run on this engine, by the memory that is free now.

    `scales` are what `scales_of` gives and `speed` what `measure_speed` does, where they are known; `steps` those of
    the run that goes on or is repeated. Where the speed isn't known, it is measured when it is first needed, which
    takes a fraction of a second: by `until`, or by whoever asks for the plan's seconds. Raises `SettingsError` where
    the canvas is too small for its layers, can't be fitted into memory, or not be painted within the time.
    """
    steps = steps or RunSteps()
    scales = with_steps(settings, scales_of(settings, shapes) if scales is None else scales, steps)
    memory = fit_into_memory(settings, shapes.network_size(shapes.canvas), engine.cost, available(settings, engine))
    pixels = partial(evaluation_pixels, layers=settings.layers, side=memory.tile, spare=memory.spare, cost=engine.cost)
    evaluated = [pixels(shapes.network_size(scale.size)) for scale in scales]
    measured = [FORWARD * _measured_pixels(settings, shapes, scale.size, memory.tile) for scale in scales]
    timed = partial(measure_speed, engine, settings.layers)
    pace = Pace(evaluated, measured, timed if speed is None else lambda: speed)
    if settings.until and not steps.planned:
        scales = _within(settings, scales, pace)
    stops = StopRules()
    if not steps.taken:
        stops = StopRules(settings.stop_gain, _deadlines(settings, scales, pace) if settings.until else ())
    return RunPlan(scales, memory, pace, settings.epochs, stops, steps.taken)


def _deadlines(settings: Settings, scales: Sequence[Scale], pace: Pace) -> tuple[float, ...]:
    """When each scale has to be over, in seconds after the run began."""
    lasting = [sum(both) for both in zip(pace.stepping(scales), pace.measuring, strict=True)]
    return tuple(deadlines(settings.until, lasting))


def _within(settings: Settings, scales: Sequence[Scale], pace: Pace) -> tuple[Scale, ...]:
    """The scales with as many steps as get done within `until`, at most as many as they have.

    Raises `SettingsError` where there is no time for one step of each.
    """

    def of(total: int) -> tuple[Scale, ...]:
        shares = share_steps(total, len(scales), settings.step_ratio)
        return tuple(replace(scale, steps=steps) for scale, steps in zip(scales, shares, strict=True))

    def seconds(total: int) -> float:
        return sum(pace.stepping(of(total))) + sum(pace.measuring)

    least, most = len(scales), sum(scale.steps for scale in scales)
    if (shortest := seconds(least)) > settings.until:
        raise SettingsError(
            f"`until` is {settings.until:g} s, but a step at each of {least} scales takes about {shortest:.2g} s",
            "give it more time, or use a smaller `size` or fewer `scales`",
            knob="until",
            value=settings.until,
        )
    while least < most:  # more steps take longer
        middle = (least + most + 1) // 2
        least, most = (middle, most) if seconds(middle) <= settings.until else (least, middle - 1)
    return of(least)


def _measured_pixels(settings: Settings, shapes: Shapes, size: Size, tile: int | None) -> float:
    """Pixels that go through the network to measure content and styles for a canvas (h, w), halos included."""
    side = measuring_tile(size, settings, tile)
    if shapes.style_sizes is None:
        height, width = (max(1, round(settings.style_factor * length)) for length in size)
        styles: Sequence[Size] = [(height, width)] * shapes.styles
    else:
        styles = shapes.style_sizes(size)
    content = forward_pixels(shapes.network_size(size), settings.layers, side, settings.layers)
    if settings.style_loss.local and settings.style_layers:  # without layers, nothing is matched
        content += matched_pixels(size, styles, settings.style_layers)
    return content + sum(forward_pixels(style, settings.style_layers, side, settings.layers) for style in styles)


def available(settings: Settings, engine: Engine) -> Available:
    """The memory and the room on a disk that there are for a run; raises `SettingsError` for an unfit folder."""
    if engine.device.type == "cuda":
        free, total = torch.cuda.mem_get_info(engine.device)
        free += torch.cuda.memory_reserved(engine.device) - torch.cuda.memory_allocated(engine.device)  # torch's cache
        return Available(total - free, free, host=free_memory())
    if engine.device.type == "mps":  # its memory is the host's
        held = torch.mps.driver_allocated_memory()
        free = max(0, min(torch.mps.recommended_max_memory() - held, free_memory()))
        return Available(resident_memory() + held, free)
    folder = scratch_folder(settings) if engine.device.type == "cpu" else None
    room = 0 if folder is None else shutil.disk_usage(folder).free
    return Available(resident_memory(), free_memory(), folder, room)


def measure_speed(engine: Engine, layers: Sequence[str]) -> float:
    """Seconds that a pixel takes through the network and back, measured on a small image."""
    pixels = torch.rand((1, 3, PROBE, PROBE), generator=torch.Generator().manual_seed(0))
    pixels = pixels.to(engine.device).requires_grad_()
    taken = math.inf
    for _ in range(2):  # the first pass prepares the network
        began = time.perf_counter()
        sum(f.sum() for f in engine.features(pixels, layers).values()).backward()  # pyright: ignore[reportAttributeAccessIssue]
        finish(engine.device)
        taken = min(taken, time.perf_counter() - began)
    return taken / PROBE**2
