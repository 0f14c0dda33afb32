"""What goes to the terminal: results to stdout, everything else to stderr, and nothing that would steer it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.storage.files import reason


def visible(text: str) -> str:
    """A text on one line, in which what would steer a terminal, or lead its reader astray, is written out: \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tell(line: str = "") -> None:
    """A line of the result, on stdout, made `visible`; raises `ImpastoError` where it can't be written."""
    _write(visible(line))


def tell_path(path: Path) -> None:
    """A path as the result, for a program that reads stdout byte for byte as it is; raises `ImpastoError`."""
    _write(visible(str(path)) if sys.stdout.isatty() else str(path))


def _write(text: str) -> None:
    with _stdout():
        sys.stdout.write(text + "\n")


def flush() -> None:
    """Bring the result out, so that a full disk is noticed; raises `ImpastoError`."""
    with _stdout():
        sys.stdout.flush()


@contextmanager
def _stdout() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_stdout()
        raise ImpastoError(f"The result can't be written to stdout ({reason(error)})", "send it elsewhere") from None


def tell_json(result: Mapping[str, Any]) -> None:
    """The result as one JSON object, on stdout."""
    import json

    _write(json.dumps(result, indent=2, allow_nan=False, default=str))


def note(sentence: str) -> None:
    """What isn't the result, on stderr, made `visible` behind the program's name. Where nobody listens, nothing."""
    with suppress(OSError):  # a terminal that has gone away must not end what it was to hear of
        sys.stderr.write(f"impasto: {visible(sentence)}\n")
        sys.stderr.flush()


def prepare() -> None:
    """Let stdout take file names that aren't valid text, and signs that its encoding doesn't have."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell, as in `impasto … >&-`
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    encoding = sys.stdout.encoding.lower().replace("-", "")
    # A path that isn't UTF-8 leaves as the bytes it came as; other encodings get '?' for '×'.
    sys.stdout.reconfigure(errors="surrogateescape" if encoding == "utf8" else "replace")  # pyright: ignore[reportAttributeAccessIssue]


def abandon_stdout() -> None:
    """Send what is left for stdout nowhere, so that Python's own flush at exit doesn't fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def duration(seconds: float) -> str:
    """'0.8 s', '12 s', '3 min 05 s' or '2 h 10 min'."""
    whole = round(seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
