"""The task of a film: a shot, frame by frame, from where it was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.jobs.executors.executor import Item
from impasto.jobs.network import KeptNetwork
from impasto.jobs.video import flow
from impasto.jobs.video.order import Order, WorkFolder
from impasto.jobs.video.painter import FramePainter, PaintedFrame
from impasto.jobs.video.reading import Broken, FilmFrame, frames
from impasto.storage.files import reason

TASK = "impasto.jobs.video.painting:paint"

KEPT = KeptNetwork()
"""What this process keeps from one shot to the next."""

SLACK = Fraction(1, 100_000)
"""Seconds by which the times of one frame may differ where it was decoded twice."""


def item(folder: Path, shot: int) -> Item:
    """A shot to be painted, by its number; the rest is in the folder, which every machine has to see."""
    return {"folder": str(folder.absolute()), "shot": shot}


def paint(item: Item, tell: Callable[[Item], None], ending: Callable[[], bool]) -> Item:
    """Paint what is left of a shot; what can't be painted is told in a sentence, and is none of the executor's."""
    began = time.monotonic()
    folder = WorkFolder(Path(item["folder"]))
    try:
        order = folder.order()
        if order is None:
            raise ImpastoError(f"{item['folder']!r} isn't a film's folder on every machine", "use one that all see")
        shot = _Shot(folder, order, item["shot"])
        for number, seconds in shot.painted(ending):
            tell({"frame": number, "seconds": round(seconds, 3)})
        found: Item = {"finished": shot.finished}
    except ImpastoError as error:
        found = {"error": " ".join(error.sentences())}
    except OSError as error:
        found = {"error": f"{str(folder.path)!r} can't be written in ({reason(error)}): make room."}
    return found | {"seconds": round(time.monotonic() - began, 3)}


class _Shot:
    """The frames of a shot, gone through once for each pass, from the first not finished on."""

    def __init__(self, folder: WorkFolder, order: Order, number: int) -> None:
        self.folder, self.order = folder, order
        self.first, self.end = order.shots[number]
        self.painter = FramePainter(order.styles, order.settings, order.steadiness, KEPT)

    @property
    def finished(self) -> bool:
        """Whether all of its frames are."""
        return all(self.folder.is_painted(number) for number in range(self.first, self.end))

    def painted(self, ending: Callable[[], bool]) -> Iterator[tuple[int, float]]:
        """Paint, and tell each frame's number and seconds; none after `ending`."""
        flow.library().setNumThreads(1)  # what it adds up doesn't depend on how many there are
        passes = self.order.steadiness.passes
        for turn in range(passes):
            last = turn == passes - 1
            for found in self._pass(turn, last=last):
                yield found
                if ending():
                    return

    def _pass(self, turn: int, *, last: bool) -> Iterator[tuple[int, float]]:
        """One pass, backwards every second time, from the first frame that it hasn't been through."""
        backwards = turn % 2 == 1
        numbers = range(self.end - 1, self.first - 1, -1) if backwards else range(self.first, self.end)
        left = [n for n in numbers if not self._is_done(n, turn, last=last)]
        if not left:
            return
        step, most = (-1 if backwards else 1), max(self.order.steadiness.back)
        earlier = self._earlier(left[0], turn, step)
        for number, frame in self._frames(left, turn):
            began = time.monotonic()
            before = self.folder.kept(number, turn - 1) if turn else None
            nearest = [earlier[back - 1] for back in self.order.steadiness.back if back <= len(earlier)]
            if before is not None and not nearest:
                painted = before  # a pass begins with what the one before ended with
            elif nearest:
                painted = self.painter.next(frame.pixels, nearest, None if before is None else before.canvas)
            else:
                painted = self.painter.first(frame.pixels)
            painted = replace(painted, alpha=frame.alpha)
            alone = number + step not in numbers  # nothing comes after it
            if not (last and alone):
                self.folder.keep(number, painted, turn)
            if last:
                self.folder.finish(number, painted)
            earlier = [painted, *earlier][:most]
            self._forget(number, turn, step, last=last, alone=alone)
            yield number, time.monotonic() - began

    def _is_done(self, number: int, turn: int, *, last: bool) -> bool:
        """A later pass may have been through it, and have removed what this one kept."""
        if self.folder.is_painted(number):
            return True
        return not last and any(self.folder.has(number, later) for later in range(turn, self.order.steadiness.passes))

    def _earlier(self, number: int, turn: int, step: int) -> list[PaintedFrame]:
        """What was kept of the frames before a frame, in the direction of a pass, the nearest first."""
        found: list[PaintedFrame] = []
        for back in range(1, max(self.order.steadiness.back) + 1):
            if not self._in_shot(number - step * back):
                break
            if (kept := self.folder.kept(number - step * back, turn)) is None:
                raise ImpastoError(
                    f"What frame {number} follows is missing in {str(self.folder.path)!r}",
                    "remove that and begin again",
                )
            found.append(kept)
        return found

    def _in_shot(self, number: int) -> bool:
        return self.first <= number < self.end

    def _forget(self, number: int, turn: int, step: int, *, last: bool, alone: bool) -> None:
        """Remove what no frame needs any more: of this pass, if it is the last, and of the one before."""
        back = max(self.order.steadiness.back)
        if turn:
            self.folder.forget(number, turn - 1)
        if last:
            for far in range(back + 1) if alone else [back]:
                if self._in_shot(number - step * far):
                    self.folder.forget(number - step * far, turn)

    def _frames(self, numbers: list[int], turn: int) -> Iterator[tuple[int, FilmFrame]]:
        """The film's own frames of these numbers, which are in the order of a pass: as the pass before kept them.

        Decoding begins with the shot's first frame even where less is left, so that each frame comes out the same.
        """
        if not turn:
            yield from self._decoded(numbers)
            return
        for number in numbers:
            if (kept := self.folder.kept(number, turn - 1)) is None:
                raise ImpastoError(
                    f"Frame {number} of the pass before is missing in {str(self.folder.path)!r}",
                    "remove that and begin again",
                )
            yield number, FilmFrame(kept.frame, kept.alpha, self.order.times[number])

    def _decoded(self, numbers: list[int]) -> Iterator[tuple[int, FilmFrame]]:
        wanted = iter(numbers)
        number = next(wanted)
        for frame in frames(self.order.clip, self.order.size, self.order.times[self.first]):
            if isinstance(frame, Broken):
                break
            if abs(frame.time - self.order.times[number]) <= SLACK:
                yield number, frame
                if (following := next(wanted, None)) is None:
                    return
                number = following
        raise ImpastoError(
            f"Frame {number} of {self.order.clip.name} isn't where it was",
            f"remove {str(self.folder.path)!r} and begin again",
        )
