"""What is known of a run while it goes on, and what is written and told of it in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.outputs import Outputs, measures_of, resume_command
from impasto.cli.terminal import duration, note, tell_json, tell_path
from impasto.errors import ImpastoError
from impasto.run.events import Event, Finished, Started, Stepped
from impasto.storage.files import quoted, reason, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.report.figure import Report
    from impasto.settings.settings import Settings
    from impasto.storage.scratch import Scratch


@dataclass
class Progress:
    """What is known of a run so far: its last numbers, its newest picture and the snapshots already written."""

    size: tuple[int, int] = (0, 0)
    loss: float | None = None
    parts: Mapping[str, float] | None = None
    steps: int = 0
    planned: tuple[int, ...] = ()
    taken: tuple[int, ...] = ()
    seconds: float = 0.0
    finished: bool = False
    _newest: Callable[[], Tensor] | None = None

    def observe(self, event: Event) -> None:
        """Take an event of the run."""
        match event:
            case Started(plan=plan):
                self.size, self.planned = plan.size, plan.steps
            case Stepped():
                self.steps, self.loss, self.parts = event.step, event.loss, event.parts
                self.seconds, self._newest, self.taken = event.seconds, event.picture, event.taken
            case Finished():
                self.steps, self.loss, self.parts = event.steps, event.loss, event.parts
                self.seconds, self._newest, self.finished = event.seconds, lambda: event.picture, True

    def picture(self) -> Tensor | None:
        """The newest picture, at the scale that was being worked on; None before the first step."""
        return None if self._newest is None else self._newest()

    def at_full_size(self, picture: Tensor, scratch: Scratch) -> Tensor:
        """A picture of any scale, enlarged to the size of the result."""
        from impasto.images.size import resize

        return resize(picture, self.size, scratch)


def write_report(report: Report, figure: Path, *, overwrite: bool) -> None:
    """Draw a run's figure, and write its measures beside it; raises `ImpastoError`."""
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
                "scales": [
                    {"steps": steps, "planned": planned}
                    for steps, planned in zip_longest(so_far.taken, so_far.planned, fillvalue=0)
                ],
                "seconds": round(so_far.seconds, 3),
                "settings": settings.model_dump(mode="json"),
            }
        )
    else:
        for path in (outputs.picture, *written, *([] if figure is None else [figure, measures_of(figure)])):
            tell_path(path)
    if not so_far.finished:
        way = "" if folder is None else f"; go on with {resume_command(folder)}"
        note(f"Interrupted at step {so_far.steps}: the picture so far is {quoted(outputs.picture)}{way}.")
    elif not quiet:
        fewer = f" of {planned}" if so_far.steps < (planned := sum(so_far.planned)) else ""
        note(f"{so_far.steps}{fewer} steps in {duration(so_far.seconds)}.")
