"""The files a run will write: their names, and the checks that they can be written, made before the work."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import ImageError, ImpastoError, SettingsError
from impasto.settings import roles
from impasto.settings.settings import Settings
from impasto.storage.files import longest_name, quoted, reason, same_place, stems

if TYPE_CHECKING:
    from impasto.run.plan import RunPlan
    from impasto.settings.grid import Cell

FIGURES = (".png", ".pdf", ".svg")


@dataclass(frozen=True)
class Outputs:
    """The picture of a run, its snapshots by epoch, and the figure with its measures, `overwrite` or not.

    Finished pictures carry their recipe, or not. The run's state is saved `every` so many seconds: None leaves that to
    `Checkpointer`, ∞ means never. A run that is `resumed` has one.
    """

    picture: Path
    snapshots: Mapping[int, Path] = field(default_factory=dict)
    figure: Path | None = None
    overwrite: bool = False
    with_recipe: bool = True
    every: float | None = None
    resumed: bool = False

    @property
    def folder(self) -> Path:
        """Where the run's state is saved: a.png.run beside a.png."""
        return self.picture.with_name(self.picture.name + ".run")

    @property
    def unfinished(self) -> bool:
        """Whether a state is saved there to go on from; a folder whose name would be too long has none."""
        from impasto.jobs.checkpointer import STATE

        with contextlib.suppress(OSError):
            return (self.folder / STATE).exists()
        return False

    def paths(self) -> list[Path]:
        """All of them, the picture first."""
        report = [] if self.figure is None else [self.figure, measures_of(self.figure)]
        return [self.picture, *self.snapshots.values(), *report]

    def check(self, settings: Settings, inputs: Iterable[Path]) -> None:
        """Raise `SettingsError` or `ImageError` for whatever can be known to fail later."""
        from impasto.images import writing

        paths = self.paths()
        for number, path in enumerate(paths):
            if any(same_place(path, other) for other in paths[:number]):
                raise SettingsError(f"{quoted(path)} would be written twice", "give each output its own name")
            if any(same_place(path, source) for source in inputs):
                raise SettingsError(f"{quoted(path)} is one of the inputs", "give the output another name")
        for path in [*paths, *([] if self.every == math.inf else [self.folder])]:
            length, room = len(os.fsencode(path.name)), longest_name(path.absolute().parent)
            if length > room:
                raise ImageError(
                    f"{quoted(path)} has a name of {length} bytes, more than the {room} that a file's name can have",
                    "give a shorter one with `output`",
                    knob="output",
                    value=path,
                )
        if not (self.overwrite or self.resumed) and self.unfinished:
            raise ImageError(
                f"{quoted(self.folder)} holds an unfinished run",
                f"go on with {resume_command(self.folder)}, or start again with `overwrite`",
            )
        for path in (self.picture, *self.snapshots.values()):
            writing.check_writable(path, self.overwrite)
        longest = writing.FORMATS[self.picture.suffix.lower()].longest
        if (settings.longest_side or 0) > longest:
            raise ImageError(
                f"{quoted(self.picture)} can hold {longest} pixels a side, fewer than `size` {settings.size}",
                "save it as .png or .tif",
                knob="size",
                value=settings.size,
            )
        if self.figure is not None:
            if self.figure.suffix.lower() not in FIGURES:
                raise ImageError(f"{quoted(self.figure)} is not a figure's name", f"end it in {', '.join(FIGURES)}")
            _check_file(self.figure, self.overwrite)
            _check_file(measures_of(self.figure), self.overwrite)

    def check_plan(self, plan: RunPlan) -> None:
        """Raise `ImageError` where a picture that is planned so couldn't be written at the end."""
        from impasto.images import writing

        for path in (self.picture, *self.snapshots.values()):
            writing.check_holds(path, plan.size)
            height, width = plan.size
            streamed = writing.FORMATS[path.suffix.lower()] is writing.TIFF
            if plan.memory.folder is not None and height * width > writing.PRINT_PIXELS and not streamed:
                raise ImageError(
                    f"{quoted(path)} would be held in memory whole, and {width}×{height} px are painted in files since "
                    "memory is short",
                    "save it as .tif",
                )


class SheetOutputs:
    """The files of a sheet: their names, and the checks that they can be written, made before the work."""

    def __init__(self, sheet: Path, cells: Sequence[Cell], folder: Path | None, overwrite: bool) -> None:
        self.sheet, self.folder, self.overwrite = sheet, folder, overwrite
        self.pictures: list[Path] = []
        if folder is not None:
            digits = len(str(len(cells)))
            names = [f"{n:0{digits}}_{_file_name(cell.labels)}.png" for n, cell in enumerate(cells, start=1)]
            self.pictures = [folder / name for name in names]

    def check(self, inputs: Sequence[Path]) -> None:
        """Raise `SettingsError` or `ImageError` for whatever can be known to fail later; makes the folder."""
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ImpastoError(f"{quoted(self.folder)} can't be made ({reason(error)})", "choose another") from None
        everything = Outputs(self.sheet, dict(enumerate(self.pictures)), overwrite=self.overwrite)
        everything.check(Settings(), inputs)


