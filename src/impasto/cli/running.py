"""Driving a run from the shell: its progress, its snapshots, its interruption, and what it leaves on disk."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.outputs import Outputs, measures_of, resume_command
from impasto.cli.progress import following
from impasto.cli.terminal import duration, note, tell, tell_json
from impasto.errors import DivergedError, ImpastoError
from impasto.run.events import EpochDone, Event, Finished, Restarted, Started, Stepped
from impasto.storage.files import quoted, reason, remove_drafts, write_atomically
from impasto.storage.process import Interruption

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.jobs.checkpointer import Checkpointer
    from impasto.jobs.stylization import Stylization
    from impasto.report.figure import Report
    from impasto.report.record import Recorder
    from impasto.settings.settings import Settings


@dataclass
class Progress:
    """What is known of a run so far: its last numbers, its newest picture and the snapshots already written."""

    size: tuple[int, int] = (0, 0)
    loss: float | None = None
    parts: Mapping[str, float] | None = None
    steps: int = 0
    seconds: float = 0.0
    finished: bool = False
    _newest: Callable[[], Tensor] | None = None

    def see(self, event: Event) -> None:
        """Take an event of the run."""
        match event:
            case Started(plan=plan):
                self.size = plan.size
            case Stepped():
                self.steps, self.loss, self.parts = event.step, event.loss, event.parts
                self.seconds, self._newest = event.seconds, event.picture
            case Finished():
                self.steps, self.loss, self.parts = event.steps, event.loss, event.parts
                self.seconds, self._newest, self.finished = event.seconds, lambda: event.picture, True

    def picture(self) -> Tensor | None:
        """The newest picture, at the scale that was being worked on; None before the first step."""
        return None if self._newest is None else self._newest()


def run(stylization: Stylization, outputs: Outputs, *, as_json: bool, quiet: bool, resume: bool = False) -> int:
    """Paint, or go on from the run's saved state, write what `outputs` names, say where it is; returns the exit code.

    The first Ctrl-C (SIGTERM, SIGHUP) saves the newest picture and the run's state, and returns 130 (143, 129). Only a
    finished picture carries its recipe: no settings lead to any other one.
    """
    outputs.check_plan(stylization.plan)
    with Interruption() as interruption:
        recorder = _recorder(stylization, outputs)
        with _checkpointer(stylization, outputs, recorder, resume=resume) as checkpointer:
            driver = RunDriver(stylization, outputs, recorder, checkpointer)
            if not resume:
                driver.forget()
            events = _resumed(stylization, outputs, recorder, quiet=quiet) if resume else stylization.events()
            driver.paint(events, interruption, quiet=quiet)
            if driver.so_far.finished:
                driver.finish()
            elif not driver.interrupt():
                return interruption.code
            folder = None if checkpointer is None or not checkpointer.saved else checkpointer.folder
    tell_result(driver.so_far, outputs, stylization.settings, driver.written, folder, as_json=as_json, quiet=quiet)
    return 0 if driver.so_far.finished else interruption.code


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
                    self.see(event)
                    if interruption.signal is not None:
                        break
                    with contextlib.suppress(OSError):  # a terminal that has gone away is no reason to stop
                        show(event)
        except DivergedError as error:
            self.save(error.picture, self.outputs.picture)
            self.forget()  # it would only end here again
            last = ImpastoError(f"The last good picture is {quoted(self.outputs.picture)}")
            raise ImpastoError(error.fault, error.cure, others=[last]) from error

    def see(self, event: Event) -> None:
        """Take note of an event, and write what it brings along."""
        self.so_far.see(event)
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
            self.checkpointer.see(event)

    def finish(self) -> None:
        """Write the result and its report; the state isn't needed any more."""
        recipe = self.stylization.recipe().to_json() if self.outputs.with_recipe else None
        self.save(self.so_far.picture(), self.outputs.picture, recipe)
        if (figure := self.outputs.figure) is not None:
            with self.resumable(figure):
                report = self.recorder.report()
                _write_report(report, figure, overwrite=self.outputs.overwrite)
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

    def save(self, picture: Any, path: Path, recipe: str | None = None) -> None:
        """Write a picture of any scale at the size of the result."""
        from impasto.images import writing
        from impasto.images.size import resize

        full = resize(picture, self.so_far.size, self.stylization.scratch)
        with self.resumable(path):
            writing.save(path, full, alpha=self.stylization.alpha(full), note=recipe, overwrite=self.outputs.overwrite)

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


