"""Watching folders for pictures that are put there, each taken only when it is written whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.jobs.batch import job

SETTLED = 2.0
"""Seconds for which a file must have been left alone before it is taken."""

LOOK_EVERY = 0.5
"""Seconds between two looks at what is being written, and two questions whether to stop."""


class Watch:
    """Files, folders and patterns that are watched; raises `ImpastoError` where watchfiles is missing."""

    def __init__(self, watched: Sequence[str]) -> None:
        try:
            import watchfiles
        except ImportError:
            raise ImpastoError("watchfiles is not installed", "pip install 'impasto[watch]'") from None
        self._watch = watchfiles.watch
        self._watched = watched
        self._seen: dict[Path, tuple[int, float]] | None = None

    def wait(self, stopped: Callable[[], bool]) -> bool:
        """Wait until there is something else than the last time and nothing is written any more; False if `stopped`.

        What has come since the last time is there at once. A file that is still written to changes in size or time.
        """
        while not stopped():
            now = self._files()
            if now != self._seen:
                if self._is_settled(now):
                    self._seen = now
                    return True
                time.sleep(LOOK_EVERY)
                continue
            for changes in self._watch(
                *{_folder(Path(text)) for text in self._watched},
                rust_timeout=round(1000 * LOOK_EVERY),
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                if changes or stopped():
                    break
        return False

    def _is_settled(self, now: dict[Path, tuple[int, float]]) -> bool:
        new = [file for file, state in now.items() if (self._seen or {}).get(file) != state]
        if any(time.time() - now[file][1] < SETTLED for file in new):
            return False
        time.sleep(LOOK_EVERY)  # a copy that hands on an old file's time shows by its size
        return self._files() == now

    def _files(self) -> dict[Path, tuple[int, float]]:
        """Size and time of each file, the later one of when it was written and when it came here."""
        found: dict[Path, tuple[int, float]] = {}
        for file in job.contents(self._watched, may_be_empty=True):
            try:
                state = file.stat()
            except OSError:  # gone already
                continue
            found[file] = state.st_size, max(state.st_mtime, state.st_ctime)
        return found


def _folder(path: Path) -> Path:
    """The deepest folder at or above a path or a pattern that there is."""
    while not path.is_dir():
        path = path.parent
    return path
