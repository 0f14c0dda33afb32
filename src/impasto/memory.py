"""How much memory a run will take, and how to paint within a budget: whole or in tiles, with how long a history."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import psutil

from impasto.errors import SettingsError
from impasto.settings import OptimizerName, Settings
from impasto.storeys import Storey, storeys
from impasto.tiles import stride
from impasto.vgg import CHANNELS, LAYERS, ORDER, deepest, feature_size, poolings_before

SHARE_OF_FREE = 0.7
"""Part of the free memory that a run may take when no budget is given."""

HISTORIES = (20, 10, 6, 3)
"""L-BFGS pairs: more than the first gain nothing here, the last is for want of memory."""

TILE_SIDES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 64)
"""Sides of tiles in pixels, from the fastest to the most frugal."""

MEGABYTE = 1_000_000
CANVAS = 3 * 4
"""Bytes of a pixel of a canvas or a gradient: three float32."""


@dataclass(frozen=True)
class Plan:
    """How a picture of `size` (h, w) will be painted, and the greatest resident memory expected, in bytes.

    `tile` is the side of a tile in pixels, None where the network sees the canvas whole; `history` the number of
    L-BFGS pairs.
    """

    size: tuple[int, int]
    tile: int | None
    history: int
    peak: int
    budget: int


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


def make_plan(settings: Settings, size: tuple[int, int], *, engine: str, resident: int, free: int) -> Plan:
    """The fastest way to paint (h, w) pixels within the budget, from what is `resident` already and still `free`.

    Raises `SettingsError` where even the smallest tiles don't fit.
    """
    budget = settings.max_memory_bytes or resident + int(SHARE_OF_FREE * free)
    plans = [
        Plan(size, tile, history, resident + estimate(settings, size, tile, history, engine), budget)
        for tile, history in _ways(settings, size)
    ]
    for plan in plans:
        if plan.peak <= budget:
            return plan
    least = min(plan.peak for plan in plans)
    raise SettingsError(
        f"--size is {settings.size}, which takes at least {least / MEGABYTE:,.0f} MB, but the budget is "
        f"{budget / MEGABYTE:,.0f} MB: use a smaller size, a higher --max-memory or --optimizer adam."
    )


def _ways(settings: Settings, size: tuple[int, int]) -> list[tuple[int | None, int]]:
    """Tile sides and lengths of history, the fastest way first: tiles cost more than a shorter history does."""
    layers = (*settings.content_layers, *settings.style_layers)
    sides = [side for side in TILE_SIDES if stride(layers) <= side < max(size)]
    if settings.tile != "auto":
        sides = [settings.tile]
    whole = settings.tile in ("auto", 0)
    if settings.optimizer is not OptimizerName.LBFGS:
        histories = (0,)
    else:
        histories = HISTORIES if settings.history == "auto" else (settings.history,)
    usual = histories[:-1] or histories
    return [
        *((None, history) for history in usual if whole),
        *((side, history) for side in sides if side for history in usual[-2:]),
        *((side, histories[-1]) for side in [None] * whole + sides if side != 0),
    ]


def estimate(settings: Settings, size: tuple[int, int], tile: int | None, history: int, engine: str) -> int:
    """Bytes that painting (h, w) pixels adds to what is resident once the network is loaded."""
    layers = (*settings.content_layers, *settings.style_layers)
    rising = storeys(size, layers, tile)
    handed = [storey.above for storey in rising if storey.above]
    # The content's targets; what a storey hands up, and the gradient that it gets back for it.
    wholes = [*settings.content_layers, *handed, *handed]
    canvases = CANVASES[settings.optimizer] + 2 * history
    return int(
        ENGINE_BASE[engine]
        + max(map(look_bytes, rising)) * ENGINE_FACTOR[engine][tile is not None]
        + sum(4 * CHANNELS[name] * prod(feature_size(name, size)) for name in wholes)
        + prod(size) * CANVAS * canvases
    )


def look_bytes(storey: Storey) -> float:
    """Bytes of the activations at the ReLUs and poolings of a storey, for the largest of its tiles."""
    first = 0 if storey.below is None else ORDER[storey.below] + 1
    passed = LAYERS[first : ORDER[storey.above or deepest(storey.layers)] + 1]
    a_pixel = sum(4 * layer.channels / 4 ** poolings_before(layer.name) for layer in passed if layer.kind != "conv")
    return a_pixel * max(tile.seen.pixels for tile in storey.tiles)


CANVASES = {OptimizerName.GD: 9, OptimizerName.ADAM: 12, OptimizerName.LBFGS: 13}
"""Copies of the canvas that are alive at once beside L-BFGS's pairs: canvases, gradients, the photo, temporaries."""

ENGINE_BASE = {"torch": 100 * MEGABYTE, "native": 260 * MEGABYTE}
"""Bytes that an engine takes once: its libraries' buffers, and kernels transformed for Winograd's algorithm."""

ENGINE_FACTOR = {"torch": (2.0, 2.8), "native": (2.0, 2.7)}
"""Memory of an evaluation, gradients and losses included, relative to its activations: of a whole picture, of a tile.

Measured at 512 to 1024 px (benchmarks/memory.py, tests/test_memory.py). Buffers for tiles of several sizes add up.
"""
