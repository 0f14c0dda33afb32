"""A job in the process that paints: how it is begun, what may be asked of it on the way, and how its end is told."""

from __future__ import annotations

import contextlib
import time
import traceback
from abc import ABC, abstractmethod
from typing import Any

from impasto.errors import ImpastoError
from impasto.studio.line import Line
from impasto.studio.problems import problem_of, problems_of, without_folders
from impasto.studio.runs import RunFiles


def told(error: ImpastoError, files: RunFiles) -> list[dict[str, Any]]:
    """What is wrong, as it is told, without where the studio keeps its files."""
    return [without_folders(problem, files.inputs()).model_dump() for problem in problems_of(error)]


class JobPainter(ABC):
    """One job that is painted: what kind of job it is, its children say."""

    def __init__(self, files: RunFiles, line: Line) -> None:
        self.files, self.line = files, line
        self.previews = 0
        self.telling, self._began = 0.0, time.monotonic()
        self.end: str | None = None
        """How it was asked to end."""

    @abstractmethod
    def paint(self) -> str:
        """Paint, and how it ended: 'done', 'stopped', 'paused' or 'cancelled'; raises `ImpastoError`."""

    def keep(self, error: ImpastoError) -> bool:
        """Keep what there is of a job that failed; whether that is a picture."""
        return False

    def change(self, knobs: dict[str, Any]) -> None:
        """Change knobs from now on; raises `ImpastoError`, as here, where that can't be."""
        raise ImpastoError(f"{', '.join(knobs)} can't change while it is painted", "paint it again")

    def run(self) -> None:
        """Paint, and tell how it ended."""
        try:
            ended = self.paint()
        except ImpastoError as error:
            picture = False
            with contextlib.suppress(ImpastoError):
                picture = self.keep(error)
            self.line.tell(ended="failed", errors=told(error, self.files), picture=picture)
        except Exception as error:  # one job's fault is no other's; its log has the rest
            traceback.print_exception(error)
            failed = ImpastoError(f"Painting failed ({type(error).__name__}: {error})", "the log has the rest")
            self.line.tell(ended="failed", errors=[problem_of(failed).model_dump()], picture=False)
        else:
            spent = {"telling": self.telling, "painting": time.monotonic() - self._began}
            self.line.tell(ended=ended, picture=self.files.picture.exists(), bytes=self.files.size(), spent=spent)
        if self.end == "gone":
            raise SystemExit(0)

    def listen(self) -> str | None:
        """Do what was asked since the last time; how the job is to end, None where it goes on."""
        for request in self.line.waiting():
            match request:
                case None:
                    self.end = "gone"
                case {"do": "end", "as": how}:
                    self.end = how if how == "cancelled" else self.end or how
                case {"do": "change", "knobs": knobs}:
                    try:
                        self.change(knobs)
                    except ImpastoError as error:
                        self.note(str(error))
        return self.end

    def note(self, text: str) -> None:
        """Tell a sentence that stays with the job."""
        self.line.tell(note=text)
