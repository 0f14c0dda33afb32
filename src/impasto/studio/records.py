"""What became of a job's picture as `impasto batch` notes it: a manifest of one picture in the run's folder.

It is written by the process that paints, for only that one knows what the picture was really made with.
"""

from __future__ import annotations

import contextlib
from importlib.metadata import version
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.jobs.batch.fingerprint import Fingerprints, sha256_of
from impasto.jobs.batch.job import BatchJob
from impasto.jobs.batch.manifest import Manifest, Record, State, recorded
from impasto.settings.settings import Settings
from impasto.studio.runs import RunFiles


def batch_job(files: RunFiles) -> BatchJob:
    """A job of the studio as one of a batch."""
    return BatchJob(files.content, files.styles, Settings(**files.settings), files.picture)


def begin(files: RunFiles) -> None:
    """Note that a picture is begun anew; a full disk costs the record alone."""
    with contextlib.suppress(ImpastoError):
        Manifest(files.folder).add(_record(files, Fingerprints().of(batch_job(files)), {"state": State.CUT_OFF}))


def finish(files: RunFiles, *, loss: float, seconds: float, changed: bool) -> None:
    """Note that it is done; no batch would paint the same where knobs were `changed` on the way.

    `seconds` are those of all starts together.
    """
    before = read(files.folder, files.picture.name)
    same = before is not None and before.version == version("impasto") and not changed
    result = {"state": State.DONE, "loss": loss, "seconds": round(seconds, 3)}
    with contextlib.suppress(ImpastoError, OSError):
        digest = sha256_of(files.picture)
        key = before.key if before is not None and same else ""
        Manifest(files.folder).add(_record(files, key, result | {"sha256": digest}))


def read(folder: Path, picture: str) -> Record | None:
    """What is noted of a run's picture; None where nothing is, or nothing that can be read."""
    with contextlib.suppress(ImpastoError):
        return Manifest(folder).records.get(picture)
    return None


def _record(files: RunFiles, key: str, result: dict) -> Record:
    styles = tuple(Path(style).name for style in files.styles)
    return recorded((files.content.name, styles), files.picture.name, key, result)
