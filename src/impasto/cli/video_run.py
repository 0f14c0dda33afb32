"""Driving a film from the shell: its plan, what is said on the way, and how to go on after Ctrl-C."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from impasto.cli.batch_how import How
from impasto.cli.terminal import duration, note, tell, tell_json, tell_path
from impasto.errors import ImpastoError, SettingsError
from impasto.jobs.batch.estimates import processors
from impasto.jobs.video.clip import frame_time, probe
from impasto.jobs.video.film import Began, Film, Moved, Noted, Part, Written, size_of_film
from impasto.jobs.video.order import LOG, PREVIEW, Order
from impasto.jobs.video.planning import FilmPlan, plan_film
from impasto.jobs.video.steadiness import QUALITIES, Steadiness
from impasto.jobs.video.writing import target_of
from impasto.settings.settings import Settings
from impasto.storage.process import Interruption

LINE_EVERY, STRIP_EVERY = 10.0, 60.0
"""Seconds between two lines of progress where there is no terminal, and between two preview strips."""

ON_STRIP = 12
"""Frames on the strip."""


def part_of(begin: str | None, end: str | None, every: int, rate: float | None) -> Part:
    """The part of a film that flags ask for; raises `SettingsError`."""
    found = Part(
        frame_time(begin, "from"),
        frame_time(end, "to"),
        every,
        None if rate is None else Fraction(rate).limit_denominator(100_000),
    )
    found.check()
    return found


def steadiness_of(quality: str, passes: int, flow: str) -> Steadiness:
    """How steady a film is to be, and at what cost; raises `SettingsError`."""
    if quality not in QUALITIES:
        raise SettingsError(
            f"`quality` is {quality!r}", f"choose {', '.join(QUALITIES)}", knob="quality", value=quality
        )
    if not 1 <= passes <= 20:
        raise SettingsError(f"`passes` is {passes}", "give 1 to 20", knob="passes", value=passes)
    if flow not in ("dis", "none"):
        raise SettingsError(f"`flow` is {flow!r}", "choose dis or none", knob="flow", value=flow)
    return replace(QUALITIES[quality], passes=passes, flow=flow == "dis")


@dataclass(frozen=True)
class FilmRun:
    """A film to be painted, with all that flags say."""

    film: str
    styles: tuple[str, ...]
    settings: Settings
    output: str
    part: Part
    steadiness: Steadiness
    how: How
    strip: Path | None
    overwrite: bool
    quiet: bool

    def tell_plan(self, *, as_json: bool) -> int:
        """Say what it would take; makes nothing."""
        clip, target = probe(self.film, self.part.rate), target_of(self.output, overwrite=True)
        size = size_of_film(clip, self.settings, even=target.even)
        found = plan_film(clip, size, self.part, self.styles, self.settings, self.steadiness, self.how.workers)
        _tell(found, as_json=as_json)
        return 0

    def paint(self, *, as_json: bool) -> int:
        """Paint what is unfinished and write the film; the exit code."""
        target = target_of(self.output, overwrite=self.overwrite)
        film = Film(
            self.film,
            self.styles,
            self.settings,
            target,
            part=self.part,
            steadiness=self.steadiness,
            overwrite=self.overwrite,
        )
        with Interruption() as interruption, film:
            order = film.look(lambda shots: max(1, processors() // self._at_once(shots)))
            workers = self._at_once(len(order.shots))
            gpu = str(self.settings.device).startswith("cuda")
            executor = self._executor(workers, int(order.settings.threads), film.folder.path / LOG, gpu=gpu)
            written, asked, drawn = None, False, time.monotonic()
            with _shown(quiet=self.quiet) as show, closing(film.events(executor)) as events:
                for event in events:
                    match event:
                        case Noted():
                            note(event.sentence)
                        case Written():
                            written = event
                        case Began() | Moved():
                            show(event)
                        case None:
                            pass
                    complete = isinstance(event, Moved) and event.finished == event.frames
                    if complete or (isinstance(event, Moved) and time.monotonic() - drawn >= STRIP_EVERY):
                        drawn = time.monotonic()
                        self._draw_strip(
                            film, order, self.strip if complete and self.strip else film.folder.path / PREVIEW
                        )
                    if interruption.signal is not None and not asked:
                        asked = True
                        note("Interrupted: finishing the frames that are being painted. Again to quit at once.")
                        executor.end()
            if written is None:
                done = film.folder.painted(order)
                note(f"{done} of {order.count} frames are finished, in {str(film.folder.path)!r}.")
                note("Run the same again to go on.")
                return interruption.code
        if as_json:
            tell_json(
                {
                    "output": str(written.path),
                    "frames": written.frames,
                    "shots": len(order.shots),
                    "seconds": round(written.seconds, 1),
                }
            )
        else:
            tell_path(written.path)
        return 0

    def _at_once(self, shots: int) -> int:
        return max(1, min(self.how.workers or processors(), shots))

    def _executor(self, workers: int, threads: int, log: Path, *, gpu: bool):
        if self.how.on_ray:
            from impasto.jobs.executors.ray import RayExecutor

            return RayExecutor(self.how.address or "auto", threads, gpu=gpu)
        from impasto.jobs.executors.local import LocalExecutor

        return LocalExecutor(workers, threads, log)

    def _draw_strip(self, film: Film, order: Order, place: Path) -> None:
        """Some of the finished frames on one sheet, evenly over the film; one that can't be written costs nothing."""
        from impasto.report import sheet_of_files

        done = [number for number in range(order.count) if film.folder.is_painted(number)]
        picked = [done[round(k * (len(done) - 1) / (ON_STRIP - 1))] for k in range(ON_STRIP)] if done else []
        cells = [(film.folder.picture(n), [f"{float(order.times[n]):.2f} s"]) for n in dict.fromkeys(picked)]
        try:
            sheet_of_files.write(place, cells, film.target.path.name, order.count)
        except ImpastoError as error:
            note(str(error))


