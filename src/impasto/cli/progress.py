"""How a run is shown while it lasts: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from impasto.cli.terminal import duration
from impasto.run.events import EpochDone, Event, Finished, Started, Stepped

Show = Callable[[Event], None]


def share_done(started: Started, step: int) -> float:
    """The part of the run's work that is done after `step` steps, a step costing as much as it has pixels."""
    done = total = 0
    for (height, width), steps in zip(started.plan.sizes, started.plan.steps, strict=True):
        done += height * width * min(steps, max(0, step))
        total += height * width * steps
        step -= steps
    return done / total


def time_left(started: Started, step: Stepped) -> str:
    """How long the rest will take at the pace so far."""
    share = share_done(started, step.step)
    return duration(step.seconds * (1 - share) / share)


def scale_name(started: Started, step: Stepped) -> str:
    """'scale 2/3 512×384'."""
    height, width = step.size
    return f"scale {step.scale}/{len(started.plan.scales)} {width}×{height}"


@contextmanager
def following(*, epochs: int, quiet: bool) -> Iterator[Show]:
    """Show the events handed to what this yields on stderr, if at all."""
    if quiet:
        yield lambda event: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield Lines(epochs).show


class Lines:
    """A plain line on stderr at the end of each epoch; the last one waits for the result, whose loss it tells."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.started: Started | None = None
        self.stepped: Stepped | None = None

    def show(self, event: Event) -> None:
        """Take an event of the run."""
        match event:
            case Started():
                self.started = event
            case Stepped():
                self.stepped = event
            case EpochDone() if self.stepped is not None and event.epoch < self.epochs:
                self._write(event.epoch, self.stepped.loss)
            case Finished():
                self._write(self.epochs, event.loss)

    def _write(self, epoch: int, loss: float) -> None:
        if (started := self.started) is None or (step := self.stepped) is None:
            return
        sys.stderr.write(
            f"epoch {epoch}/{self.epochs}  {scale_name(started, step)}  step {step.step}/{started.plan.total_steps}"
            f"  loss {loss:.4g}  {time_left(started, step)} left\n"
        )
        sys.stderr.flush()


@contextmanager
def _bar() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.fields[scale]}"),
        BarColumn(),
        TextColumn("step {task.fields[step]}  loss {task.fields[loss]}  {task.fields[left]} left"),
    )
    started: Started | None = None
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=1, scale="starting", step="0", loss="…", left="…")

        def show(event: Event) -> None:
            nonlocal started
            if isinstance(event, Started):
                started = event
            elif isinstance(event, Stepped) and started is not None:
                progress.update(
                    task,
                    completed=share_done(started, event.step),
                    scale=scale_name(started, event),
                    step=f"{event.step}/{started.plan.total_steps}",
                    loss=f"{event.loss:.4g}",
                    left=time_left(started, event),
                )
            elif isinstance(event, Finished):
                progress.update(task, loss=f"{event.loss:.4g}")

        yield show
