"""Uploaded pictures are read in a process of their own, with limits: what breaks there breaks nothing else.

The reader is the one that paints go by, so that what is taken here can be painted.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from impasto.errors import ImageError, ImpastoError
from impasto.studio.config import Limits

VIEW_SIDE, THUMBNAIL_SIDE = 1600, 320
"""Longest sides in pixels of what a page shows of an upload."""


def warm() -> None:
    """Start the process that the others are forked from, which loads torch while nobody waits for it."""
    if sys.platform != "win32":
        from multiprocessing import forkserver

        _context()
        forkserver.ensure_running()


def read_upload(file: Path, folder: Path, limits: Limits, *, films: bool = False) -> dict[str, Any]:
    """Width, height and recipe (as JSON, or None) of a picture; view.webp and thumbnail.webp in `folder`.

    Where it may be one of the `films`, also what that has: then they are of its first frame, as is still.png.

    Raises `ImageError` where it is no picture, too large, or takes too long or too much memory to read. Blocks.
    """
    film = (limits.film_frames, limits.film_pixels) if films else None
    return _apart(_read, limits, str(file), str(folder), limits.pixels, film)


def convert(picture: Path, target: Path, limits: Limits) -> None:
    """Write a picture that impasto painted in another format, with its recipe; raises `ImpastoError`. Blocks."""
    _apart(_convert, limits, str(picture), str(target))


def write_sheet(
    pictures: Sequence[tuple[str, Sequence[str]]], target: Path, name: str, of: int, limits: Limits
) -> None:
    """Write a contact sheet of painted pictures: see `report.sheet_of_files`; raises `ImpastoError`. Blocks."""
    _apart(_write_sheet, limits, pictures, str(target), name, of)


def write_original(film: Path, size: tuple[int, int], time: Fraction, target: Path, limits: Limits) -> None:
    """A film's frame that is shown at a time, at the (h, w) at which it is painted; raises `ImpastoError`. Blocks."""
    _apart(_write_original, limits, str(film), size, time, str(target))


def _context() -> SpawnContext | ForkServerContext:
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["impasto.studio.reading_child"])
    return context


def _apart(task: Callable[..., Any], limits: Limits, *arguments: Any) -> Any:
    """What a task returns that runs in a process of its own, or the `ImpastoError` that it raises."""
    context = _context()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_limited, args=(theirs, task, limits.decoding_bytes, limits.decoding_seconds, arguments), daemon=True
    )
    process.start()
    theirs.close()
    try:
        # The first one waits for the server of forks to load torch.
        deadline = time.monotonic() + limits.decoding_seconds + 30
        if not ours.poll(max(0.0, deadline - time.monotonic())):
            raise ImageError("The picture takes too long to read", "use a smaller one, or save it again as PNG")
        outcome, value = ours.recv()
    except EOFError:
        raise ImageError(
            "The picture can't be read within the studio's limits of memory and time",
            "use a smaller one, or save it again as PNG",
        ) from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if outcome == "error":
        raise value
    return value


def _limited(pipe: Any, task: Callable[..., Any], memory: int, seconds: int, arguments: tuple[Any, ...]) -> None:
    """Run in the child: do the task under limits and send what came of it."""
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(OSError, ValueError):
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            held = pages * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + memory, held + memory))
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        pipe.send(("done", task(*arguments)))
    except ImpastoError as error:
        pipe.send(("error", ImageError(error.fault, error.cure, knob=error.knob)))
    except MemoryError:
        pipe.send(("error", ImageError("The picture takes too much memory to read", "use a smaller one")))


def _read(file: str, folder: str, pixels: int, film: tuple[int, int] | None) -> dict[str, Any]:
    from impasto.studio.films.reading import FilmLimits
    from impasto.studio.reading_child import read

    limits = None if film is None else FilmLimits(*film)
    return read(Path(file), Path(folder), pixels, (VIEW_SIDE, THUMBNAIL_SIDE), limits)


def _write_sheet(pictures: Sequence[tuple[str, Sequence[str]]], target: str, name: str, of: int) -> None:
    from impasto.studio.reading_child import write_sheet

    write_sheet(pictures, Path(target), name, of)


def _write_original(film: str, size: tuple[int, int], time: Fraction, target: str) -> None:
    from impasto.studio.films.reading import write_original

    write_original(Path(film), size, time, Path(target))


def _convert(picture: str, target: str) -> None:
    from impasto.studio.reading_child import convert

    convert(Path(picture), Path(target))
