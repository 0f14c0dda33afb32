"""Files that appear whole or not at all, and words for what went wrong with them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool = True) -> None:
    """Let `write` fill a file beside `path`, then move it there: old or new, never torn; raises `OSError`."""
    path = Path(os.path.realpath(path))  # a link stays one, its target is replaced; resolve() fails at circles
    draft = path.with_name(f"{_draft_name(path)}{secrets.token_hex(8)}.tmp")
    try:
        with draft.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        move_into_place(draft, path, overwrite=overwrite)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(path: Path) -> None:
    """Remove what a killed process left of its `write_atomically(path, …)`; for whoever alone may write there."""
    path = Path(os.path.realpath(path))
    with contextlib.suppress(OSError):
        for draft in path.parent.glob(f"{_draft_name(path)}*.tmp"):
            draft.unlink(missing_ok=True)


def move_into_place(draft: Path, path: Path, *, overwrite: bool = True) -> None:
    """Give a synced file its final name in the same folder, and sync that too; raises `OSError`."""
    if overwrite:
        draft.replace(path)
    else:
        _move_without_overwriting(draft, path)
    with contextlib.suppress(OSError):  # Windows and some network drives can't: the file itself is safe already
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def reason(error: Exception) -> str:
    """What went wrong in a few words on one line, without errno, file name or full stop."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__


def quoted(path: Path) -> str:
    """A path for a message: in quotes, on one line whatever is in it."""
    return repr(str(path))


def _draft_name(path: Path) -> str:
    """How the names of all drafts of a file begin: short, however long the file's name is."""
    return f".impasto-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}-"


def _move_without_overwriting(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)  # unlike a rename, fails where the name is taken
    except FileExistsError:
        raise
    except OSError:  # no hard links on FAT and some network drives: here a moment remains in which a race can be lost
        if path.exists():
            raise FileExistsError(str(path)) from None
        draft.replace(path)
    else:
        draft.unlink()
