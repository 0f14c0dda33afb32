"""A group as a folder that `impasto batch` goes on with: its pictures, manifest, sheet and summary in one ZIP file."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from impasto.jobs.batch import manifest, summary
from impasto.jobs.batch.fingerprint import sha256_of
from impasto.jobs.batch.job import BatchJob, Wanted, placed
from impasto.jobs.batch.manifest import Manifest, Record, recorded
from impasto.settings.settings import Settings
from impasto.studio import reading, records
from impasto.studio.config import StudioConfig
from impasto.studio.images import safe_name
from impasto.studio.models import Group, Input, Job, State
from impasto.studio.runs import RunFiles

PIECE = 2**20
"""Bytes that are read at once."""


class Entry(NamedTuple):
    """A file of the folder: its name, and where its bytes are, or themselves."""

    name: str
    content: Path | bytes


def folder_name(group: Group) -> str:
    """What the folder is called: as the group is, where a folder may be."""
    title = group.title or f"{group.first} {group.pictures}".replace("×", "x")
    return safe_name(title.replace("/", "-").replace(".", "_"))


class Placed(NamedTuple):
    """A job with its place in the folder and what the manifest says of it, None where it says nothing."""

    job: Job
    place: BatchJob
    files: RunFiles
    record: Record | None

    @property
    def is_there(self) -> bool:
        """Whether its picture is in the folder."""
        return self.record is not None and self.record.sha256 is not None

    @property
    def is_done(self) -> bool:
        """Whether that is finished."""
        return self.record is not None and self.record.state is manifest.State.DONE

    @property
    def on_sheet(self) -> tuple[str, list[str]]:
        """Its file for the sheet, small where it can be, and the lines above it."""
        file = self.files.thumbnail if self.files.thumbnail.is_file() else self.files.picture
        labels = [f"{knob} {value}" for knob, value in self.job.labels.items()]
        return str(file), [*self.place.name.split(" in "), *labels]


def entries(config: StudioConfig, group: Group, jobs: Sequence[Job]) -> list[Entry]:
    """The files of the folder, of jobs in the order in which they were made, films left out. Blocks."""
    found = _placed(config, [job for job in jobs if job.film is None])
    records = [one.record for one in found]
    known = [record for record in records if record is not None]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noted = Manifest(folder)
        noted.records |= {record.output: record for record in known}
        noted.compact()
        painted, seconds = sum(one.is_done for one in found), sum(record.seconds for record in known)
        summary.write(folder, summary.summary(records, painted_now=painted, skipped=0, seconds=seconds))
        if pictures := [one.on_sheet for one in found if one.is_done]:
            reading.write_sheet(pictures, folder / summary.SHEET, folder_name(group), len(jobs), config.limits)
        own = [Entry(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
    return [*own, *(Entry(one.place.output.name, one.files.picture) for one in found if one.is_there)]


def _placed(config: StudioConfig, jobs: Sequence[Job]) -> list[Placed]:
    wanted = [Wanted(Path(safe_name(job.content.name)), tuple(map(_style, job.styles)), Settings()) for job in jobs]
    places = placed(wanted, Path(), ".png", (), lambda _: "")
    files = [RunFiles(config.data / "runs" / job.id, Path(), (), {}) for job in jobs]
    return [Placed(*one, _record(*one)) for one in zip(jobs, places, files, strict=True)]


def packed(folder: str, files: Sequence[Entry]) -> Iterator[bytes]:
    """The bytes of a ZIP file of a folder, as they come; pictures are packed already, so nothing is packed more."""
    sink = _Sink()
    with ZipFile(sink, "w", ZIP_STORED) as archive:
        for name, content in files:
            about = ZipInfo(f"{folder}/{name}")
            about.external_attr = 0o644 << 16
            if isinstance(content, bytes):
                archive.writestr(about, content)
                continue
            about.file_size = content.stat().st_size
            with archive.open(about, "w") as target, content.open("rb") as source:
                while piece := source.read(PIECE):
                    target.write(piece)
                    yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """What a ZIP file is written to, and taken from piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """It is, and nothing else."""
        return True

    def write(self, piece: Any, /) -> int:
        """Take a piece in."""
        self._pieces.append(bytes(piece))
        return len(piece)

    def taken(self) -> bytes:
        """What came since the last time."""
        found, self._pieces = b"".join(self._pieces), []
        return found


def _record(job: Job, place: BatchJob, files: RunFiles) -> Record | None:
    """What the manifest says of a job's picture: None of one that hasn't ended, or was called off."""
    noted = records.read(files.folder, files.picture.name)
    result: dict[str, Any]
    match job.state:
        case State.DONE | State.STOPPED:
            state = manifest.State.DONE if job.state is State.DONE else manifest.State.CUT_OFF
            try:
                result = {"state": state, "sha256": sha256_of(files.picture)}
            except OSError:
                return None
        case State.FAILED:
            result = {"state": manifest.State.FAILED, "error": "" if job.error is None else job.error.message}
        case _:
            return None
    content, styles = place.content.name, place.styles
    if noted is None:
        return recorded((content, styles), place.output.name, "", result)
    # As it was when it was painted, and as the studio knows it now.
    return replace(noted, content=content, styles=styles, output=place.output.name, **result)


def _style(style: Input) -> str:
    return style.swatch or safe_name(style.name)
