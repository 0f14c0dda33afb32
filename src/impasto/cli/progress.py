"""How a run is shown while it lasts: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from impasto.cli.terminal import duration
from impasto.run.events import EpochDone, Event, Finished, ScaleDone, Started, Stepped
from impasto.run.remaining import most_steps, seconds_left, share_done
from impasto.run.stop_rules import StopReason

Show = Callable[[Event], None]
E = TypeVar("E")


def early_end(started: Started, done: ScaleDone) -> str:
    """'scale 1/2 ended after 31 of 60 steps: the last ones gained less than 0.1 % of the loss each'."""
    why = {
        StopReason.GAIN: f"the last ones gained less than {100 * started.plan.stops.gain:g} % of the loss each",
        StopReason.TIME: "its time was over",
        StopReason.REPEATED: "as many as then",
    }
    reason = "" if done.ended_by is None else f": {why[done.ended_by]}"
    return f"scale {done.scale}/{len(started.plan.scales)} ended after {done.steps} of {done.planned} steps{reason}"


def scale_name(started: Started, step: Stepped) -> str:
    """'scale 2/3 512×384'."""
    height, width = step.size
    return f"scale {step.scale}/{len(started.plan.scales)} {width}×{height}"


def following(*, epochs: int, quiet: bool) -> AbstractContextManager[Show]:
    """Show the events handed to what this yields on stderr, if at all."""
    return bar_or_lines(_bar, Lines(epochs).show, quiet=quiet)


def bar_or_lines(
    bar: Callable[[], AbstractContextManager[Callable[[E], None]]], lines: Callable[[E], None], *, quiet: bool
) -> AbstractContextManager[Callable[[E], None]]:
    """What events are handed to: a bar where stderr is a terminal, lines elsewhere, nobody if it is to be quiet."""
    if quiet:
        return nullcontext(lambda event: None)
    return bar() if sys.stderr.isatty() else nullcontext(lines)


class Lines:
    """A plain line on stderr at the end of each epoch; the last one waits for the result, whose loss it tells."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.started: Started | None = None
        self.stepped: Stepped | None = None
        self._written = 0

    def show(self, event: Event) -> None:
        """Take an event of the run."""
        match event:
            case Started():
                self.started = event
            case Stepped():
                self.stepped = event
            case EpochDone() if self.stepped is not None and event.epoch < self.epochs:
                if self.stepped.step > self._written:  # of several epochs that end with one step, the first
                    self._write(event.epoch, self.stepped.loss)
                    self._written = self.stepped.step
            case ScaleDone() if self.started is not None and event.ended_by is not None:
                sys.stderr.write(early_end(self.started, event) + "\n")
                sys.stderr.flush()
            case Finished():
                self._write(self.epochs, event.loss, finished=True)

    def _write(self, epoch: int, loss: float, *, finished: bool = False) -> None:
        if (started := self.started) is None or (step := self.stepped) is None:
            return
        most, left = (
            (step.step, duration(0)) if finished else (most_steps(started, step), duration(seconds_left(started, step)))
        )
        sys.stderr.write(
            f"epoch {epoch}/{self.epochs}  {scale_name(started, step)}  step {step.step}/{most}"
            f"  loss {loss:.4g}  {left} left\n"
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
                    completed=share_done(started, event),
                    scale=scale_name(started, event),
                    step=f"{event.step}/{most_steps(started, event)}",
                    loss=f"{event.loss:.4g}",
                    left=duration(seconds_left(started, event)),
                )
            elif isinstance(event, ScaleDone) and started is not None and event.ended_by is not None:
                progress.console.print(early_end(started, event), highlight=False)
            elif isinstance(event, Finished):
                steps = f"{event.steps}/{event.steps}"
                progress.update(task, completed=1, step=steps, loss=f"{event.loss:.4g}", left=duration(0))

        yield show
