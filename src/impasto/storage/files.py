"""Files that appear whole or not at all, and words for what went wrong with them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

STEM_BYTES = 100
"""Of each of the two names that a picture's own is made of by default."""


def write_atomically(path: Path, write: Callable[[BinaryIO], object], *, overwrite: bool = True) -> None:
    """Let `write` fill a file beside `path`, then move it there: old or new, never torn; raises `OSError`.

    What is replaced hands on its permissions, and its owner and group where the system lets it.
    """
    path = Path(os.path.realpath(path))  # a link stays one, its target is replaced; resolve() fails at circles
    draft = path.with_name(f"{draft_name(path)}{os.urandom(8).hex()}.tmp")
    try:
        with draft.open("xb") as file:
            if overwrite:
                take_over_rights(path, draft)
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
        for draft in path.parent.glob(f"{draft_name(path)}*.tmp"):
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


def read_small(path: Path, most: int) -> bytes:
    """All of a regular file of at most so many bytes; raises `OSError`, also for a pipe, which could go on for ever."""
    kind = path.stat().st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise OSError(errno.EINVAL, "it is a device or a pipe")
    with path.open("rb") as file:
        if len(data := file.read(most + 1)) > most:
            raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
    return data


def reason(error: Exception) -> str:
    """What went wrong in a few words on one line, without errno, file name or full stop."""
    text = getattr(error, "strerror", None) or str(error)  # FFmpeg's errors have it too, and aren't all OSError
    return " ".join(text.split()).rstrip(".") or type(error).__name__


def quoted(path: Path) -> str:
    """A path for a message: in quotes, on one line whatever is in it."""
    return repr(str(path))


def take_over_rights(path: Path, draft: Path) -> None:
    """Give a draft the owner, the group and the permissions of the file that it will replace, if there is one."""
    try:
        replaced = path.stat()
    except OSError:
        return
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):  # only root may give files away
            os.chown(draft, replaced.st_uid, replaced.st_gid)
    with contextlib.suppress(OSError):  # some network drives know no permissions
        draft.chmod(stat.S_IMODE(replaced.st_mode))


def same_place(path: Path, other: Path) -> bool:
    """Whether two paths are, or would be, one file: by links, `..` and a file system that doesn't tell a from A."""
    with contextlib.suppress(OSError, ValueError):
        if os.path.samefile(path, other):  # noqa: PTH121 - hard links too, which resolve() can't see
            return True
    with contextlib.suppress(OSError, ValueError):  # ValueError: a name that no file can have
        one, two = (Path(os.path.realpath(each)) for each in (path, other))
        if one == two:
            return True
        folded = {unicodedata.normalize("NFC", each.name).casefold() for each in (one, two)}
        return len(folded) == 1 and one.parent.samefile(two.parent) and _folds_case(one.parent)
    return False


def identities(paths: Iterable[Path]) -> set[tuple[int, int]]:
    """Device and number of each file that exists: two paths of one file have the same, whatever links lead there."""
    found: set[tuple[int, int]] = set()
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            status = path.stat()
            found.add((status.st_dev, status.st_ino))
    return found


def stems(*paths: str | Path) -> str:
    """The names of files without what they end in, joined with '+', cut so that a name of two such fits anywhere."""
    return os.fsencode("+".join(Path(path).stem for path in paths))[:STEM_BYTES].decode(errors="ignore")


def longest_name(folder: Path) -> int:
    """How many bytes the name of a file in that folder may have."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):
        return 255


def _folds_case(folder: Path) -> bool:
    """Whether names in that folder are the same in capitals, judged by its own name."""
    while folder.name and folder.name.swapcase() == folder.name:
        folder = folder.parent
    with contextlib.suppress(OSError):
        return bool(folder.name) and folder.samefile(folder.with_name(folder.name.swapcase()))
    return False


def draft_name(path: Path) -> str:
    """How the names of all drafts of a file begin: short, however long the file's name is."""
    import hashlib  # which takes a while that `--help` needn't wait for

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
