"""A film's container and the encoder of its pictures: which there are, tried before anything is painted."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.errors import ImageError
from impasto.images.size import Size
from impasto.jobs.video.clip import Clip, library, opened
from impasto.jobs.video.colours import from_srgb, matrix_of
from impasto.jobs.video.remuxing import Remuxed
from impasto.storage.files import quoted, reason

SHARP = {
    "libx264": {"crf": "16", "preset": "medium"},
    "libvpx-vp9": {"crf": "20", "b": "0", "row-mt": "1"},
    "libx265": {"crf": "18", "x265-params": "log-level=none"},
}
"""Options of encoders for painted film, which has more detail than most."""

USUAL_RATES = tuple(Fraction(rate) for rate in ("24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60"))
"""Frames a second, all that MPEG-2 has a clock for (ITU-T H.262, table 6-4)."""

CURE = "use .mp4, .mkv, .webm, .mov or .gif"

ENCODERS = {"h264": "libx264", "vp9": "libvpx-vp9", "vp8": "libvpx", "hevc": "libx265"}


@dataclass(frozen=True)
class Painted:
    """The frames of a painted film: their pictures on the disk, and when and how long each is shown, in seconds."""

    pictures: Sequence[Path]
    times: Sequence[Fraction]
    seconds: Sequence[Fraction]

    @property
    def end(self) -> Fraction:
        """When the last has been shown."""
        return self.times[-1] + self.seconds[-1]


def try_container(path: Path) -> None:
    """Write a film of one small frame to memory; raises `ImageError` for a container that can't hold one."""
    av = library()
    try:
        av.format.ContainerFormat(format_of(path), "w")
    except ValueError:
        raise ImageError(f"{quoted(path)} ends in {path.suffix!r}, which no container does", CURE) from None
    try:
        with av.open(io.BytesIO(), "w", format=format_of(path)) as out:
            name, pixels = _encoder_for(out, alpha=False)
            stream = out.add_stream(name, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            out.mux(stream.encode(_black((48, 64), pixels)))
            out.mux(stream.encode(None))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ImageError(
            f"{quoted(path)} ends in {path.suffix!r}, which takes no film ({reason(error)})", CURE
        ) from None


def format_of(path: Path) -> str:
    """The name of a container by what a file ends in, as FFmpeg has it."""
    known = {
        "mkv": "matroska",
        "m4v": "mp4",
        "ts": "mpegts",
        "mts": "mpegts",
        "m2ts": "mpegts",
        "mpg": "mpeg",
        "ogv": "ogg",
        "wmv": "asf",
        "y4m": "yuv4mpegpipe",
    }
    ending = path.suffix.lower().removeprefix(".")
    return known.get(ending, ending)


def try_film(path: Path, clip: Clip, size: Size, painted: Painted) -> None:
    """Begin a film of such times and sound in memory, before it is painted; raises `ImageError` where it can't be.

    Some containers know but a few frame rates, sizes or rates of sound; `painted` needn't have its pictures yet.
    """
    height, width = size
    try:
        with ExitStack() as stack:
            out = library().open(io.BytesIO(), "w", format=format_of(path))
            stack.enter_context(_closed_in_any_case(out))
            name, pixels = _encoder_for(out, alpha=False)
            stream = _add_stream(out, name, pixels, size, painted)
            source = stack.enter_context(opened(clip.path)) if clip.sound else None
            Remuxed(source, out, painted.times[0], painted.end)
            out.start_encoding()
            stream.encode(_black(size, pixels))
    except (library().FFmpegError, OSError, ValueError) as error:
        even = len(set(painted.seconds[:-1])) <= 1  # how long the last one is shown is often guessed
        rate = (
            f"at {float(_rate(painted)):.4g} frames a second" if even else "whose frames aren't all shown equally long"
        )
        fault = f"{quoted(path)} can't hold this film of {width}×{height} {rate} ({reason(error)})"
        raise ImageError(fault, CURE) from error


class Encoder:
    """The pictures as packets of a video stream, in the colours and at the times of the film's own."""

    def __init__(self, out: Any, painted: Painted, clip: Clip) -> None:
        from av.video.reformatter import VideoReformatter

        self._painted, self._clip, self._reformatter = painted, clip, VideoReformatter()
        with Image.open(painted.pictures[0]) as first:
            width, height = first.size
        alpha = clip.alpha and any(_has_alpha(picture) for picture in painted.pictures)
        name, self._pixels = _encoder_for(out, alpha=alpha)
        stream = _add_stream(out, name, self._pixels, (height, width), painted)
        stream.options = {**SHARP.get(name, {}), **({"auto-alt-ref": "0"} if alpha and "vp" in name else {})}
        if clip.aspect != 1:
            stream.codec_context.sample_aspect_ratio = clip.aspect
        if not self._pixels.startswith(("rgb", "argb")):
            matrix = 1 if clip.hdr else matrix_of(clip)
            context = stream.codec_context
            context.colorspace = {5: clip.space if clip.space in (5, 6) else 5}.get(matrix, matrix)
            context.color_range = 1 if clip.hdr else clip.range
            if clip.hdr:
                context.color_primaries = context.color_trc = 1
        self._stream, self._base, self._alpha = stream, _base(painted), "a" in self._pixels

    def packets(self) -> Iterator[tuple[Fraction, Any]]:
        """Packets with the time up to which other streams may go before them, from 0 on."""
        first = self._painted.times[0]
        for picture, time, seconds in zip(
            self._painted.pictures, self._painted.times, self._painted.seconds, strict=True
        ):
            frame = from_srgb(_levels(picture, alpha=self._alpha), self._clip, self._pixels, self._reformatter)
            frame.pts, frame.time_base = round((time - first) / self._base), self._base
            frame.duration = round(seconds / self._base)
            yield time - first, self._stream.encode(frame)
        yield self._painted.end - first, self._stream.encode(None)


@contextmanager
def _closed_in_any_case(out: Any) -> Iterator[None]:
    """Close a container at the end, which may say that it lacks what was never meant to be in it."""
    try:
        yield
    finally:
        with suppress(library().FFmpegError, OSError, ValueError):
            out.close()


def _add_stream(out: Any, name: str, pixels: str, size: Size, painted: Painted) -> Any:
    """A stream of pictures (h, w) on the clock that the film's times need."""
    stream = out.add_stream(name, rate=_rate(painted))
    stream.height, stream.width, stream.pix_fmt = *size, pixels
    stream.codec_context.time_base = stream.time_base = _base(painted)
    return stream


def _black(size: Size, pixels: str) -> Any:
    """A first frame."""
    frame = library().VideoFrame.from_ndarray(np.zeros((*size, 3), np.uint8), format="rgb24").reformat(format=pixels)
    frame.pts = 0
    return frame


def _encoder_for(out: Any, *, alpha: bool) -> tuple[str, str]:
    """The encoder and the kind of pixels for a container."""
    taken = out.supported_codecs
    if alpha and out.format.name == "webm":
        return "libvpx-vp9", "yuva420p"
    if alpha and out.format.name in ("mov", "matroska"):
        return "png", "rgba"
    for name, codec in (("libx264", "h264"), ("libvpx-vp9", "vp9")):
        if codec in taken and out.default_video_codec in ("h264", "vp9", codec):
            return name, "yuv420p"
    usual = out.default_video_codec if out.default_video_codec != "theora" else "vp8"
    return ENCODERS.get(usual, usual), "yuv420p"


def _levels(picture: Path, *, alpha: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture's 8-bit samples; what is transparent is laid over white where that can't be told."""
    with Image.open(picture) as image:
        if alpha:
            return np.asarray(image.convert("RGBA"))
        if image.mode != "RGBA":
            return np.asarray(image.convert("RGB"))
        white = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def _has_alpha(picture: Path) -> bool:
    with Image.open(picture) as image:
        return image.mode == "RGBA"


def _base(painted: Painted) -> Fraction:
    """A unit of which all times are multiples, as far as a container's clock can be so fine."""
    times = {*painted.times, *painted.seconds}
    for rate in USUAL_RATES:
        if all((time * rate).denominator == 1 for time in times):
            return 1 / rate
    common = math.lcm(*{time.denominator for time in times})
    return Fraction(1, common if common <= 1_000_000 else 90_000)


def _rate(painted: Painted) -> Fraction:
    """Frames a second, on average."""
    return Fraction(len(painted.times), 1) / max(painted.end - painted.times[0], Fraction(1, 1000))
