"""What moves from one frame to the next: optical flow, where it can be trusted, and warping by it.

Frames are (h, w, 3) float32 sRGB in [0, 1] here, flows (h, w, 2) in pixels: for each place, how far across and down it
is to the place in the other frame that shows the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from impasto.errors import SettingsError

SMALLEST = 16
"""Least side in pixels of a frame in which flow is looked for."""

DIFFERENT = 0.06
"""How far two colours are from each other, of the range, where they aren't the same thing seen twice."""

NOISE = (1 / 255, 6 / 255)
"""Least and greatest standard deviation of noise that is believed in."""

STILL = 0.5
"""Pixels that a place may seem to move by and still be taken for still, if its colours are too."""

Frame = np.ndarray[Any, np.dtype[np.float32]]


def library() -> Any:
    """OpenCV; raises `SettingsError` where it isn't installed."""
    try:
        import cv2
    except ImportError:
        raise SettingsError(
            "OpenCV, which finds what moves, is not installed", "pip install 'impasto[video]'"
        ) from None
    return cv2


@dataclass(frozen=True)
class Movement:
    """From a frame back to an earlier one: the flow, and how certain it is at each place, (h, w) in [0, 1]."""

    flow: Frame
    certainty: Frame


def movement(now: Frame, earlier: Frame) -> Movement:
    """How a frame has moved since an earlier one: DIS (Kroeger et al. 2016) there and back.

    It isn't certain where that doesn't lead back, at the edges of what moves (Ruder et al. 2016, eq. 5 and 6, after
    Sundaram et al. 2010), where it leads outside, and where the two places differ in colour.
    """
    if min(now.shape[:2]) < SMALLEST:
        return unmoved(now, earlier)
    back, forth = _flow(now, earlier), _flow(earlier, now)
    there_and_back = back + warp(forth, back, linear=True)
    squares = (back**2).sum(-1) + (warp(forth, back, linear=True) ** 2).sum(-1)
    leads_back = (there_and_back**2).sum(-1) <= 0.01 * squares + 0.5
    edges = sum((np.gradient(back[..., i], axis=axis) ** 2) for i in (0, 1) for axis in (0, 1))
    smooth = edges <= 0.01 * (back**2).sum(-1) + 0.002 * 8  # in a quarter of the resolution there, and with variation
    certain = leads_back & smooth & inside(back) & _alike(now, warp(earlier, back))
    return Movement(back, _softened(certain))


def unmoved(now: Frame, earlier: Frame) -> Movement:
    """The same without flow: nothing moves, and what has changed in colour is uncertain.

    After 'frame difference' losses, which need no flow (arXiv 2102.05822).
    """
    return Movement(np.zeros((*now.shape[:2], 2), np.float32), _softened(_alike(now, earlier)))


def warp(frame: Frame, flow: Frame, *, linear: bool = False) -> Frame:
    """What an earlier frame shows at the places that a flow leads back to, (h, w, c); exact where that is whole pixels.

    By Lanczos' filter of 8 × 8 pixels: with a smaller one, a picture that is warped again and again gets blurred.
    """
    cv2 = library()
    height, width = flow.shape[:2]
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    places = across + flow[..., 0], down + flow[..., 1]
    kind = cv2.INTER_LINEAR if linear else cv2.INTER_LANCZOS4
    warped = cv2.remap(frame, *places, kind, borderMode=cv2.BORDER_REPLICATE)
    return warped.reshape(height, width, *frame.shape[2:])


def noise_of(now: Frame, earlier: Frame, moved: Movement) -> float:
    """The standard deviation of what differs between a frame and an earlier one though it shows the same."""
    differences = np.abs(now - warp(earlier, moved.flow)).mean(-1)[moved.certainty > 0.5]
    typical = float(np.median(differences)) / 0.6745 if differences.size else NOISE[1]
    return min(max(typical, NOISE[0]), NOISE[1])


def still(now: Frame, painted_of: Frame, moved: Movement, noise: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where nothing has moved and the colours are, but for noise, those that the picture was painted of, (h, w)."""
    cv2 = library()
    slow = np.sqrt((moved.flow**2).sum(-1)) < STILL
    difference = cv2.blur(now - painted_of, (7, 7), borderType=cv2.BORDER_REFLECT_101)
    alike = np.abs(difference).max(-1) < max(3 * noise / math.sqrt(7), 1.5 / 255)
    return cv2.erode((slow & alike).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def _flow(here: Frame, there: Frame) -> Frame:
    cv2 = library()
    one, other = (cv2.cvtColor((255 * f).round().astype(np.uint8), cv2.COLOR_RGB2GRAY) for f in (here, there))
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(1 if min(one.shape) >= 64 else 0)
    return search.calc(one, other, None)


def inside(flow: Frame) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether a flow leads to a place within the frame, (h, w)."""
    height, width = flow.shape[:2]
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = across + flow[..., 0], down + flow[..., 1]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def _alike(now: Frame, warped: Frame) -> np.ndarray[Any, np.dtype[np.bool_]]:
    cv2 = library()
    difference = cv2.blur(np.abs(now - warped).mean(-1), (5, 5), borderType=cv2.BORDER_REFLECT_101)
    return difference < DIFFERENT


def _softened(certain: np.ndarray[Any, np.dtype[np.bool_]]) -> Frame:
    """1 where it is certain, falling to 0 over two pixels before where it isn't."""
    cv2 = library()
    return cv2.blur(cv2.erode(certain.astype(np.float32), np.ones((3, 3))), (3, 3), borderType=cv2.BORDER_REFLECT_101)
