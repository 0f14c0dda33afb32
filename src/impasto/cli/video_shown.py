"""What is told of a film: its plan on stdout, and how far it is on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.progress import bar_or_lines
from impasto.cli.terminal import duration, note, tell, tell_json
from impasto.errors import ImpastoError
from impasto.jobs.video.clip import probe, size_of_film
from impasto.jobs.video.film import Began, Film, Moved
from impasto.jobs.video.order import Order
from impasto.jobs.video.part import Part
from impasto.jobs.video.planning import FilmPlan, plan_film
from impasto.jobs.video.steadiness import Steadiness

if TYPE_CHECKING:
    from impasto.settings.settings import Settings

LINE_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""

ON_STRIP = 12
"""Frames on the strip."""

Show = Callable[[Began | Moved], None]


def tell_plan_of(
    film: str,
    styles: Sequence[str],
    settings: Settings,
    part: Part | None = None,
    steadiness: Steadiness | None = None,
    workers: int | None = None,
    *,
    even: bool = True,
    as_json: bool = False,
) -> None:
    """The plan of a film, all of it at the usual quality unless told otherwise, on stdout.

    Without a style, one like the film is assumed; sides are `even` where it goes into a container.
    """
    part = part or Part()
    clip = probe(film, part.rate)
    size = size_of_film(clip, settings, even=even)
    found = plan_film(clip, size, part, styles, settings, steadiness or Steadiness(), workers)
    tell_film_plan(found, as_json=as_json)


def tell_film_plan(plan: FilmPlan, *, as_json: bool) -> None:
    """A plan, on stdout."""
    from impasto.run.memory_plan import MEGABYTE

    height, width = plan.size
    if as_json:
        tell_json(
            {
                "size": {"width": width, "height": height},
                "frames": plan.frames,
                "shots": plan.shots,
                "first_frame_seconds": round(plan.first_seconds, 4),
                "next_frame_seconds": round(plan.next_seconds, 4),
                "workers": plan.workers,
                "seconds": round(plan.seconds, 1),
                "peak_bytes": plan.memory,
                "disk_bytes": plan.disk,
                "engine": plan.engine,
            }
        )
        return
    tell(f"size     {width}×{height} px")
    tell(f"frames   {plan.frames}, in {_shots(plan.shots)}")
    tell(f"a frame  {duration(plan.first_seconds)} for the first of a shot, {duration(plan.next_seconds)} for another")
    tell(f"engine   {plan.engine}, {_shots(plan.workers)} at once")
    tell(f"memory   about {plan.memory / MEGABYTE:,.0f} MB at the peak")
    tell(f"disk     about {plan.disk / MEGABYTE:,.0f} MB while it lasts")
    tell(f"time     about {duration(plan.seconds)}")


def draw_strip(film: Film, order: Order, place: Path) -> None:
    """Some of the finished frames on one sheet, evenly over the film; one that can't be written costs nothing."""
    from impasto.report import sheet_of_files

    done = [number for number in range(order.count) if film.folder.is_painted(number)]
    picked = [done[round(k * (len(done) - 1) / (ON_STRIP - 1))] for k in range(ON_STRIP)] if done else []
    cells = [(film.folder.picture(n), [f"{float(order.times[n]):.2f} s"]) for n in dict.fromkeys(picked)]
    try:
        sheet_of_files.write(place, cells, film.target.path.name, order.count)
    except ImpastoError as error:
        note(str(error))


def shown(*, quiet: bool) -> AbstractContextManager[Show]:
    """Progress on stderr: a bar on a terminal, lines elsewhere."""
    return bar_or_lines(_bar, _Lines().show, quiet=quiet)


class _Lines:
    """A line now and then."""

    def __init__(self) -> None:
        self._last = 0.0

    def show(self, event: Began | Moved) -> None:
        """Take an event."""
        if isinstance(event, Began):
            left = f", {event.finished} of them finished" if event.finished else ""
            note(f"{event.order.count} frames in {_shots(len(event.order.shots))}{left}.")
        elif time.monotonic() - self._last >= LINE_EVERY or event.finished == event.frames:
            self._last = time.monotonic()
            sys.stderr.write(f"frame {event.finished}/{event.frames}  {_pace(event)}\n")
            sys.stderr.flush()


def _pace(event: Moved) -> str:
    each, left = event.seconds_each or 0.0, event.seconds_left or 0.0
    return f"{duration(each)} a frame  {duration(left)} left"


@contextmanager
def _bar() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("frame {task.fields[frame]}"), BarColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=1, frame="…", pace="…")

        def show(event: Began | Moved) -> None:
            if isinstance(event, Began):
                done, of, pace = event.finished, event.order.count, "…"
            else:
                done, of, pace = event.finished, event.frames, _pace(event)
            progress.update(task, completed=done / of, frame=f"{done}/{of}", pace=pace)

        yield show


def _shots(count: int) -> str:
    return f"{count} shot" if count == 1 else f"{count} shots"