def tell_plan_of(film: str, styles: Sequence[str], settings: Settings, *, as_json: bool) -> None:
    """The plan of a whole film at the usual quality, on stdout; without a style, one like the film is assumed."""
    clip = probe(film)
    size = size_of_film(clip, settings, even=True)
    _tell(plan_film(clip, size, Part(), styles, settings, Steadiness()), as_json=as_json)


def _tell(plan: FilmPlan, *, as_json: bool) -> None:
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
    tell(f"frames   {plan.frames}, in {plan.shots} shots")
    tell(f"a frame  {duration(plan.first_seconds)} for the first of a shot, {duration(plan.next_seconds)} for another")
    tell(f"engine   {plan.engine}, {plan.workers} shots at once")
    tell(f"memory   about {plan.memory / MEGABYTE:,.0f} MB at the peak")
    tell(f"disk     about {plan.disk / MEGABYTE:,.0f} MB while it lasts")
    tell(f"time     about {duration(plan.seconds)}")


Show = Callable[[Began | Moved], None]


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Show]:
    """Progress on stderr: a bar on a terminal, lines elsewhere."""
    if quiet:
        yield lambda event: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _Lines().show


class _Lines:
    """A line now and then."""

    def __init__(self) -> None:
        self._last = 0.0

    def show(self, event: Began | Moved) -> None:
        """Take an event."""
        if isinstance(event, Began):
            left = f", {event.finished} of them finished" if event.finished else ""
            note(f"{event.order.count} frames in {len(event.order.shots)} shots{left}.")
        elif time.monotonic() - self._last >= LINE_EVERY or event.finished == event.frames:
            self._last = time.monotonic()
            sys.stderr.write(f"frame {event.finished}/{event.frames}  {_pace(event)}\n")
            sys.stderr.flush()


def _pace(event: Moved) -> str:
    each, left = event.seconds_each or 0.0, event.seconds_left or 0.0
    return f"{duration(each)} a frame  {duration(left)} left"


@contextlib.contextmanager
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
