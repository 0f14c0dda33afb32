"""How much of a run is behind it, and how long the rest may take, told from its events."""

from __future__ import annotations

import math

from impasto.run.events import Started, Stepped


def work(started: Started, step: Stepped) -> tuple[float, float]:
    """What was done up to a step, and what is left at most, a step costing as much as it has pixels.

    Steps that a scale before it skipped are neither.
    """
    done = left = 0
    for number, ((height, width), planned) in enumerate(zip(started.plan.sizes, started.plan.steps, strict=True)):
        taken = step.taken[number] if number < len(step.taken) else 0
        done += height * width * taken
        left += height * width * (planned - taken) * (number + 1 >= step.scale)
    return done, left


def share_done(started: Started, step: Stepped) -> float:
    """The part of the run's work that is behind it."""
    done, left = work(started, step)
    return done / (done + left)


def most_steps(started: Started, step: Stepped) -> int:
    """How many steps the run will take at most: those taken, and all that are planned from here on."""
    return step.step + started.plan.total_steps - started.plan.behind(step.scale, step.taken[-1])


def seconds_left(started: Started, step: Stepped) -> float:
    """How long the rest will take at the pace so far, at most until the run's time is over."""
    done, left = work(started, step)
    deadlines = started.plan.stops.deadlines
    until = max(0.0, deadlines[-1] - step.seconds) if deadlines else math.inf
    return min(step.seconds * left / done, until)
