"""Driving a run from the shell: its progress, its snapshots, its interruption, and what it leaves on disk."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from impasto.cli.outputs import Outputs, measures_of
from impasto.cli.progress import following
from impasto.cli.terminal import duration, note, tell, tell_json
from impasto.errors import DivergedError, ImpastoError
from impasto.events import EpochDone, Event, Finished, Started, Stepped
from impasto.files import quoted, reason, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.painting import Painting
    from impasto.report import Report
    from impasto.texture import Texture


class Interruption:
    """Ctrl-C or SIGTERM while this is entered: the first is noted in `signal`, the second quits at once."""

    CAUGHT = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.signal: int | None = None

    def __enter__(self) -> Interruption:
        self._before = {number: signal.signal(number, self._note) for number in self.CAUGHT}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise SystemExit(128 + number)
        self.signal = number


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
            case Started(scales=scales):
                self.size = scales[-1]
            case Stepped():
                self.steps, self.loss, self.parts = event.step, event.loss, event.parts
                self.seconds, self._newest = event.seconds, event.picture
            case Finished():
                self.steps, self.loss, self.parts = event.steps, event.loss, event.parts
                self.seconds, self._newest, self.finished = event.seconds, lambda: event.picture, True

    def picture(self) -> Tensor | None:
        """The newest picture, at the scale that was being worked on; None before the first step."""
        return None if self._newest is None else self._newest()


def run(painting: Painting | Texture, outputs: Outputs, *, with_recipe: bool, as_json: bool, quiet: bool) -> int:
    """Paint, write what `outputs` names, say where it is, and return the exit code.

    The first Ctrl-C (SIGTERM) saves the newest picture and returns 130 (143). Only a finished picture carries its
    recipe: no settings lead to any other one.
    """
    from impasto.painting import Painting  # with torch, which whoever made the painting has loaded

    outputs.check_plan(painting.plan)
    recorder = None
    if outputs.figure is not None and isinstance(painting, Painting):
        from impasto.report import Recorder

        styles = [style.pixels for style in painting.styles]
        recorder = Recorder(painting.content.pixels, styles, settings=painting.settings, network=painting.network)
    so_far = Progress()
    written: list[Path] = []
    with Interruption() as interruption:
        try:
            with following(epochs=painting.settings.epochs, quiet=quiet) as show:
                for event in painting.events():
                    so_far.see(event)
                    if recorder is not None:
                        recorder.see(event)
                    if isinstance(event, EpochDone) and event.epoch in outputs.snapshots:
                        written.append(_save(painting, event.picture, so_far, outputs, outputs.snapshots[event.epoch]))
                    show(event)
                    if interruption.signal is not None:
                        break
        except DivergedError as error:
            path = _save(painting, error.picture, so_far, outputs, outputs.picture)
            raise ImpastoError(f"{error}\nThe last good picture is {quoted(path)}.") from error
        picture = so_far.picture()
        if picture is None:
            note("Interrupted before there was a picture: nothing was written.")
            return 128 + (interruption.signal or signal.SIGINT)
        recipe = None
        if with_recipe and so_far.finished and isinstance(painting, Painting):
            recipe = painting.recipe().to_json()
        _save(painting, picture, so_far, outputs, outputs.picture, recipe)
    if recorder is not None and outputs.figure is not None and so_far.finished:
        _write_report(recorder.report(), outputs.figure, outputs)
    _tell(painting, so_far, outputs, written, as_json=as_json, quiet=quiet)
    return 0 if so_far.finished else 128 + (interruption.signal or signal.SIGINT)


def _save(
    painting: Painting | Texture,
    picture: Any,
    so_far: Progress,
    outputs: Outputs,
    path: Path,
    recipe: str | None = None,
) -> Path:
    """Write a picture of any scale at the size of the result."""
    from impasto import images

    full = images.resize(picture, so_far.size, painting.scratch)
    return images.save(path, full, alpha=painting.alpha(full), note=recipe, overwrite=outputs.overwrite)


def _write_report(report: Report, figure: Path, outputs: Outputs) -> None:
    report.figure(figure)
    text = report.to_json().encode()
    try:
        write_atomically(measures_of(figure), lambda f: f.write(text), overwrite=outputs.overwrite)
    except OSError as error:
        raise ImpastoError(
            f"The report {quoted(figure)} can't be written ({reason(error)}): the picture "
            f"{quoted(outputs.picture)} is there, make room and run again with --overwrite."
        ) from error


def _tell(
    painting: Painting | Texture, so_far: Progress, outputs: Outputs, written: list[Path], *, as_json: bool, quiet: bool
) -> None:
    figure = outputs.figure if so_far.finished else None
    if as_json:
        tell_json(
            {
                "output": str(outputs.picture),
                "report": None if figure is None else str(figure),
                "snapshots": [str(path) for path in written],
                "finished": so_far.finished,
                "size": {"width": so_far.size[1], "height": so_far.size[0]},
                "loss": so_far.loss,
                "parts": dict(so_far.parts or {}),
                "steps": so_far.steps,
                "seconds": round(so_far.seconds, 3),
                "settings": painting.settings.model_dump(mode="json"),
            }
        )
    else:
        for path in (outputs.picture, *written, *([] if figure is None else [figure, measures_of(figure)])):
            tell(str(path))
    if not so_far.finished:
        note(f"Interrupted at step {so_far.steps}: the picture so far is {quoted(outputs.picture)}.")
    elif not quiet:
        note(f"{so_far.steps} steps in {duration(so_far.seconds)}.")
