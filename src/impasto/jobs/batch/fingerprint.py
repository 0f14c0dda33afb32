"""Whether a picture that is there is the one that is asked for: by what is in its inputs, settings and version."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from impasto.jobs.batch.job import BatchJob
from impasto.settings import roles
from impasto.settings.knob import Group

HOW = frozenset(
    {
        *(knob for knob in roles.settled() if roles.of(knob).group in (Group.NETWORK, Group.MEMORY)),
        *(knob for knob in roles.affecting(roles.Affects.RESOURCES) if not roles.of(knob).carried),
    }
)
"""Knobs that say by what means a picture is painted: it needn't be painted again for another machine or more memory."""


class Fingerprints:
    """Keys of jobs; each file is read once, as long as its size and time stay the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def of(self, job: BatchJob) -> str:
        """A SHA-256 over the contents of all inputs, the settings and the version."""
        settings = job.settings.model_dump(mode="json")
        made_of = {
            "version": version("impasto"),
            "settings": {
                knob: roles.with_files(knob, value, self.file) for knob, value in settings.items() if knob not in HOW
            },
            "content": self.file(str(job.content)),
            "styles": [self.file(style) if Path(style).exists() else style for style in job.styles],
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def file(self, path: str) -> str:
        """The SHA-256 of a file; the reason as a text where it can't be read, which painting it will say again."""
        try:
            found = Path(path).stat()
            key = (path, found.st_size, found.st_mtime_ns)
            if key not in self._known:
                self._known[key] = sha256_of(Path(path))
            return self._known[key]
        except OSError as error:
            return f"unread: {error.strerror}"


def sha256_of(path: Path) -> str:
    """Of a regular file's bytes; raises `OSError`."""
    if not path.is_file():
        raise OSError(22, "it is no regular file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
