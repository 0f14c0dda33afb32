"""A painted film: its frames encoded at the times of the film's own, beside its sound and its subtitles."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import ImageError
from impasto.images import reading, writing
from impasto.images.size import Size
from impasto.jobs.video.animations import write_animation
from impasto.jobs.video.clip import ANIMATIONS, NUMBERED, STILLS, Clip, Kind, created, library, opened
from impasto.jobs.video.encoding import Encoder, Painted, format_of, try_container, try_film
from impasto.jobs.video.order import PUT_OUT
from impasto.jobs.video.remuxing import Remuxed
from impasto.storage.files import draft_name, longest_name, move_into_place, quoted, reason, take_over_rights

FOLDER = ".film"
"""What the name of a work folder ends in."""


@dataclass(frozen=True)
class Target:
    """Where a film goes: a container, an animation, or pictures in a folder or of a numbered name."""

    path: Path
    kind: Kind

    @property
    def folder(self) -> Path:
        """The folder of what is being worked on, beside it: a.mp4.film."""
        path = self.path if self.path.name not in ("", "..") else Path(os.path.abspath(self.path))  # noqa: PTH100
        name = NUMBERED.sub("", path.name) if self.kind is Kind.SEQUENCE else path.name
        return path.with_name(f"{name or 'frames'}{FOLDER}")

    @property
    def even(self) -> bool:
        """Whether sides have to be even, as colours are told for four pixels at a time."""
        return self.kind is Kind.CONTAINER


def target_of(output: str) -> Target:
    """Where a film of that name goes; raises `ImageError` for what can't be written."""
    path = Path(output)
    suffix = path.suffix.lower()
    if not output or not Path(os.path.abspath(output)).name:  # noqa: PTH100 - '..' has a name too
        raise ImageError(f"{output!r} is no name for a film", "name a film, or a folder for its pictures")
    length, room = len(os.fsencode(path.name + FOLDER)), longest_name(path.absolute().parent)
    if length > room:
        raise ImageError(
            f"{quoted(path)} has a name of {length - len(FOLDER)} bytes, more than the {room - len(FOLDER)} that a "
            "film's can have",
            "give a shorter one",
        )
    numbered = NUMBERED.search(path.name)
    if output.endswith(("/", "\\")) or path.is_dir() or numbered or not suffix:
        if numbered and suffix not in writing.FORMATS:
            raise ImageError(
                f"{quoted(path)} ends in {path.suffix!r}, not in a known format", f"use {', '.join(writing.FORMATS)}"
            )
        if numbered and (length := _numbered_length(path, numbered)) > room:
            raise ImageError(
                f"{quoted(path)} makes names of {length} bytes, more than the {room} that a picture's can have",
                "give a shorter one, or fewer digits, as in %04d",
            )
        return _checked(Target(path, Kind.SEQUENCE))
    if suffix in STILLS and suffix not in ANIMATIONS:
        raise ImageError(f"{quoted(path)} can hold one picture only", "number its frames, as in frame_%04d.png")
    return _checked(Target(path, Kind.ANIMATION if suffix in ANIMATIONS else Kind.CONTAINER))


def _numbered_length(path: Path, numbered: re.Match[str]) -> int:
    """How many bytes the names of a sequence's pictures have, up to a million of them."""
    digits = max(6, int(numbered[0].strip("%d") or 0))
    return len(os.fsencode(path.name)) - len(numbered[0]) + digits


def _checked(target: Target) -> Target:
    path = target.path
    if target.kind is Kind.CONTAINER:
        try_container(path)
    if not path.absolute().parent.is_dir():
        raise ImageError(f"{quoted(path)} is in a folder that doesn't exist", f"make {quoted(path.parent)} first")
    return target


def check_free(target: Target) -> None:
    """Raise `ImageError` where a film would replace what is there, but for what it put there itself."""
    there = [place for place in places_of(target) if place.exists() and place.name not in _put_out(target)]
    if there:
        raise ImageError(
            f"{quoted(there[0])} already exists",
            "choose another name, or set `overwrite`",
            knob="overwrite",
            value=False,
        )


def check_takes(target: Target, clip: Clip, size: Size, painted: Painted) -> None:
    """Raise `ImageError` for a container that can't hold a film of such times, size and sound, before it is painted."""
    if target.kind is Kind.CONTAINER:
        try_film(target.path, clip, size, painted)


