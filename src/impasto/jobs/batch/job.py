"""The jobs of a batch: contents from files, folders and patterns, with styles, settings and a place for the picture."""

from __future__ import annotations

import glob
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from impasto.errors import ImageError, SettingsError
from impasto.jobs.batch.manifest import Record
from impasto.settings.settings import Settings
from impasto.storage.files import quoted, stems

READABLE = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif")
"""Names of files that a folder is searched for; a file that is named itself may end in anything."""


@dataclass(frozen=True)
class BatchJob:
    """A picture to be painted: of a file, in styles that are files or swatches, to a file."""

    content: Path
    styles: tuple[str, ...]
    settings: Settings
    output: Path

    @property
    def name(self) -> str:
        """'photo.jpg in dots'."""
        return f"{self.content.name} in {' + '.join(Path(style).name for style in self.styles)}"

    @property
    def inputs(self) -> tuple[str, tuple[str, ...]]:
        """What makes it another picture than those beside it: content and styles by whole paths."""
        return str(self.content.absolute()), tuple(absolute(style) for style in self.styles)

    def with_threads(self, threads: int) -> BatchJob:
        """The same with so many threads, where none are set."""
        if self.settings.threads != "auto":
            return self
        return replace(self, settings=self.settings.model_copy(update={"threads": threads}))


@dataclass(frozen=True)
class Wanted:
    """A picture that is asked for, before it has a place; `output` is a name within the batch's folder, if one is."""

    content: Path
    styles: tuple[str, ...]
    settings: Settings
    output: str | None = None


def absolute(name: str) -> str:
    """The whole path of a file that is there; the name of a swatch stays."""
    return str(Path(name).absolute()) if Path(name).exists() else name


def contents(given: Iterable[str], *, may_be_empty: bool = False) -> list[Path]:
    """The files that paths, folders and patterns stand for, in order, each once; raises `ImageError`.

    A folder stands for the pictures in it, without those in folders of its own ('photos/**/*.jpg' has them); names that
    begin with a dot are left out. Nothing at all is an error, unless it `may_be_empty`.
    """
    found: dict[Path, None] = {}
    for text in given:
        path = Path(text)
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if is_picture(file))
        elif path.exists() or not glob.has_magic(text):
            files = [path]  # one that isn't there fails alone, later
        else:
            names = glob.glob(text, recursive=True)  # noqa: PTH207 - a pattern may begin at the root
            files = sorted(Path(name) for name in names if Path(name).is_file())
        if not files and not may_be_empty:
            what = "is a folder without pictures" if path.is_dir() else "fits no file"
            raise ImageError(f"{quoted(path)} {what}", "check the path", knob="contents", value=text)
        found |= dict.fromkeys(files)
    return list(found)


def is_picture(file: Path) -> bool:
    """Whether a file in a folder is taken for a picture, by its name."""
    return not file.name.startswith(".") and file.suffix.lower() in READABLE and file.is_file()


def pairs(files: Sequence[Path], styles: Sequence[str], settings: Settings, *, zipped: bool) -> list[Wanted]:
    """Every content in every style, or the first in the first and so on; raises `SettingsError`."""
    if not styles:
        raise SettingsError("No style was given", "name at least one with `styles`", knob="styles")
    if not zipped:
        return [Wanted(file, (style,), settings) for file in files for style in styles]
    if len(files) != len(styles):
        raise SettingsError(
            f"`zip` takes as many styles as contents, but there are {len(files)} contents and {len(styles)} styles",
            "name as many of both, or leave `zip` out",
            knob="zip",
            value=True,
        )
    return [Wanted(file, (style,), settings) for file, style in zip(files, styles, strict=True)]


def placed(
    wanted: Iterable[Wanted], folder: Path, suffix: str, before: Collection[Record], key: Callable[[BatchJob], str]
) -> list[BatchJob]:
    """The jobs with their places in a folder: CONTENT_STYLE.png, with a number behind it where that is taken.

    What had a name `before` keeps it, whatever other pictures there are now: by the paths of its inputs, or by its
    `key` where these lie elsewhere now. Raises `SettingsError` for two pictures that are to have one name.
    """
    wanted = list(wanted)
    taken = {one.output.casefold() for one in wanted if one.output is not None}
    names = _Names(before, [BatchJob(one.content, one.styles, one.settings, folder) for one in wanted], key)
    jobs: list[BatchJob] = []
    given: set[str] = set()
    for one in wanted:
        job = BatchJob(one.content, one.styles, one.settings, folder)
        if one.output is not None:
            if one.output.casefold() in given:
                raise SettingsError(f"{one.output!r} would be written twice", "give each picture its own name")
            given.add(one.output.casefold())
            name = one.output
        else:
            known = names.of(job)
            name = known if known and known.casefold() not in taken else _free(job, suffix, taken, names.all)
            taken.add(name.casefold())
        jobs.append(BatchJob(one.content, one.styles, one.settings, folder / name))
    return jobs


class _Names:
    """The names that pictures had before: by their inputs, then by the keys of those whose inputs nobody names now."""

    def __init__(self, before: Collection[Record], jobs: Sequence[BatchJob], key: Callable[[BatchJob], str]) -> None:
        asked = {job.inputs for job in jobs}
        self.all = [record.output for record in before]
        self._by_inputs = {record.inputs: record.output for record in before}
        self._by_key: dict[str, list[str]] = {}
        self._key = key
        for record in before:
            if record.inputs not in asked and record.key:
                self._by_key.setdefault(record.key, []).append(record.output)

    def of(self, job: BatchJob) -> str | None:
        """The name of a job's picture, given once; None where it has none yet."""
        if (known := self._by_inputs.get(job.inputs)) is not None or not self._by_key:
            return known
        same = self._by_key.get(self._key(job), [])
        return same.pop(0) if same else None


def _free(job: BatchJob, suffix: str, taken: set[str], before: Collection[str]) -> str:
    stem = f"{stems(job.content)}_{stems(*job.styles)}"
    avoided = taken | {name.casefold() for name in before}
    number, name = 1, stem + suffix
    while name.casefold() in avoided:
        number += 1
        name = f"{stem}-{number}{suffix}"
    return name
