"""How much memory a run will take, and how to paint within a budget: tiles, length of history, canvases in files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import ceil, prod
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from impasto.errors import SettingsError
from impasto.images.size import Size
from impasto.network.engine import EngineCost
from impasto.network.layers import CHANNELS, feature_size
from impasto.network.tiled_network import evaluation_pixels, kept_bytes, pass_bytes, split_into_stages
from impasto.network.tiles import stride
from impasto.objective.neighbours import bytes_of_columns, bytes_to_match
from impasto.settings.choices import Color, OptimizerName
from impasto.settings.settings import Settings
from impasto.storage.scratch import MEGABYTE, Scratch, default_folder, in_memory

SHARE_OF_FREE = 0.7
"""Part of the free memory that a run may take when no budget is given."""

HISTORIES = (20, 10, 6, 3)
"""L-BFGS pairs: more than the first gain nothing here, the last is for want of memory."""

HISTORIES_IN_FILES = (10, 6, 3, 2, 1)
"""The same where pairs are in files: they are short for want of room on the disk. One pair still beats Adam."""

TILE_SIDES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 64)
"""Sides of tiles in pixels, from the fastest to the most frugal."""

FILES_COST = 1.25
"""Time of a step with canvases in files relative to one in memory; tiles that are mostly surroundings cost more.

It was 1.1 at 4096×4096 px on a fast disk.
"""

ROOM_TO_TAKE = 0.95
"""Part of a disk's free room that files may take."""

CANVAS = 3 * 4
"""Bytes of a pixel of a canvas or a gradient: three float32."""


@dataclass(frozen=True)
class MemoryPlan:
    """How a run is fitted into memory, and the greatest resident memory expected, in bytes.

    `tile` is the side of a tile in pixels, None where the network is given the canvas whole; `spare` the bytes in which
    tiles' activations are kept that needn't be computed twice; `history` the number of L-BFGS pairs; `folder` where
    canvases are in files of `disk` bytes together, None where they are in memory. `host` are the bytes of canvases in
    the host's memory beside the device that the network is on, 0 where they are where it is; the rest is the device's.
    """

    tile: int | None
    history: int
    peak: int
    budget: int
    disk: int = 0
    folder: Path | None = None
    spare: int = 0
    host: int = 0

    @property
    def canvas_device(self) -> torch.device | None:
        """Where canvases are: the host, or None for the engine's device."""
        return torch.device("cpu") if self.host else None

    def scratch(self) -> Scratch:
        """Where the run's large arrays lie: in files of the folder, or in memory."""
        return Scratch(self.folder)


class Available(NamedTuple):
    """What there is: bytes that are `resident` already and still `free`, and `room` on the disk of a `folder`.

    Of a device with memory of its own `host` is what is free in its host's.
    """

    resident: int
    free: int
    folder: Path | None = None
    room: int = 0
    host: int = 0


class Option(NamedTuple):
    """A tile's side, a number of L-BFGS pairs, and whether canvases are in files, or with a device's host."""

    tile: int | None
    history: int
    in_files: bool = False


def free_memory() -> int:
    """Bytes that this process may still take: what the system has left, within the limits of its control group."""
    left = [psutil.virtual_memory().available]
    for limit, used in CONTROL_GROUPS:
        try:
            left.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such control group, or its limit is "max"
            continue
    return max(0, min(left))


