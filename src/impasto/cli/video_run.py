"""Driving a film from the shell: its plan, what is said on the way, and how to go on after Ctrl-C."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from impasto.cli.batch_how import How
from impasto.cli.terminal import note, tell_json, tell_path
from impasto.cli.video_shown import draw_strip, shown, tell_plan_of
from impasto.jobs.video.at_once import shots_at_once, threads_for
from impasto.jobs.video.film import Began, Film, Moved, Noted, Written
from impasto.jobs.video.order import LOG, PREVIEW
from impasto.jobs.video.part import Part
from impasto.jobs.video.steadiness import Steadiness
from impasto.jobs.video.writing import target_of
from impasto.settings.settings import Settings
from impasto.storage.process import Interruption

STRIP_EVERY = 60.0
"""Seconds between two preview strips."""


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
        even = target_of(self.output).even
        workers = self.how.workers
        tell_plan_of(
            self.film, self.styles, self.settings, self.part, self.steadiness, workers, even=even, as_json=as_json
        )
        return 0

    def paint(self, *, as_json: bool) -> int:
        """Paint what is unfinished and write the film; the exit code."""
        target = target_of(self.output)
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
            try:
                with interruption.at_once():
                    order = film.analyse(lambda shots: threads_for(shots, self.how.workers, self.settings))
            except KeyboardInterrupt:
                note("Interrupted while the film was gone through: nothing was painted, and nothing is lost.")
                return interruption.code
            workers = shots_at_once(order, self.how.workers)
            gpu = str(self.settings.device).startswith("cuda")
            executor = self.how.make_for_film(workers, int(order.settings.threads), film.folder.path / LOG, gpu=gpu)
            written, asked, drawn = None, False, time.monotonic()
            with shown(quiet=self.quiet) as show, closing(film.events(executor)) as events:
                for event in events:
                    match event:
                        case Noted():
                            note(event.sentence)
                        case Written():
                            written = event
                            if self.strip is not None:
                                draw_strip(film, order, self.strip)
                        case Began() | Moved():
                            show(event)
                        case None:
                            pass
                    if isinstance(event, Moved) and time.monotonic() - drawn >= STRIP_EVERY:
                        drawn = time.monotonic()
                        draw_strip(film, order, film.folder.path / PREVIEW)
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
