"""What goes over the wire of films."""

from __future__ import annotations

from pydantic import BaseModel


class FilmFacts(BaseModel):
    """What an uploaded film has: frames, frames a second, seconds, and whether there is sound."""

    frames: int
    rate: float
    seconds: float
    sound: bool


class FilmProgress(BaseModel):
    """Which frames of a film are finished: runs of them, each from its first to before its end, and the newest one.

    `seconds_each` is what a frame takes at the pace of this start, None before there is any.
    """

    finished: list[tuple[int, int]]
    newest: int | None
    shots: int
    seconds_each: float | None


class PlannedFilm(BaseModel):
    """What a film would take, besides what a photo does: `workers` shots are painted at once."""

    frames: int
    shots: int
    first_seconds: float
    next_seconds: float
    workers: int
