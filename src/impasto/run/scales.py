"""The sizes of a run from coarse to fine, and how its steps are shared among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from impasto.errors import SettingsError
from impasto.images.size import Size, fit
from impasto.network.layers import smallest_side
from impasto.run.stop_rules import RunSteps
from impasto.settings.settings import Settings

COARSEST = 128
"""Longest side in pixels that automatic scales don't go below."""

MOST_ENLARGED = 4
"""How much larger than the coarsest canvas a style image may be made so that its layers have a position."""


@dataclass(frozen=True)
class Scale:
    """One size of the coarse-to-fine run: (height, width) in pixels, and its optimisation steps."""

    size: Size
    steps: int


def plan_scales(settings: Settings, size: Size) -> tuple[Scale, ...]:
    """The sizes from coarse to fine, each twice the last, for a final (h, w) in pixels; steps add up to the run's.

    Raises `SettingsError` where the picture is too small for its deepest layer or there are fewer steps than scales.
    """
    smallest = smallest_side(settings.layers)
    if min(size) < smallest:
        raise SettingsError(
            f"`size` is {settings.size}, which makes the picture {size[1]}×{size[0]} px, but the layers need at "
            f"least {smallest} px on each side",
            "use a bigger size or shallower layers",
            knob="size",
            value=settings.size,
        )
    total = settings.epochs * settings.steps_per_epoch
    if settings.scales == "auto":
        count = 1 + max(0, int(math.log2(max(size) / COARSEST)))
        while count > 1 and (min(size) >> (count - 1) < smallest or count > total):
            count -= 1
    else:
        count = settings.scales
        if min(size) >> (count - 1) < smallest:
            raise SettingsError(
                f"`scales` is {count}, which makes the coarsest picture {size[1] >> (count - 1)}×"
                f"{size[0] >> (count - 1)} px, but the layers need at least {smallest} px on each side",
                "use fewer scales",
                knob="scales",
                value=count,
            )
        if count > total:
            raise SettingsError(
                f"`scales` is {count} but the run has {total} steps",
                "use more steps or fewer scales",
                knob="scales",
                value=count,
            )
    longest = [max(1, round(max(size) / 2**k)) for k in range(count - 1, 0, -1)]
    sizes = [*(fit(size, n) for n in longest), size]
    return tuple(Scale(s, n) for s, n in zip(sizes, share_steps(total, count, settings.step_ratio), strict=True))


def with_steps(settings: Settings, scales: tuple[Scale, ...], steps: RunSteps) -> tuple[Scale, ...]:
    """The scales with the steps that a run was planned with before; raises `SettingsError` where they don't fit."""
    planned, most = steps.planned, settings.epochs * settings.steps_per_epoch
    if not planned:
        return scales
    if len(planned) != len(scales) or min(planned) < 1 or sum(planned) > most:
        raise SettingsError(
            f"The steps {', '.join(map(str, planned))} aren't those of a run with {len(scales)} scales and "
            f"{most} steps",
            "use another copy of the picture",
        )
    return tuple(replace(scale, steps=count) for scale, count in zip(scales, planned, strict=True))


def check_styles(settings: Settings, scales: Sequence[Scale], styles: Sequence[tuple[str, Size]]) -> None:
    """Refuse style images, a name and (h, w) each, that are so thin that layers need them far larger than the canvas.

    Raises `SettingsError`.
    """
    if not settings.style_layers:
        return
    smallest, longest = smallest_side(settings.style_layers), max(scales[0].size)
    for name, size in styles:
        if min(fit(size, MOST_ENLARGED * longest)) < smallest:
            raise SettingsError(
                f"The style {name!r} is {size[1]}×{size[0]} px, but the layers need at least {smallest} px on each "
                f"side where its longest is {MOST_ENLARGED * longest} px",
                "crop it, or use fewer `scales`, a bigger `size` or shallower `style_layers`",
            )


def share_steps(total: int, count: int, ratio: float) -> list[int]:
    """Steps of each of `count` scales, at least 1, that add up to `total`, each `ratio` times the one before."""
    weights = [ratio**k for k in range(count)]
    shares = [1 + int((total - count) * w / sum(weights)) for w in weights]
    shares[shares.index(max(shares))] += total - sum(shares)
    return shares
