"""The process that paints for the studio, or plans: it reads requests as lines of JSON and answers in such lines.

It drives the same jobs as the command line. Where its input ends, because the server has gone, it saves the state of
what it paints and ends too: whoever starts a server next goes on from there, to the same pixels.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

from filelock import FileLock

from impasto.errors import ImpastoError
from impasto.storage.process import owned
from impasto.studio.line import Line
from impasto.studio.painting import JobPainter, told
from impasto.studio.problems import problem_of
from impasto.studio.runs import RunFiles

IDLE = 180.0
"""Seconds after which a process that nobody asks ends, for it holds torch and perhaps a network."""


def main(role: str, data: Path) -> int:
    """Paint or plan, until the server has gone."""
    # What libraries print goes to the log, not between the answers.
    outgoing = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    line = Line(sys.stdin, outgoing)

    with FileLock(data / f"{role}.lock"):  # of a server that was killed the last step may still be on its way
        while (request := line.next(IDLE)) is not None:
            if request["do"] == "plan":
                _answer(request, line)
            elif request["do"] == "weigh":
                _weigh(request, line)
            elif request["do"] == "paint":
                _painter(RunFiles.of(request["job"]), line).run()
    return 0


def _painter(files: RunFiles, line: Line) -> JobPainter:
    if files.film is None:
        from impasto.studio.picture_painter import PicturePainter

        return PicturePainter(files, line)
    from impasto.studio.films.painter import FilmPainter

    return FilmPainter(files, line)


def _answer(request: dict[str, Any], line: Line) -> None:
    from impasto.studio.planning import plan

    try:
        line.tell(plan=plan(RunFiles.of(request["job"])).model_dump())
    except ImpastoError as error:
        line.tell(errors=told(error, RunFiles.of(request["job"])))
    except Exception as error:  # a planner that ends helps nobody; its log has the rest
        traceback.print_exception(error)
        line.tell(errors=[problem_of(ImpastoError(f"Planning failed ({type(error).__name__})")).model_dump()])


def _weigh(request: dict[str, Any], line: Line) -> None:
    from impasto.studio.planning import weigh

    jobs = [RunFiles.of(job) for job in request["jobs"]]
    try:
        line.tell(seconds=weigh(jobs))
    except Exception as error:  # as above
        traceback.print_exception(error)
        line.tell(seconds=[None] * len(jobs))


if __name__ == "__main__":
    with owned():
        sys.exit(main(sys.argv[1], Path(sys.argv[2])))