def _resumed(stylization: Stylization, outputs: Outputs, recorder: Recorder, *, quiet: bool) -> Iterator[Event]:
    """The rest of the run whose state is in the folder; nobody but its events holds on to the state's tensors."""
    from impasto.jobs import checkpoint
    from impasto.jobs.checkpointer import STATE

    saved = checkpoint.read(outputs.folder / STATE, stylization.scratch)
    recorder.load_state(saved.record)
    if not quiet:
        note(f"Going on after step {saved.state.step}.")
    return stylization.events(saved.state)


def _recorder(stylization: Stylization, outputs: Outputs) -> Recorder:
    """What notes the steps, as a report may be asked for when the run goes on, and a figure's pictures."""
    from impasto.report.record import EPOCHS, Recorder

    return Recorder(
        stylization.content.pixels,
        [style.pixels for style in stylization.styles],
        settings=stylization.settings,
        network=stylization.network.engine,
        epochs=() if outputs.figure is None else EPOCHS,
    )


@contextlib.contextmanager
def _checkpointer(
    stylization: Stylization, outputs: Outputs, recorder: Recorder, *, resume: bool
) -> Iterator[Checkpointer | None]:
    """What saves the run's state, if it is to be saved; it has the outputs for itself, so drafts there are nobody's."""
    if outputs.every == math.inf and not resume:
        yield None
        return
    from impasto.jobs.checkpointer import Checkpointer

    with Checkpointer(
        outputs.folder,
        stylization.recipe(),
        record=recorder.state,
        shell=outputs.noted(),
        every=outputs.every,
        warn=note,
    ) as checkpointer:
        for path in outputs.paths():
            remove_drafts(path)
        yield checkpointer


def _write_report(report: Report, figure: Path, *, overwrite: bool) -> None:
    report.save_figure(figure)
    text = report.to_json().encode()
    try:
        write_atomically(measures_of(figure), lambda f: f.write(text), overwrite=overwrite)
    except OSError as error:
        raise ImpastoError(
            f"The report {quoted(figure)} can't be written ({reason(error)})",
            "make room and run again with `overwrite`",
        ) from error


def tell_result(
    so_far: Progress,
    outputs: Outputs,
    settings: Settings,
    written: Sequence[Path] = (),
    folder: Path | None = None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say where a picture is, what else was `written`, and how to go on if it isn't finished."""
    figure = outputs.figure if so_far.finished else None
    if as_json:
        tell_json(
            {
                "output": str(outputs.picture),
                "report": None if figure is None else str(figure),
                "snapshots": [str(path) for path in written],
                "finished": so_far.finished,
                "run": None if folder is None else str(folder),
                "size": {"width": so_far.size[1], "height": so_far.size[0]},
                "loss": so_far.loss,
                "parts": dict(so_far.parts or {}),
                "steps": so_far.steps,
                "seconds": round(so_far.seconds, 3),
                "settings": settings.model_dump(mode="json"),
            }
        )
    else:
        for path in (outputs.picture, *written, *([] if figure is None else [figure, measures_of(figure)])):
            tell(str(path))
    if not so_far.finished:
        way = "" if folder is None else f"; go on with {resume_command(folder)}"
        note(f"Interrupted at step {so_far.steps}: the picture so far is {quoted(outputs.picture)}{way}.")
    elif not quiet:
        note(f"{so_far.steps} steps in {duration(so_far.seconds)}.")
