"""Driving a run through its events: its snapshots, its end, its interruption, and a result that can't be written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.outputs import Outputs, resume_command
from impasto.cli.progress import following
from impasto.cli.result import Progress, write_report
from impasto.cli.terminal import note
from impasto.errors import DivergedError, ImpastoError
from impasto.run.events import EpochDone, Event, Restarted
from impasto.storage.files import quoted
from impasto.storage.process import Interruption

if TYPE_CHECKING:
    from impasto.jobs.checkpointer import Checkpointer
    from impasto.jobs.stylization import Stylization
    from impasto.report.record import Recorder


@dataclass
class RunDriver:
    """A run that is being driven: what is painted, where it goes, and what is known and written of it so far."""

    stylization: Stylization
    outputs: Outputs
    recorder: Recorder
    checkpointer: Checkpointer | None
    so_far: Progress = field(default_factory=Progress)
    written: list[Path] = field(default_factory=list)

    def paint(self, events: Iterable[Event], interruption: Interruption, *, quiet: bool) -> None:
        """Take the run's events, until their end or an interruption."""
        try:
            with following(epochs=self.stylization.settings.epochs, quiet=quiet) as show:
                for event in events:
                    self.observe(event)
                    if interruption.signal is not None:
                        break
                    with contextlib.suppress(OSError):  # a terminal that has gone away is no reason to stop
                        show(event)
        except DivergedError as error:
            self.save(error.picture, self.outputs.picture)
            self.forget()  # it would only end here again
            last = ImpastoError(f"The last good picture is {quoted(self.outputs.picture)}")
            raise ImpastoError(error.fault, error.cure, others=[last]) from error

    def observe(self, event: Event) -> None:
        """Take note of an event, and write what it brings along."""
        self.so_far.observe(event)
        self.recorder.observe(event)
        match event:
            case EpochDone(epoch=epoch) if epoch in self.outputs.snapshots:
                self.save(event.picture, self.outputs.snapshots[epoch])
                self.written.append(self.outputs.snapshots[epoch])
            case Restarted():
                note(
                    f"Step {event.step} led to values that aren't finite: it is taken again from the best picture with "
                    f"shorter steps ({event.times} of {event.most})."
                )
        if self.checkpointer is not None:
            self.checkpointer.observe(event)

    def finish(self) -> None:
        """Write the result and its report; the state isn't needed any more."""
        self.save(self.so_far.picture(), self.outputs.picture, recipe=self.outputs.with_recipe)
        if (figure := self.outputs.figure) is not None:
            with self.resumable(figure):
                report = self.recorder.report()
                write_report(report, figure, overwrite=self.outputs.overwrite)
            if missing := sorted(set(self.recorder.epochs) - report.pictures.keys()):
                shown = ", ".join(map(str, missing))
                note(f"The figure lacks epoch {shown}: the run had not been told of --report by then.")
        self.forget()

    def interrupt(self) -> bool:
        """Save the state and write the newest picture; whether there is one."""
        if (picture := self.so_far.picture()) is None:
            note("Interrupted before there was a picture: nothing was written.")
            return False
        if self.checkpointer is not None:
            self.checkpointer.save()
        self.save(picture, self.outputs.picture)
        return True

    def forget(self) -> None:
        """Remove what is saved of the run's state."""
        if self.checkpointer is not None:
            self.checkpointer.discard()

    def save(self, picture: Any, path: Path, *, recipe: bool = False) -> None:
        """Write a picture of any scale at the size of the result."""
        from impasto.jobs.saving import save_picture

        with self.resumable(path):
            save_picture(self.stylization, picture, path, recipe=recipe, overwrite=self.outputs.overwrite)

    @contextlib.contextmanager
    def resumable(self, path: Path) -> Iterator[None]:
        """Where an output can't be written, keep the run's state and say how to go on instead of the usual cure."""
        try:
            yield
        except ImpastoError as error:
            checkpointer = self.checkpointer
            if checkpointer is None or not (checkpointer.save(complain=False) or checkpointer.saved):
                raise
            what = ", which replaces what is there" if path.exists() else ""
            raise ImpastoError(
                error.fault, f"put that right, then go on with {resume_command(checkpointer.folder)}{what}"
            ) from error
