"""A film as it is found: what kind of thing it is, its size, its times; nothing of it is decoded for long."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto.errors import ImageError, SettingsError
from impasto.images.reading import ADDRESS, read_size
from impasto.images.size import Size, canvas_size, on_grid
from impasto.settings import roles
from impasto.settings.settings import Settings
from impasto.storage.files import identities, quoted, reason

STILLS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif")
"""Names of pictures that a sequence may be made of."""

ANIMATIONS = (".gif", ".apng", ".webp", ".png")
"""Names of files that Pillow reads and writes frame by frame."""

CONTAINERS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv"),
    *(".ogv", ".3gp", ".mxf", ".nut", ".vob", ".y4m"),
)
"""Usual names of films in containers; one that is named otherwise is tried all the same."""

DEMUXERS = (
    *("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg", "asf", "flv", "ogg"),
    *("mxf", "nut", "yuv4mpegpipe", "mpegvideo", "m4v", "h264", "hevc", "obu", "ivf", "dv", "rm"),
)
"""Of FFmpeg, those that read the file itself alone: a list of files (concat, HLS) could name any of this machine."""

NUMBERED = re.compile(r"%0?\d*d")

USUAL_RATE = Fraction(25)
"""Frames a second of what tells none."""

PQ, HLG = 16, 18
"""Transfer characteristics of HDR (ITU-T H.273, table 3): SMPTE ST 2084, and ARIB STD-B67."""


class Kind(StrEnum):
    """How a film lies on the disk."""

    CONTAINER = "container"
    ANIMATION = "animation"
    SEQUENCE = "sequence"


@dataclass(frozen=True)
class Clip:
    """A film before it is decoded: its path as it was given, its files, its upright size (h, w) and frames a second.

    `frames` and `seconds` are what it says of itself, 0 where it says nothing. `range` and `space` are the numbers of
    ITU-T H.273 for its colours, 2 for a space that it doesn't tell. `aspect` is that of a pixel.
    """

    path: str
    kind: Kind
    files: tuple[str, ...]
    size: Size
    rate: Fraction
    frames: int = 0
    seconds: float = 0.0
    alpha: bool = False
    deep: bool = False
    hdr: bool = False
    interlaced: bool = False
    range: int = 1
    space: int = 2
    aspect: Fraction = Fraction(1)
    sound: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The path for a message."""
        return quoted(Path(self.path))


def library() -> Any:
    """PyAV; raises `SettingsError` where it isn't installed."""
    try:
        import av
    except ImportError:
        raise SettingsError(
            "PyAV, which reads and writes films, is not installed", "pip install 'impasto[video]'"
        ) from None
    return av


def opened(path: str) -> Any:
    """A container to read, by one of `DEMUXERS`; raises `ImageError` for another, and PyAV's errors."""
    try:
        return library().open(_whole(path), metadata_errors="replace", options={"format_whitelist": ",".join(DEMUXERS)})
    except library().ArgumentError as error:  # so it is told that a kind isn't listed
        fault = f"{quoted(Path(path))} can't be read as a film (it is a list of files, damaged, or of an unusual kind)"
        raise ImageError(fault, "give it as .mp4, .mkv or .webm") from error


def created(path: str, format: str) -> Any:
    """A container to write."""
    return library().open(_whole(path), mode="w", format=format)


def _whole(path: str) -> str:
    """The whole path, as FFmpeg takes 'a:b.mp4' for an address."""
    return os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links


def is_film(path: str) -> bool:
    """Whether a name is that of a film rather than of a photo: by what it ends in, or as a sequence of pictures."""
    suffix = Path(path).suffix.lower()
    if suffix in CONTAINERS or suffix == ".apng" or is_pattern(path) or is_folder(path):
        return True
    return suffix in ANIMATIONS and Path(path).is_file() and _animated(Path(path))


def exists(path: str) -> bool:
    """Whether there is a file or a folder of that name; no name is too long to be asked for."""
    return os.path.exists(path)  # noqa: PTH110 - Path's raises OSError before Python 3.14


def is_folder(path: str) -> bool:
    """The same of a folder."""
    return os.path.isdir(path)  # noqa: PTH112 - as above


def is_pattern(path: str) -> bool:
    """Whether a name stands for many pictures: 'frame_%04d.png' or 'frames/*.png'."""
    return not exists(path) and (NUMBERED.search(Path(path).name) is not None or glob.has_magic(path))


def probe(path: str, rate: Fraction | None = None) -> Clip:
    """What a film is; raises `ImageError`. `rate` are the frames a second of a sequence, which can't tell them."""
    if ADDRESS.match(path) and not exists(path):
        raise ImageError(f"{path!r} is an address, not a file", "download it first and name the file")
    if is_pattern(path) or is_folder(path):
        return _sequence(path, rate or USUAL_RATE)
    if rate is not None:
        raise SettingsError(f"{quoted(Path(path))} tells its own frames a second", "drop `rate`", knob="rate")
    if not exists(path):
        raise ImageError(f"{quoted(Path(path))} doesn't exist", "check the path")
    if not Path(path).is_file():
        raise ImageError(f"{quoted(Path(path))} is a device or a pipe, not a file", "name a file")
    if Path(path).suffix.lower() in ANIMATIONS:
        from impasto.jobs.video.animations import probe_animation

        return probe_animation(path)
    if Path(path).suffix.lower() in STILLS:
        cure = "paint it with `impasto paint`, or name a folder or all pictures, such as 'frame_%04d.png'"
        raise ImageError(f"{quoted(Path(path))} is one picture, not a film", cure)
    return _container(path)


