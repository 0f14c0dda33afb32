"""A film as a job: analysed, painted shot by shot by an executor, and put together with its sound.

The truth is on the disk, in the folder OUT.film beside the output: see `order`. A film that was killed goes on with the
frame that it was at, to the same pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from impasto.errors import ImageError, ImpastoError
from impasto.jobs.executors.executor import Done, Executor, Lost
from impasto.jobs.video.analysis import Analysis, Part, analyse
from impasto.jobs.video.clip import check_not_replaced, probe, size_of_film
from impasto.jobs.video.fingerprint import absolute, film_key
from impasto.jobs.video.means import by_other_means
from impasto.jobs.video.order import DONE, LOCK, Order, WorkFolder, differences
from impasto.jobs.video.painting import TASK, item
from impasto.jobs.video.steadiness import Steadiness
from impasto.jobs.video.writing import Painted, Target, check_free, check_takes, places_of, write
from impasto.settings.settings import Settings
from impasto.storage.files import quoted, reason

GLANCE = 1.0
"""Seconds between two looks at how many frames are finished."""


@dataclass(frozen=True)
class Began:
    """The film's frames and shots are known, and so many of the frames are finished already."""

    order: Order
    finished: int


@dataclass(frozen=True)
class Moved:
    """So many frames are finished; seconds a frame and seconds left at the pace so far, None before any."""

    finished: int
    frames: int
    seconds_each: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class Noted:
    """A sentence of what isn't as in the original."""

    sentence: str


@dataclass(frozen=True)
class Written:
    """The film is where it was to go; its folder is removed when the film is left."""

    path: Path
    frames: int
    seconds: float


Event = Began | Moved | Noted | Written


class OtherFilmError(ImpastoError):
    """The work folder holds an unfinished film of other inputs, settings or versions."""


