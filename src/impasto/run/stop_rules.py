"""When a scale ends before the last of its steps: they gain too little, its time is over, or a run is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field

from impasto.settings.values import STOP_WINDOW

Number = TypeVar("Number")
"""A loss: a float, or a scalar on a device."""

Steps = Annotated[int, Field(strict=True, ge=1)]


class StopReason(StrEnum):
    """Why a scale ended before the last of its steps: they gained too little, its time was over, or the run that is
    repeated took as many.
    """

    GAIN = "gain"
    TIME = "time"
    REPEATED = "repeated"


@dataclass(frozen=True)
class RunSteps:
    """The steps of each scale of a run, coarse to fine, as they were `planned` and, once it has finished, `taken`.

    A run that is given those `taken` takes as many, whatever its stop rules and its clock say. Raises `ValueError`
    where they are more than planned.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    planned: tuple[Steps, ...] = ()
    taken: tuple[Steps, ...] = ()

    def __post_init__(self) -> None:
        fitting = not self.taken or len(self.taken) == len(self.planned)
        if not fitting or any(taken > planned for taken, planned in zip(self.taken, self.planned, strict=False)):
            raise ValueError(f"{self.taken} steps can't have been taken of {self.planned}")


@dataclass(frozen=True)
class StopRules:
    """What ends a scale early: a `gain` of its steps below that share of the loss, and the time.

    `deadlines` are seconds after the run's beginning at which each scale has to be done, none where there is no hurry.
    """

    gain: float = 0.0
    deadlines: tuple[float, ...] = ()

    @property
    def watching(self) -> bool:
        """Whether losses and times matter at all."""
        return bool(self.gain or self.deadlines)

    def reason(self, scale: int, losses: Sequence[float], seconds: float, step_seconds: float) -> StopReason | None:
        """Why a scale, counted from 1, takes no step more, None where it does.

        `losses` are those of its last steps, see `recent`. `seconds` after the run began, a step takes `step_seconds`,
        and so does the evaluation of what the last one leads to.
        """
        if self.deadlines and losses and seconds + 2 * step_seconds > self.deadlines[scale - 1]:
            return StopReason.TIME
        if self.gain and gains_less(losses, self.gain):
            return StopReason.GAIN
        return None


def gains_less(losses: Sequence[float], share: float) -> bool:
    """Whether the last `STOP_WINDOW` steps gained less than this share of the loss each, on average.

    What counts is the least loss of these steps and of as many before: single ones may go astray. False where there are
    no more steps than that, as the first step of an optimiser may lead far up, from where it has yet to come down.
    """
    if len(losses) <= 2 * STOP_WINDOW:
        return False
    before, now = min(losses[-2 * STOP_WINDOW : -STOP_WINDOW]), min(losses[-STOP_WINDOW:])
    return not before - now > share * STOP_WINDOW * before


def recent(losses: Sequence[Number], loss: Number) -> tuple[Number, ...]:
    """The losses of the last steps and of one more, as many as `gains_less` looks at."""
    return (*losses, loss)[-1 - 2 * STOP_WINDOW :]


def deadlines(until: float, scale_seconds: Sequence[float]) -> tuple[float, ...]:
    """Seconds after its beginning at which a run is to be done with each scale: a share of `until` as it was estimated.

    Where a step takes longer than that, each scale loses its share of them: none is left without time.
    """
    return tuple(until * passed / sum(scale_seconds) for passed in accumulate(scale_seconds))