def sequence_of(target: Target) -> list[Path]:
    """The pictures that are there already where a sequence goes."""
    path = target.path
    if NUMBERED.search(path.name):
        wanted = re.compile(NUMBERED.sub(r"\\d+", re.escape(path.name), count=1))
        return sorted(f for f in path.absolute().parent.iterdir() if wanted.fullmatch(f.name))
    return sorted(f for f in path.iterdir() if f.suffix.lower() in STILLS) if path.is_dir() else []


def places_of(target: Target) -> list[Path]:
    """The files that may be replaced where a film goes: the film itself, or the pictures that are there."""
    return sequence_of(target) if target.kind is Kind.SEQUENCE else [target.path]


def write(
    painted: Painted, clip: Clip, target: Target, *, sound: bool = True, overwrite: bool = False
) -> Iterator[str]:
    """Write a film, old or new but never torn; tells what of the original couldn't come along. Raises `ImageError`."""
    try:
        match target.kind:
            case Kind.SEQUENCE:
                yield from _write_pictures(painted, target, overwrite)
            case Kind.ANIMATION:
                write_animation(target.path, painted.pictures, painted.seconds, overwrite=overwrite)
            case Kind.CONTAINER:
                yield from _write_container(painted, clip, target.path, sound, overwrite)
        if sound and target.kind is not Kind.CONTAINER and clip.sound:
            yield f"{quoted(target.path)} can't hold sound or subtitles: they are left out."
    except (library().FFmpegError, OSError, ValueError) as error:
        fault = f"{quoted(target.path)} can't be written ({reason(error)})"
        raise ImageError(fault, "make room, or choose another container") from error


def _write_pictures(painted: Painted, target: Target, overwrite: bool) -> Iterator[str]:
    """Each frame as a picture; tells of pictures that are there and aren't of this film."""
    path = target.path
    numbered = NUMBERED.search(path.name)
    if not numbered:
        path.mkdir(exist_ok=True)
    before, names = _put_out(target), set[str]()
    with (target.folder / PUT_OUT).open("a", encoding="utf-8") as noted:
        for number, picture in enumerate(painted.pictures, start=1):
            name = path.name.replace(numbered[0], numbered[0] % number) if numbered else f"frame_{number:05}.png"
            place = path.with_name(name) if numbered else path / name
            image = reading.load(picture)
            names.add(name)
            noted.write(json.dumps(name) + "\n")
            noted.flush()
            writing.save(place, image.pixels, alpha=image.alpha, overwrite=overwrite or name in before)
    if others := [place for place in sequence_of(target) if place.name not in names]:
        yield f"{quoted(others[0])} and all {len(others)} such pictures were there before, and aren't of this film."


def _put_out(target: Target) -> set[str]:
    """The names of a sequence's pictures that a run which didn't end has begun to write: they are the film's own."""
    try:
        lines = (target.folder / PUT_OUT).read_text(encoding="utf-8").split("\n")
    except OSError:
        return set()
    return {json.loads(line) for line in lines[:-1]}  # what comes last is empty, or was cut


def _write_container(painted: Painted, clip: Clip, path: Path, sound: bool, overwrite: bool) -> Iterator[str]:
    place = Path(os.path.realpath(path))  # a link stays one, its target is replaced
    draft = place.with_name(f"{draft_name(place)}film{path.suffix}")  # one for each film: a killed one is replaced
    try:
        with ExitStack() as stack:
            out = stack.enter_context(created(str(draft), format_of(path)))
            encoder = Encoder(out, painted, clip)
            source = stack.enter_context(opened(clip.path)) if sound and clip.sound else None
            others = Remuxed(source, out, painted.times[0], painted.end)
            yield from (f"{quoted(path)} can't hold {what}: it is left out." for what in others.refused)
            rest = others.packets()
            waiting = next(rest, None)
            for time, packets in encoder.packets():
                while waiting is not None and waiting[0] <= time:
                    out.mux(waiting[1])
                    waiting = next(rest, None)
                out.mux(packets)
            while waiting is not None:
                out.mux(waiting[1])
                waiting = next(rest, None)
        with draft.open("rb+") as file:
            take_over_rights(place, draft)
            os.fsync(file.fileno())
        move_into_place(draft, place, overwrite=overwrite)
    finally:
        draft.unlink(missing_ok=True)
