"""Small films, made on the spot: frames of a moving picture, encoded with sound, turned, cut off or odd."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

from helpers import smooth_image

QUICK = {
    "size": 48,
    "epochs": 1,
    "steps_per_epoch": 3,
    "scales": 1,
    "device": "cpu",
    "engine": "torch",
    "threads": 1,
    "style_layers": ("relu1_1", "relu2_1"),
    "content_layers": ("relu2_2",),
}
"""Settings of a run of a moment."""

FLAGS = [
    *("--size", "48", "--epochs", "1", "--steps-per-epoch", "3", "--scales", "1", "--device", "cpu"),
    *("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_2"),
]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth picture with some detail, (h, w, 3) float32 in [0, 1]."""
    image = smooth_image(height, width, seed=seed, dtype=torch.float32)[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(cv2.GaussianBlur(image, (0, 0), 1.0))


def pan(
    count: int, size: tuple[int, int] = (48, 64), step: tuple[float, float] = (1.0, 0.0), seed: int = 0
) -> list[Any]:
    """A view moving over a picture by (across, down) pixels a frame."""
    height, width = size
    whole = picture(height + 64, width + 64, seed)
    found = []
    for n in range(count):
        matrix = np.float32([[1, 0, 16 + step[0] * n], [0, 1, 16 + step[1] * n]])
        found.append(cv2.warpAffine(whole, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP))
    return [np.clip(frame, 0, 1).astype(np.float32) for frame in found]


def write_film(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: str | None = None,
    turned: int = 0,
    options: dict[str, str] | None = None,
    context: dict[str, Any] | None = None,
    subtitles: bool = False,
) -> Path:
    """Frames (h, w, 3) in [0, 1] as a film, 25 a second or at these times in milliseconds."""
    height, width = frames[0].shape[:2]
    times = [40 * n for n in range(len(frames))] if times is None else times
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        stream.options = {"crf": "4"} | (options or {}) if codec in ("libx264", "libx265") else options or {}
        for name, value in (context or {}).items():
            setattr(stream.codec_context, name, value)
        if turned:
            stream.set_display_rotation(turned)
        hears = out.add_stream(sound, rate=44100) if sound else None
        for time, frame in zip(times, frames, strict=True):
            kind = "rgb24" if frame.shape[2] == 3 else "rgba"
            made = av.VideoFrame.from_ndarray((255 * frame).round().astype(np.uint8), format=kind)
            made.pts, made.time_base = round(time), Fraction(1, 1000)
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
        if hears is not None:
            length = int(44100 * (times[-1] + 40) / 1000)
            wave = (9000 * np.sin(np.arange(length) / 10)).astype(np.int16)[None]
            heard = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            heard.rate, heard.pts = 44100, 0
            out.mux(hears.encode(heard))
            out.mux(hears.encode(None))
    return path


def frames_of(path: Path) -> list[np.ndarray]:
    """What a player shows, (h, w, 3) uint8, without turning it."""
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def times_of(path: Path) -> list[float]:
    """When, in seconds."""
    with av.open(str(path)) as film:
        return [float(frame.time) for frame in film.decode(video=0)]