class Film:
    """One film: its input, styles, settings and output, all checked; enter it, then iterate over `events`.

    Raises `ImpastoError` for what can't be read, written or painted.
    """

    def __init__(
        self,
        path: str,
        styles: Sequence[str],
        settings: Settings,
        target: Target,
        *,
        part: Part | None = None,
        steadiness: Steadiness | None = None,
        overwrite: bool = False,
    ) -> None:
        self.part, self.steadiness = part or Part(), steadiness or Steadiness()
        self.part.check()
        self.clip = probe(path, self.part.rate)
        self.styles, self.target, self.overwrite = tuple(styles), target, overwrite
        check_not_replaced(self.clip, styles, settings, places_of(target))
        if not overwrite:
            check_free(target)
        self.asked = settings
        self.folder = WorkFolder(target.folder)
        self.size = size_of_film(self.clip, settings, even=target.even)
        if (most := settings.max_pixels) < self.clip.size[0] * self.clip.size[1]:
            height, width = self.clip.size
            raise ImageError(
                f"{self.clip.name} is {width}×{height}, more than {most} pixels",
                "raise `max_pixels`",
                knob="max_pixels",
                value=most,
            )
        self.order: Order | None = None
        self._written = False
        self._lock = FileLock(self.folder.path / LOCK, timeout=0)

    def __enter__(self) -> Film:
        try:
            self.folder.path.mkdir(exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise ImpastoError(
                f"{quoted(self.folder.path)} belongs to a film that another process is painting",
                "wait for it, or stop it",
            ) from None
        except OSError as error:
            raise ImpastoError(
                f"{quoted(self.folder.path)} can't be made ({reason(error)})", "choose another place"
            ) from None
        if (self.folder.path / DONE).exists():
            self.folder.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._written:
            self.folder.clear()
        if not self.folder.is_ours:  # nothing was begun, or all is done
            self.folder.remove()  # by whoever holds the lock: another process may begin a film here now
        self._lock.release()
        with suppress(OSError):
            self.folder.path.rmdir()  # on Windows the lock was a file as long as it was held

    def analyse(self, threads: Callable[[int], int]) -> Order:
        """Find out what is to be painted, as it was begun before or anew; raises `ImpastoError`.

        `threads` says how many compute a frame, by the number of shots, where settings don't.
        """
        key = film_key(self.clip, self.size, self.styles, self.asked, asdict(self.part), self.steadiness)
        began = self._began()
        if began is not None and began.key == key:
            self.order = by_other_means(began, self.asked, threads)
            if self.order is not began:
                self.folder.begin(self.order)
            return self.order
        found = analyse(self.clip, self.size, self.part, self.styles, self.asked, threads)
        now = self._ordered(key, found)
        check_takes(self.target, self.clip, self.size, Painted((), now.times, now.seconds))
        if began is not None and self.overwrite:
            self.folder.clear()
        elif began is not None:
            why = "; ".join(differences(began, now)) or "the film or a version was another"
            raise OtherFilmError(
                f"{quoted(self.folder.path)} holds another unfinished film ({why})",
                "give the same again to go on with it, or begin anew with `overwrite`",
            )
        self.folder.begin(now)
        self.order = now
        return now

    def _began(self) -> Order | None:
        """What was begun here; what can't be read as such is begun anew where that was asked for."""
        try:
            return self.folder.order()
        except ImpastoError:
            if not self.overwrite:
                raise
            self.folder.clear()
            return None

    def events(self, executor: Executor) -> Generator[Event | None]:
        """Paint what is unfinished, after `analyse`, and put the film together; None now and then without any news.

        Where the executor was asked to end, the film is left as it is, without a `Written`. Raises `ImpastoError`.
        """
        assert self.order is not None, "the film has been analysed"
        order, began = self.order, time.monotonic()
        finished = self.folder.painted(order)
        yield Began(order, finished)
        if order.broken is not None:
            yield Noted(f"{self.clip.name} breaks off after {order.count} frames ({order.broken}).")
        unfinished = [n for n, shot in enumerate(order.shots) if not all(map(self.folder.is_painted, range(*shot)))]
        yield from self._paint(order, unfinished, executor, finished, began)
        if self.folder.painted(order) < order.count:
            return
        pictures = [self.folder.picture(number) for number in range(order.count)]
        painted = Painted(pictures, order.times, order.seconds)
        for sentence in write(painted, self.clip, self.target, overwrite=self.overwrite):
            yield Noted(sentence)
        self._written = True
        yield Written(self.target.path, order.count, time.monotonic() - began)

    def _paint(
        self, order: Order, shots: Sequence[int], executor: Executor, before: int, began: float
    ) -> Generator[Moved | Noted | None]:
        faults: list[str] = []
        glanced, last = began, before
        for news in executor.map(TASK, (item(self.folder.path, shot) for shot in shots)):
            match news:
                case Done(number=number, result={"error": fault}):
                    faults.append(f"Shot {shots[number] + 1} of {len(order.shots)} wasn't painted. {fault}")
                    yield Noted(faults[-1])
                case Lost(number=number, fault=fault):
                    faults.append(f"Shot {shots[number] + 1} of {len(order.shots)} wasn't painted. {fault}.")
                    yield Noted(faults[-1])
                case _:
                    yield None
            now = time.monotonic()
            if now - glanced >= GLANCE or isinstance(news, Done | Lost):
                glanced, finished = now, self.folder.painted(order)
                if finished > last:
                    last = finished
                    each = (now - began) / (finished - before)
                    yield Moved(finished, order.count, each, each * (order.count - finished))
        if faults:
            raise ImpastoError(faults[0])

    def _ordered(self, key: str, found: Analysis) -> Order:
        styles, clip, settings = absolute(self.styles, self.clip, found.settings)
        return Order(
            key,
            clip,
            self.size,
            styles,
            settings,
            self.steadiness,
            found.times,
            found.seconds,
            found.shots,
            found.broken,
            found.peak,
        )
