"""The frames of a film, one after another, each with the time at which it is shown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from impasto.errors import ImageError, ImpastoError
from impasto.images import reading
from impasto.images.size import Size, resize
from impasto.jobs.video.animations import animation_frames
from impasto.jobs.video.clip import Clip, Kind, library, opened
from impasto.jobs.video.colours import to_srgb
from impasto.jobs.video.flow import Frame
from impasto.storage.files import reason


@dataclass(frozen=True)
class FilmFrame:
    """A frame: sRGB (h, w, 3) in [0, 1], its opacity (h, w) or None, and its time in seconds from the film's start.

    `seconds` is how long it is shown, where the film tells.
    """

    pixels: Frame
    alpha: Frame | None
    time: Fraction
    seconds: Fraction | None = None


@dataclass(frozen=True)
class Broken:
    """The film can't be read any further, and why."""

    reason: str


def frames(clip: Clip, size: Size, begin: Fraction = Fraction(0)) -> Iterator[FilmFrame | Broken]:
    """The frames of a film from `begin` on, at (h, w); the last news is that it breaks off, where it does.

    Times grow from frame to frame. Raises `ImageError`.
    """
    source = {Kind.CONTAINER: _of_container, Kind.ANIMATION: animation_frames, Kind.SEQUENCE: _of_files}[clip.kind]
    last: Fraction | None = None
    try:
        for pixels, alpha, time, seconds in source(clip, size, begin):
            if time >= begin and (last is None or time > last):  # a film that is cut badly goes back in time
                last = time
                yield FilmFrame(pixels, alpha, time, seconds)
    except ImpastoError as error:
        if last is None:
            raise
        yield Broken(error.fault)


Samples = tuple[Frame, Frame | None, Fraction, Fraction | None]


def _of_files(clip: Clip, size: Size, begin: Fraction) -> Iterator[Samples]:
    for number, file in enumerate(clip.files):
        if (time := number / clip.rate) < begin:
            continue
        image = reading.load(file)
        if image.size != clip.size:
            raise ImageError(f"{file!r} isn't of the size of the pictures before it", "make them one size")
        planes = [resize(image.pixels, size)[0].permute(1, 2, 0)]
        alpha = None if image.alpha is None else resize(image.alpha.expand(-1, 3, -1, -1), size)[0, 0]
        colours = np.ascontiguousarray(planes[0].numpy())
        yield colours, None if alpha is None else np.ascontiguousarray(alpha.numpy()), time, 1 / clip.rate


def _of_container(clip: Clip, size: Size, begin: Fraction) -> Iterator[Samples]:
    """As the container has them; sought from the key frame before `begin`, or from the start where that fails."""
    if begin > 0 and not clip.interlaced:  # what a deinterlaced frame shows depends on the ones before
        first = next(_from(clip, size, begin, seek=True), None)
        if first is not None and first[2] <= begin:
            yield from _from(clip, size, begin, seek=True)
            return
    yield from _from(clip, size, begin, seek=False)


def _from(clip: Clip, size: Size, begin: Fraction, *, seek: bool) -> Iterator[Samples]:
    av = library()
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()
    with _opened(clip) as film:
        stream = film.streams.video[0]
        stream.thread_type = "AUTO"
        start = Fraction(stream.start_time or 0) * stream.time_base
        if seek:
            with contextlib.suppress(av.FFmpegError):
                film.seek(int((begin + start) / stream.time_base), stream=stream, backward=True)
        step = 1 / clip.rate
        due = start
        source = _deinterlaced(film, stream) if clip.interlaced else _decoded(film, stream)
        for frame in source:
            time = due if frame.pts is None else frame.pts * frame.time_base
            due = time + step
            seconds = frame.duration * frame.time_base if frame.duration else None
            if time - start < begin and not seek:
                continue
            try:
                yield *to_srgb(frame, clip, size, reformatter), time - start, seconds
            except (av.FFmpegError, ValueError) as error:
                fault = f"A frame of {clip.name} can't be used ({reason(error)})"
                raise ImageError(fault, "use another copy") from error


@contextlib.contextmanager
def _opened(clip: Clip) -> Iterator[Any]:
    av = library()
    try:
        with opened(clip.path) as film:
            yield film
    except (av.FFmpegError, OSError) as error:
        raise ImageError(f"{clip.name} breaks off ({reason(error)})", "use another copy") from error


PATIENCE = 25
"""How many broken packets in a row end a film."""


def _decoded(film: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames; a few broken packets are left out, as players do."""
    av = library()
    decoder = _with_alpha(stream)
    broken = 0
    for packet in film.demux(stream):
        try:
            found = packet.decode() if decoder is None else decoder.decode(packet if packet.size else None)
        except av.error.InvalidDataError:
            broken += 1
            if broken > PATIENCE:
                raise
            continue
        except av.error.EOFError:
            return
        broken = 0 if found else broken
        for frame in found:
            if not frame.is_corrupt:
                yield frame


def _with_alpha(stream: Any) -> Any:
    """The decoder that knows of the second picture of VP8 and VP9, in which they have transparency."""
    names = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") != "1" or stream.codec_context.name not in names:
        return None
    av = library()
    decoder = av.CodecContext.create(names[stream.codec_context.name], "r")
    decoder.extradata = stream.codec_context.extradata
    return decoder


def _deinterlaced(film: Any, stream: Any) -> Iterator[Any]:
    """A whole frame for each pair of fields, by bwdif."""
    av = library()
    graph = av.filter.Graph()
    source = graph.add_buffer(template=stream)
    filter, sink = graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    source.link_to(filter)
    filter.link_to(sink)
    graph.configure()

    def pulled() -> Iterator[Any]:
        while True:
            try:
                yield graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    for frame in _decoded(film, stream):
        graph.push(frame)
        yield from pulled()
    graph.push(None)
    yield from pulled()
