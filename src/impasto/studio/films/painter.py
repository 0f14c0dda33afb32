"""A film that is painted for the studio, as `impasto video` does it: shots at once, each in a process of its own."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.jobs.executors.local import LocalExecutor
from impasto.jobs.video.at_once import shots_at_once, threads_for
from impasto.jobs.video.film import Began, Film, Moved, Noted, OtherFilmError, Written
from impasto.jobs.video.options import FilmOptions
from impasto.jobs.video.order import LOG, Order
from impasto.jobs.video.writing import target_of
from impasto.settings.settings import Settings
from impasto.studio.films.files import FilmFiles, Finished
from impasto.studio.films.models import FilmProgress
from impasto.studio.models import Progress
from impasto.studio.painting import JobPainter

PATIENCE = 8.0
"""Seconds that a pause waits for the frames that are being painted; then they are begun again when it goes on."""


class FilmPainter(JobPainter):
    """A film that is painted: it tells of the frames that are finished, and goes on with the one that it was at."""

    def paint(self) -> str:
        """See `JobPainter`."""
        try:
            return self._paint(FilmFiles(self.files.folder))
        except OSError as error:
            fault = f"The film's folder can't be written in ({error.strerror})"
            raise ImpastoError(fault, "make room on the disk") from error

    def _paint(self, place: FilmFiles) -> str:
        if place.film.exists() or place.draft.exists():  # all was done when the server was killed, and nobody was told
            place.keep_film(self.files)
            self._tell_all(place)
            return "done"
        place.state.mkdir(exist_ok=True)
        ended = self._frames(place)
        place.add_seconds(time.monotonic() - self._began)
        if ended == "cancelled":
            place.discard()
        if ended is not None:
            return ended
        place.keep_film(self.files)
        return "done"

    def _frames(self, place: FilmFiles) -> str | None:
        """Paint what is unfinished and write the film; how it was asked to end where it came to no film."""
        options = FilmOptions(**self.files.film or {})
        film = Film(
            str(self.files.content),
            self.files.styles,
            Settings(**self.files.settings),
            target_of(str(place.draft)),
            part=options.part(),
            steadiness=options.steadiness(),
        )
        with film:
            try:
                order = film.analyse(lambda shots: threads_for(shots, None, film.asked))
            except OtherFilmError:
                raise OtherFilmError("The film was begun by another version of impasto", "paint it again") from None
            place.begin(order)
            self._tell_start(order)
            executor = LocalExecutor(shots_at_once(order), int(order.settings.threads), film.folder.path / LOG)
            frames, before, asked = Finished(place, film.folder, order.count), place.seconds(), None
            with closing(film.events(executor)) as events:
                for event in events:
                    match event:
                        case Began():
                            self._tell(order, frames, Moved(event.finished, order.count, None, None), before)
                        case Moved():
                            self._tell(order, frames, event, before)
                        case Noted():
                            self.note(event.sentence)
                        case Written():
                            return None
                        case None:
                            pass
                    if self.listen() is not None and asked is None:
                        asked = time.monotonic()
                        executor.end()
                    if asked is not None and (self.end == "cancelled" or time.monotonic() - asked > PATIENCE):
                        executor.kill()
        return "cancelled" if self.end == "cancelled" else "paused"

    def _tell_start(self, order: Order) -> None:
        height, width = order.size
        self.line.tell(started={"width": width, "height": height})

    def _tell(self, order: Order, frames: Finished, moved: Moved, before: float) -> None:
        began = time.monotonic()
        if (newest := frames.refresh()) is not None:
            self._preview(newest)
        film = FilmProgress(
            finished=frames.runs(), newest=frames.newest, shots=len(order.shots), seconds_each=moved.seconds_each
        )
        spent = before + began - self._began
        self._tell_step(order.size, moved.finished, order.count, film, spent, moved.seconds_left)
        self.telling += time.monotonic() - began

    def _tell_all(self, place: FilmFiles) -> None:
        """Tell of a film that was done before, as after its last frame."""
        with suppress(OSError, LookupError, ValueError):
            size, count, shots = place.noted()
            film = FilmProgress(finished=[(0, count)], newest=count - 1, shots=shots, seconds_each=None)
            self._tell_step(size, count, count, film, place.seconds(), 0.0)

    def _tell_step(
        self,
        size: tuple[int, int],
        step: int,
        steps: int,
        film: FilmProgress,
        seconds: float,
        seconds_left: float | None,
    ) -> None:
        height, width = size
        progress = Progress(
            step=step,
            steps=steps,
            epoch=1,
            epochs=1,
            scale=1,
            scales=1,
            loss=0.0,
            seconds=round(seconds, 3),
            seconds_left=seconds_left,
            width=width,
            height=height,
            share=round(step / steps, 4),
            film=film,
        )
        self.line.tell(step=progress.model_dump(), preview=self.previews)

    def _preview(self, frame: Path) -> None:
        from PIL import Image

        with Image.open(frame) as image:
            self.files.show_frame(image)
        self.previews += 1
