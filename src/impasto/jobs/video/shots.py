"""Where one shot of a film ends and the next begins."""

from __future__ import annotations

import numpy as np

from impasto.jobs.video import flow
from impasto.jobs.video.flow import Frame

LEAST = 0.045
"""Mean difference between two frames, small and of which one is moved onto the other, that a cut makes at least."""

MUCH = 3.0
"""How many times as much a cut changes as the frames around it do."""

AROUND = 3
"""Frames on each side that a change is compared with."""

LONGEST = 48
"""Longest side in pixels of the frames that are compared."""


class Cuts:
    """Takes frames one by one, and tells which of them begin a shot.

    A cut is where much more changes from one frame to the next than around it, as in PySceneDetect's adaptive detector;
    what changes is what flow can't explain, so that a fast pan isn't one.
    """

    def __init__(self) -> None:
        self._last: Frame | None = None
        self._changes: list[float] = []

    def add(self, frame: Frame) -> None:
        """The next frame."""
        small = _small(frame)
        if self._last is not None:
            self._changes.append(_change(small, self._last))
        self._last = small

    def shots(self) -> list[tuple[int, int]]:
        """The numbers of each shot's first frame and of the one after its last."""
        count = 0 if self._last is None else len(self._changes) + 1
        starts = [0, *(n + 1 for n in range(len(self._changes)) if self._is_cut(n))]
        return [(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True) if end > start]

    def _is_cut(self, number: int) -> bool:
        change = self._changes[number]
        around = [*self._changes[max(0, number - AROUND) : number], *self._changes[number + 1 : number + 1 + AROUND]]
        usual = float(np.median(around)) if around else 0.0
        return change >= LEAST and change >= MUCH * usual


def _small(frame: Frame) -> Frame:
    cv2 = flow.library()
    height, width = frame.shape[:2]
    share = min(1.0, LONGEST / max(height, width))
    size = max(8, round(width * share)), max(8, round(height * share))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _change(now: Frame, before: Frame) -> float:
    """The lesser of what changed and of what changed but for what moved."""
    plain = float(np.abs(now - before).mean())
    if plain < LEAST or min(now.shape[:2]) < flow.SMALLEST:
        return plain
    moved = flow.warp(before, flow.movement(now, before).flow, linear=True)
    return min(plain, float(np.abs(now - moved).mean()))