def _animated(path: Path) -> bool:
    from PIL import Image

    with suppress(Exception), Image.open(path) as image:
        return getattr(image, "n_frames", 1) > 1
    return False


def _sequence(path: str, rate: Fraction) -> Clip:
    files = sequence_files(path)
    size = _one_size(path, {file: read_size(file) for file in files})
    return Clip(
        path, Kind.SEQUENCE, tuple(files), size, rate, len(files), float(len(files) / rate), alpha=True, range=2
    )


def _one_size(path: str, sizes: dict[str, Size]) -> Size:
    """The (h, w) of all pictures of a sequence; raises `ImageError` for one that is odd."""
    usual = Counter(sizes.values()).most_common(1)[0][0]
    for file, (height, width) in sizes.items():
        if (height, width) != usual:
            raise ImageError(
                f"The pictures of {quoted(Path(path))} are of different sizes: {quoted(Path(file))} is "
                f"{width}×{height}, others are {usual[1]}×{usual[0]}",
                "scale it to theirs, or take it out",
            )
    return usual


def sequence_files(path: str) -> list[str]:
    """The pictures of a folder or a pattern, in the order of the numbers in their names; raises `ImageError`."""
    if Path(path).is_dir():
        found = [str(f) for f in Path(path).iterdir() if f.suffix.lower() in STILLS and not f.name.startswith(".")]
    elif NUMBERED.search(Path(path).name):
        wanted = NUMBERED.sub(r"\\d+", re.escape(Path(path).name), count=1)
        folder = Path(path).parent
        found = [str(f) for f in folder.iterdir() if re.fullmatch(wanted, f.name)] if folder.is_dir() else []
    else:
        found = [f for f in glob.glob(path) if Path(f).suffix.lower() in STILLS]  # noqa: PTH207 - may begin at the root
    if not found:
        raise ImageError(f"{quoted(Path(path))} has no pictures", "check the path")
    return sorted(found, key=_in_order)


def _in_order(file: str) -> tuple[list[int], str]:
    """Pictures by the numbers in their names: 9 comes before 10."""
    return [int(number) for number in re.findall(r"\d+", Path(file).stem)], file


def _container(path: str) -> Clip:
    av = library()
    try:
        with opened(path) as film:
            if not film.streams.video:
                raise ImageError(f"{quoted(Path(path))} has no pictures in it", "name a film")
            stream = film.streams.video[0]
            first = next(_decoded(film, stream), None)
            if first is None:
                raise ImageError(f"{quoted(Path(path))} has no frame in it", "name another film")
            return _clip_of(path, film, stream, first)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ImageError(
            f"{quoted(Path(path))} can't be read as a film ({reason(error)})", "use another copy"
        ) from error


def _decoded(film: Any, stream: Any) -> Any:
    """Frames as they come; those of a stream whose first packets are broken too."""
    av = library()
    for packet in film.demux(stream):
        with suppress(av.FFmpegError):
            yield from packet.decode()


def _clip_of(path: str, film: Any, stream: Any, first: Any) -> Clip:
    rotated = round(first.rotation / 90) % 2 == 1
    height, width = (first.width, first.height) if rotated else (first.height, first.width)
    seconds = float(stream.duration * stream.time_base) if stream.duration else (film.duration or 0) / 1_000_000
    rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
    components = first.format.components
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    full = first.color_range == 2 or first.format.name.startswith("yuvj") or first.format.is_rgb
    return Clip(
        path,
        Kind.CONTAINER,
        (path,),
        (height, width),
        Fraction(rate),
        stream.frames or round(seconds * rate),
        seconds,
        alpha=bool(first.format.has_palette or len(components) in (2, 4)) or _hidden_alpha(stream),
        deep=max(part.bits for part in components) > 8,
        hdr=int(first.color_trc) in (PQ, HLG),
        interlaced=bool(first.interlaced_frame),
        range=2 if full else 1,
        space=int(first.colorspace),
        aspect=1 / aspect if rotated else aspect,
        sound=tuple(
            f"{other.type} {other.codec_context.name}"
            for other in film.streams
            if other.type in ("audio", "subtitle") and other.codec_context
        ),
    )


def _hidden_alpha(stream: Any) -> bool:
    """Whether a VP8 or VP9 film has its transparency in a second picture, which the usual decoder doesn't look at."""
    return stream.metadata.get("alpha_mode") == "1" or stream.metadata.get("ALPHA_MODE") == "1"


def size_of_film(clip: Clip, settings: Settings, *, even: bool) -> Size:
    """The (h, w) at which a film is painted."""
    size = canvas_size(clip.size, settings.longest_side)
    return on_grid(size, 2) if even else size


def check_not_replaced(clip: Clip, styles: Sequence[str], settings: Settings, places: Sequence[Path]) -> None:
    """Raise `SettingsError` where a film would be written over what it is made of, or is to carry what it can't."""
    inputs = identities(map(Path, (*clip.files, *styles, *roles.files(settings))))
    for place in places:
        if identities([place]) & inputs:
            raise SettingsError(f"{quoted(place)} is one of the inputs", "give the output another name")
    for knob in roles.carried():
        if getattr(settings, knob):
            raise SettingsError(f"`{knob}` is set, but no film carries what a camera noted", "drop it", knob=knob)