CONTROL_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Files with the limit and the use of memory in bytes, control groups version 2 and 1."""


def resident_memory() -> int:
    """Bytes of memory that this process holds now."""
    return psutil.Process().memory_info().rss


def fit_into_memory(settings: Settings, size: Size, cost: EngineCost, available: Available) -> MemoryPlan:
    """The fastest way to paint when the network is given (h, w) pixels, within the budget.

    Files may take most of the room that a folder has, if there is one; beside a device with memory of its own the
    host's takes their place, unless the style loss keeps columns there. Raises `SettingsError` where not even the
    smallest tiles fit, or what doesn't fit into memory is too much for the disk.
    """
    resident, free, folder, room, host = available
    streams = host > 0 and settings.style_loss.additive and not settings.style_loss.local
    if streams:
        room = int(SHARE_OF_FREE * host)
    budget = settings.max_memory_bytes or resident + int(SHARE_OF_FREE * free)
    layers = settings.layers

    def planned(option: Option) -> MemoryPlan:
        peak = resident + estimate(settings, size, option.tile, option.history, cost, in_files=option.in_files)
        spare = min(max(0, budget - peak), all_kept(size, layers, option.tile, cost))
        more = network_bytes(size, layers, option.tile, cost, spare) - network_bytes(size, layers, option.tile, cost)
        outside = file_bytes(settings, size, option.tile, option.history) if option.in_files else 0
        if streams:
            return MemoryPlan(option.tile, option.history, peak + more, budget, spare=spare, host=outside)
        place = folder if option.in_files else None
        return MemoryPlan(option.tile, option.history, peak + more, budget, outside, place, spare)

    def time_of(plan: MemoryPlan) -> float:
        work = evaluation_pixels(size, layers, plan.tile, plan.spare, cost)
        return FILES_COST * work if plan.folder is not None or plan.host else work

    choices = [
        [planned(option) for option in options if streams or folder is not None or not option.in_files]
        for options in _options(settings, size)
    ]
    plans = [plan for several in choices for plan in several]
    frugal = [plan for plan in plans if plan.peak <= budget]
    for several in choices:
        fitting = [plan for plan in several if plan.peak <= budget and plan.disk + plan.host <= ROOM_TO_TAKE * room]
        if fitting:  # the first of those that take the least time
            return min(fitting, key=time_of)
    cheaper = "" if settings.optimizer is OptimizerName.ADAM else " or `optimizer` adam"
    if frugal and streams:
        least = min(plan.host for plan in frugal)
        raise SettingsError(
            f"`size` is {settings.size}, which takes {least / MEGABYTE:,.0f} MB of the host's memory beside the "
            f"device's, but {room / MEGABYTE:,.0f} MB of it can be had",
            "close other programs or use a smaller size" + cheaper,
            knob="size",
            value=settings.size,
        )
    if frugal:
        least = min(plan.disk for plan in frugal)
        raise SettingsError(
            f"`size` is {settings.size}, which takes {least / MEGABYTE:,.0f} MB of files beside memory, but "
            f"{str(folder)!r} has {room / MEGABYTE:,.0f} MB free",
            "name a folder on a bigger disk with `scratch`, use a smaller size, a higher `max_memory`" + cheaper,
            knob="size",
            value=settings.size,
        )
    least = min(plan.peak for plan in plans)
    raise SettingsError(
        f"`size` is {settings.size}, which takes at least {least / MEGABYTE:,.0f} MB, but the budget is "
        f"{budget / MEGABYTE:,.0f} MB",
        "use a smaller size, a higher `max_memory`" + cheaper,
        knob="size",
        value=settings.size,
    )


def scratch_folder(settings: Settings) -> Path | None:
    """Where files of canvases may be put, None where no disk is at hand; raises `SettingsError` for an unfit folder."""
    if settings.scratch == "auto":
        return default_folder()
    folder = Path(settings.scratch).absolute()
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"`scratch` is {settings.scratch!r}, which is no folder that can be written to", "name one", knob="scratch"
        )
    if in_memory(folder):
        raise SettingsError(
            f"`scratch` is {settings.scratch!r}, which is in memory itself", "name a folder on a disk", knob="scratch"
        )
    return folder


def _options(settings: Settings, size: Size) -> list[list[Option]]:
    """All ways to paint, groups of them in the order in which they are to be preferred.

    Tiles and files cost more than a shorter history, as long as that isn't very short.
    """
    layers = settings.layers
    sides = [side for side in TILE_SIDES if stride(layers) <= side < max(size)]
    if settings.tile != "auto":
        sides = [settings.tile] if settings.tile else []
    if not settings.style_loss.additive:
        sides = []
    whole: list[int | None] = [None] if settings.tile in ("auto", 0) else []
    if settings.optimizer is not OptimizerName.LBFGS:
        histories = histories_in_files = (0,)
    elif settings.history == "auto":
        histories, histories_in_files = HISTORIES, HISTORIES_IN_FILES
    else:
        histories = histories_in_files = (settings.history,)
    usual, tiles = histories[:-1] or histories, [*whole, *sides]
    longest, *shorter = ([Option(tile, history, True) for tile in tiles] for history in histories_in_files)
    return [
        *([Option(tile, history)] for history in usual for tile in whole),
        [*(Option(side, history) for history in usual[-2:] for side in sides), *longest],
        [*(Option(tile, histories[-1]) for tile in tiles), *chain.from_iterable(shorter)],
    ]


def estimate(
    settings: Settings, size: Size, tile: int | None, history: int, cost: EngineCost, *, in_files: bool = False
) -> int:
    """Bytes of memory that painting (h, w) pixels adds to what is resident once the network is loaded."""
    layers = settings.layers
    bands = TEMPORARIES[settings.optimizer] * min(prod(size) * CANVAS, Scratch.BAND)
    return int(
        cost.base
        + network_bytes(size, layers, tile, cost)
        + bands
        # Masks, as much again for their guides at the layers, and what they cover together.
        + (8 * len(settings.mask) + 4 * _composes(settings)) * prod(size)
        + (STRENGTH_MAP * prod(size) if settings.has_local_strength else 0)
        + (bytes_to_match(settings.style_layers, size, max(1, len(settings.mask))) if _matches(settings) else 0)
        + (0 if in_files else canvas_bytes(settings, size, tile, history))
    )


def canvas_bytes(settings: Settings, size: Size, tile: int | None, history: int) -> int:
    """Bytes of all that may be in files, as large as a canvas of (h, w) pixels: canvases, gradients, whole features."""
    layers = settings.layers
    boundaries = boundary_layers(size, layers, tile)
    # The content's features; boundary activations, and the gradients to them.
    wholes = [*settings.content_layers, *boundaries, *boundaries]
    features = sum(4 * CHANNELS[name] * prod(feature_size(name, size)) for name in wholes)
    columns = bytes_of_columns(settings.style_layers, size) if _matches(settings) else 0  # the content's; the canvas's
    # Where masks or a map leave some of the content, it is kept as a canvas; so is what is matched during a scale.
    canvases = CANVASES[settings.optimizer] + 2 * history + _composes(settings) + _matches(settings)
    tint = TINT * prod(size) if settings.color is Color.TINT else 0
    return features + 2 * columns + tint + prod(size) * CANVAS * canvases


def _composes(settings: Settings) -> bool:
    """Whether the content may show in places of the canvas."""
    return bool(settings.mask) or settings.has_local_strength


def _matches(settings: Settings) -> bool:
    """Whether places are matched before each scale."""
    return settings.style_loss.local and bool(settings.style_layers)


def file_bytes(settings: Settings, size: Size, tile: int | None, history: int) -> int:
    """The same in files, where L-BFGS needs room for a third of a canvas's spectrum too."""
    spectrum = prod(size) * CANVAS // 3 if settings.optimizer is OptimizerName.LBFGS else 0
    return canvas_bytes(settings, size, tile, history) + spectrum


