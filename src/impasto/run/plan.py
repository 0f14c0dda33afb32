"""What a run will be before it is begun: its scales, how it is fitted into memory, and the time it may take."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from impasto.images.size import fit
from impasto.network.engine import Engine
from impasto.network.stages import evaluation_pixels
from impasto.run.memory import Plan, free_memory, make_plan, resident_memory, scratch_folder
from impasto.run.scales import Scale, plan_scales
from impasto.settings.settings import Settings

PROBE = 128
"""Side in pixels of the picture on which the network's speed is measured."""


@dataclass(frozen=True)
class Prospect:
    """What a run will be: its scales, how the last is fitted into memory, and the seconds it may take."""

    scales: tuple[Scale, ...]
    plan: Plan
    seconds: float


def foresee(settings: Settings, network: Engine, size: tuple[int, int]) -> Prospect:
    """The scales, the plan and the time of painting a photo of (h, w) pixels; takes a fraction of a second."""
    target = fit(size, settings.size)
    scales, plan = plan_scales(settings, target), plan_memory(settings, network, target)
    return Prospect(scales, plan, expected_seconds(settings, network, scales, plan))


def plan_memory(settings: Settings, network: Engine, size: tuple[int, int]) -> Plan:
    """How (h, w) pixels will be painted within the memory there is; raises `SettingsError` where they can't be."""
    folder = scratch_folder(settings) if network.device.type == "cpu" else None
    room = 0 if folder is None else shutil.disk_usage(folder).free
    if network.device.type == "cuda":
        free, total = torch.cuda.mem_get_info(network.device)
        resident = total - free
    else:
        free, resident = free_memory(), resident_memory()
    return make_plan(settings, size, cost=network.cost, resident=resident, free=free, folder=folder, room=room)


def expected_seconds(settings: Settings, network: Engine, scales: Iterable[Scale], plan: Plan) -> float:
    """The time that all steps may take, by the network's speed on this machine now."""
    layers = (*settings.content_layers, *settings.style_layers)
    work = sum(
        scale.steps * evaluation_pixels(scale.size, layers, plan.tile, plan.spare, network.cost) for scale in scales
    )
    return work * _seconds_per_pixel(network, layers)


def _seconds_per_pixel(network: Engine, layers: Sequence[str]) -> float:
    """Seconds that a pixel takes through the network and back, measured on a small picture."""
    pixels = torch.rand((1, 3, PROBE, PROBE), generator=torch.Generator().manual_seed(0))
    pixels = pixels.to(network.device).requires_grad_()
    taken = math.inf
    for _ in range(2):  # the first pass prepares the network
        began = time.perf_counter()
        sum(f.sum() for f in network.features(pixels, layers).values()).backward()  # pyright: ignore[reportAttributeAccessIssue]
        taken = min(taken, time.perf_counter() - began)
    return taken / PROBE**2