def check_strip(strip: Path, others: Iterable[str], *, overwrite: bool) -> None:
    """Raise `SettingsError` or `ImageError` for a sheet of a film that is another file of it, or can't be written."""
    from impasto.images import writing

    if any(same_place(strip, Path(other)) for other in others):
        raise SettingsError(f"{quoted(strip)} is the film, or one of the inputs", "give the sheet its own name")
    writing.check_writable(strip, overwrite)


def check_no_film(run: Path) -> None:
    """Raise `ImageError` for a film, which another command goes on with."""
    folder = run if run.suffix == ".film" else run.with_name(run.name + ".film")
    if folder.is_dir():
        from impasto.jobs.video.order import WorkFolder

        if WorkFolder(folder).is_ours:
            raise ImageError(
                f"{quoted(folder)} is an unfinished film's", "give its `impasto video` command again: it goes on"
            )


def inputs(pictures: Iterable[str], settings: Settings, config: Path | None = None) -> list[Path]:
    """The files that a run reads, which no output may replace."""
    return [*map(Path, (*pictures, *roles.files(settings))), *([] if config is None else [config])]


def resume_command(folder: Path) -> str:
    """What to type to go on with the run in a folder."""
    return f"impasto resume {shlex.quote(str(folder))}"


def parse_every(text: str) -> float | None:
    """'auto' -> None, 'off' -> ∞, '30' -> 30 seconds; raises `SettingsError`."""
    named: dict[str, float | None] = {"auto": None, "off": math.inf}
    if text in named:
        return named[text]
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        fault = f"`checkpoint` is {text!r} but should be 'auto', 'off' or a number of seconds"
        raise SettingsError(fault, knob="checkpoint", value=text)
    return seconds


def placed(output: str | None, usual: Path) -> Path:
    """Where a picture goes: to the output that was asked for, under its `usual` name where that is a folder.

    What ends in a slash is a folder, which is made if need be; raises `ImageError` where it can't be.
    """
    if output is None:
        return usual
    if not output:
        raise ImageError(
            "`output` is empty", "name a picture or a folder, or leave it out", knob="output", value=output
        )
    if not output.endswith(("/", os.sep)) and not os.path.isdir(output):  # noqa: PTH112 - for it no name is too long
        return Path(output)
    try:
        Path(output).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise ImageError(f"{quoted(Path(output))} can't be made ({reason(error)})", "choose another folder") from None
    return Path(output) / usual.name


def default_picture(content: Path, styles: Sequence[str]) -> Path:
    """CONTENT_STYLE_impasto.png beside the content, several styles joined with '+'."""
    return content.with_name(f"{stems(content)}_{stems(*styles)}_impasto.png")


def measures_of(figure: Path) -> Path:
    """The JSON file beside a figure."""
    return figure.with_suffix(".json")


def snapshot_paths(picture: Path, epochs: Iterable[int]) -> dict[int, Path]:
    """OUT_epoch-01.png and so on, beside the picture and of its kind."""
    return {n: picture.with_name(f"{picture.stem}_epoch-{n:02}{picture.suffix}") for n in epochs}


def parse_epochs(text: str | None, epochs: int) -> tuple[int, ...]:
    """'1,5,10' -> (1, 5, 10); raises `SettingsError` for an epoch that the run doesn't have."""
    if text is None:
        return ()
    try:
        chosen = sorted({int(part) for part in text.split(",")})
    except ValueError:
        fault = f"`snapshots` is {text!r} but should be epochs with commas, such as 1,5,10"
        raise SettingsError(fault, knob="snapshots", value=text) from None
    if strays := [n for n in chosen if not 1 <= n <= epochs]:
        fault = f"`snapshots` names epoch {strays[0]} but the run has epochs 1 to {epochs}"
        raise SettingsError(fault, knob="snapshots", value=text)
    return tuple(chosen)


def default_sheet(content: str, styles: Sequence[str], what: str) -> Path:
    """CONTENT_STYLE_sweep.png and the like, beside the content."""
    names = [name for name in (stems(content), stems(*styles)) if name]
    return Path(content).with_name("_".join([*names, what]) + ".png")


def _file_name(labels: Sequence[str]) -> str:
    """'content-weight-0.05_size-256': whatever a file's name may hold anywhere."""
    return "_".join(re.sub(r"[^A-Za-z0-9_.+-]+", "-", label).strip("-.")[:60] for label in labels)


def _check_file(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise ImageError(
            f"{quoted(path)} already exists", "choose another name, or set `overwrite`", knob="overwrite", value=False
        )
    if path.is_dir() or not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise ImageError(f"{quoted(path)} can't be written", "choose a file in a folder where you may write")