@lru_cache(maxsize=256)
def network_bytes(size: Size, layers: tuple[str, ...], tile: int | None, cost: EngineCost, spare: int = 0) -> int:
    """Bytes that a forward and a backward pass of an image (h, w) take at most, with activations kept in `spare` bytes.

    Those of the upper stage have gone when those of the lower one, the largest, are worked on.
    """
    kept, most = min(spare, all_kept(size, layers, tile, cost)), 0.0
    for stage in reversed(split_into_stages(size, layers, tile)):
        most = max(most, kept + pass_bytes(stage, cost))
        kept = max(0, kept - kept_bytes(stage, cost))
    return int(most)


@lru_cache(maxsize=64)
def all_kept(size: Size, layers: tuple[str, ...], tile: int | None, cost: EngineCost) -> int:
    """Bytes in which the activations of all tiles of an image (h, w) are kept, but the last one's, there anyway."""
    stages = split_into_stages(size, layers, tile)
    return ceil(sum(kept_bytes(stage, cost) for stage in stages) - kept_bytes(stages[-1], cost, 1))


@lru_cache(maxsize=64)
def boundary_layers(size: Size, layers: tuple[str, ...], tile: int | None) -> list[str]:
    """The layers whose activations of a whole image (h, w) pass from one stage to the next."""
    return [stage.above for stage in split_into_stages(size, layers, tile) if stage.above]


STRENGTH_MAP = 32
"""Bytes of a pixel of a strength map: it, where it paints, both weights made of it, their guides, and temporaries."""

TINT = 16
"""Bytes of a pixel of the coefficients by which a picture is tinted."""

CANVASES = {OptimizerName.GD: 6, OptimizerName.ADAM: 7, OptimizerName.LBFGS: 6}
"""Copies of the canvas that are alive at once beside L-BFGS's pairs: canvases, gradients, moments, event's pictures."""

TEMPORARIES = {OptimizerName.GD: 3, OptimizerName.ADAM: 5, OptimizerName.LBFGS: 7}
"""Bands of a canvas that are alive at once while it is worked on."""
