"""Large arrays kept on disk from process to process: mapped into memory, and never trusted unchecked.

Each lies in a file of its own behind a header that says what it is and its SHA-256. A file that isn't whole, or is of
something else, counts as none, so whoever asks makes the array again; a folder that can't be written keeps nothing.
Nothing here imports torch, so that what is kept can be checked while torch is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from impasto.errors import SettingsError
from impasto.storage.files import move_into_place, quoted

FORMAT = 1
HEADER = 4096
"""Bytes before the array: it begins on a page, as mapping wants it."""

DRAFT, ABANDONED = ".tmp", 3600.0
"""What the names of drafts end in, and the seconds after which one is of a process that was killed."""

UNUSED_DAYS = 30.0
"""What hasn't been used for so long is removed when something else is kept."""


def cache_folder() -> Path:
    """Where impasto keeps what it can get again: IMPASTO_CACHE, or the place that the system has for that.

    Raises `SettingsError` where that is in the home of a user that there isn't.
    """
    import platformdirs

    folder = Path(os.environ.get("IMPASTO_CACHE") or platformdirs.user_cache_dir("impasto"))
    try:
        return folder.expanduser()
    except RuntimeError:
        raise SettingsError(
            f"The environment's IMPASTO_CACHE is {quoted(folder)}, whose user has no home", "give a whole path"
        ) from None


class ArrayCache:
    """The arrays that follow from one thing, such as a file of weights with this SHA-256, by name."""

    def __init__(self, origin: str, root: Path | None = None) -> None:
        self.origin = origin
        self.folder = (root or cache_folder() / "arrays") / origin[:16]
        with contextlib.suppress(OSError):
            os.utime(self.folder)

    def read(self, name: str, size: int) -> memoryview | None:
        """The bytes kept under a name, if there are `size` of them; writing to them changes no file. None for none."""
        path = self.folder / name
        checked = _checking.pop(path, None)
        if checked is None:
            checked = _Checked(path)
            checked.check()
        return checked.data(self._key(name), size)

    def write(self, name: str, data: memoryview) -> threading.Thread:
        """Keep bytes under a name, in a thread that the process's end waits for; `data` mustn't change any more."""
        writer = threading.Thread(target=self._write, args=(name, data), name=f"keeps {name}")
        writer.start()
        return writer

    def _write(self, name: str, data: memoryview) -> None:
        path = self.folder / name
        draft = path.with_name(f"{name}.{os.urandom(8).hex()}{DRAFT}")
        about = {"key": self._key(name), "size": data.nbytes, "sha256": hashlib.sha256(data).hexdigest()}
        with contextlib.suppress(OSError):  # then it is made again the next time
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True, exist_ok=True)
                _remove_unused(self.folder.parent)
            _remove_abandoned(self.folder)
            try:
                with draft.open("xb") as file:  # not synced: a torn file is noticed
                    file.write(json.dumps(about).encode().ljust(HEADER))
                    file.write(data)
                move_into_place(draft, path)
            finally:
                draft.unlink(missing_ok=True)

    def _key(self, name: str) -> str:
        return f"{FORMAT} {sys.byteorder} {self.origin} {name}"


class _Checked:
    """A file, mapped and checked once: by whoever asks for it, or by a thread before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done = threading.Event()
        self._about: dict[str, object] = {}
        self._mapped: mmap.mmap | None = None

    def check(self) -> None:
        """Map it, and compare it with its header."""
        try:
            with contextlib.suppress(OSError, ValueError), self.path.open("rb") as file:
                about = json.loads(file.read(HEADER))
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
                if hashlib.sha256(memoryview(mapped)[HEADER:]).hexdigest() == about["sha256"]:
                    self._about, self._mapped = about, mapped
        except (KeyError, TypeError):  # JSON of another kind
            pass
        finally:
            self._done.set()

    def data(self, key: str, size: int) -> memoryview | None:
        """The bytes, if they are what is looked for."""
        self._done.wait()
        if self._mapped is None or (self._about.get("key"), self._about.get("size")) != (key, size):
            return None
        whole = memoryview(self._mapped)[HEADER:]
        return whole if whole.nbytes == size else None


_checking: dict[Path, _Checked] = {}  # what is checked ahead, until it is read


def check_ahead(root: Path | None = None) -> threading.Thread:
    """Begin to map and check what was used last, in a thread: hashing leaves the interpreter free for other work."""
    found = [_Checked(path) for path in _used_last(root or cache_folder() / "arrays")]
    _checking.update({one.path: one for one in found})

    def check() -> None:
        for one in found:
            one.check()

    thread = threading.Thread(target=check, name="checks the cache", daemon=True)
    thread.start()
    return thread


def _used_last(root: Path) -> Iterator[Path]:
    """The files of the folder that was used last, but for drafts."""
    with contextlib.suppress(OSError, ValueError):
        folders = (folder for folder in root.iterdir() if folder.is_dir())
        last = max(folders, key=lambda folder: folder.stat().st_mtime)
        yield from sorted(path for path in last.iterdir() if path.suffix != DRAFT)


def _remove_abandoned(folder: Path) -> None:
    for draft in folder.glob(f"*{DRAFT}"):
        with contextlib.suppress(OSError):  # another process may have removed it
            if time.time() - draft.stat().st_mtime > ABANDONED:
                draft.unlink()


def _remove_unused(root: Path) -> None:
    for folder in root.iterdir():
        if time.time() - folder.stat().st_mtime > UNUSED_DAYS * 86400:
            shutil.rmtree(folder, ignore_errors=True)
