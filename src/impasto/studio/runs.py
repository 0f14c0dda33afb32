"""A run's folder: its state, preview, picture and curve, and how a job is begun or gone on with from it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.settings import roles
from impasto.settings.settings import Settings
from impasto.storage.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from impasto.jobs.stylization import Stylization
    from impasto.run.events import Event

PREVIEW_SIDE = 768
"""Longest side in pixels of a preview."""

THUMBNAIL_SIDE = 320


@dataclass(frozen=True)
class RunFiles:
    """A job as the process that paints it is told: its folder, input files and settings, all checked before.

    A style is a file or a swatch's name. `settings` are all that were given, with the files of masks in them, `film`
    the options of a film.
    """

    folder: Path
    content: Path
    styles: tuple[str, ...]
    settings: dict[str, Any]
    film: dict[str, Any] | None = None

    @classmethod
    def of(cls, message: dict[str, Any]) -> RunFiles:
        """From the JSON that `message` made."""
        folder, content = Path(message["folder"]), Path(message["content"])
        return cls(folder, content, tuple(message["styles"]), dict(message["settings"]), message["film"])

    def message(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"folder": str(self.folder), "content": str(self.content)}

    @property
    def state(self) -> Path:
        """The folder of a state to go on from."""
        return self.folder / "state"

    @property
    def resumes(self) -> bool:
        """Whether there is a state to go on from."""
        from impasto.jobs.checkpointer import STATE

        return (self.state / STATE).exists()

    @property
    def picture(self) -> Path:
        """The result, with its recipe."""
        return self.folder / "picture.png"

    @property
    def preview(self) -> Path:
        """The newest preview."""
        return self.folder / "preview.jpg"

    @property
    def thumbnail(self) -> Path:
        """The result, small."""
        return self.folder / "thumbnail.webp"

    @property
    def curve(self) -> Path:
        """A line for each step: its number and its loss."""
        return self.folder / "curve.txt"

    def begin(self) -> tuple[Stylization, Iterator[Event]]:
        """The job and its events, from the state that is saved where there is one; raises `ImpastoError`."""
        from impasto.jobs import checkpoint
        from impasto.jobs.checkpointer import STATE
        from impasto.jobs.rerun import from_recipe
        from impasto.jobs.stylization import Stylization

        if not self.resumes:
            self.curve.unlink(missing_ok=True)
            stylization = Stylization(self.content, self.styles, Settings(**self.settings))
            return stylization, stylization.events()
        recipe, _ = checkpoint.read_origin(file := self.state / STATE)
        stylization = from_recipe(recipe, content=self.content, styles=self.styles)
        saved = checkpoint.read(file, stylization.scratch)
        self._cut_curve(saved.state.step)
        return stylization, stylization.events(saved.state)

    def inputs(self) -> list[Path]:
        """The files that it is painted of."""
        named = roles.files(Settings(**self.settings))
        return [self.content, *(Path(file) for file in (*self.styles, *named) if "/" in file or os.sep in file)]

    def scheduled_knobs(self) -> dict[str, Any]:
        """What the job says now of the knobs that may change while it runs."""
        return scheduled_knobs(Settings(**self.settings))

    def note_step(self, step: int, loss: float) -> None:
        """Add a step to the curve; a full disk costs the curve alone."""
        with contextlib.suppress(OSError), self.curve.open("a", encoding="ascii") as file:
            file.write(f"{step} {loss:.6g}\n")

    def read_curve(self) -> tuple[list[int], list[float]]:
        """The steps and losses so far."""
        with contextlib.suppress(OSError, ValueError):
            rows = [line.split() for line in self.curve.read_text(encoding="ascii").splitlines()]
            whole = [row for row in rows if len(row) == 2]
            return [int(step) for step, _ in whole], [float(loss) for _, loss in whole]
        return [], []

    def _cut_curve(self, step: int) -> None:
        """Forget what came after a step that the run goes on from."""
        steps, losses = self.read_curve()
        kept = [f"{n} {loss:.6g}\n" for n, loss in zip(steps, losses, strict=True) if n <= step]
        with contextlib.suppress(OSError):
            self.curve.write_text("".join(kept), encoding="ascii")

    def write_preview(self, picture: Tensor) -> None:
        """A small JPEG of a canvas (1, 3, h, w); a full disk costs the preview alone."""
        self._write_small(picture, PREVIEW_SIDE, self.preview, "JPEG", quality=88)

    def write_thumbnail(self, picture: Tensor) -> None:
        """The result for lists."""
        self._write_small(picture, THUMBNAIL_SIDE, self.thumbnail, "WEBP", quality=85)

    def show_frame(self, frame: Image.Image, *, result: bool = False) -> None:
        """A film's frame as the preview, or its first one as what lists show of it; a full disk costs that alone."""
        side, path, kind = (THUMBNAIL_SIDE, self.thumbnail, "WEBP") if result else (PREVIEW_SIDE, self.preview, "JPEG")
        shown = frame.convert("RGB")
        shown.thumbnail((side, side))
        with contextlib.suppress(OSError):
            write_atomically(path, lambda file: shown.save(file, kind, quality=88))

    def _write_small(self, picture: Tensor, side: int, path: Path, kind: str, **options: Any) -> None:
        from impasto.images.size import fit, resize, size_of
        from impasto.images.writing import to_pil

        size = fit(size_of(picture), min(side, max(size_of(picture))))
        image = to_pil(resize(picture, size))
        with contextlib.suppress(OSError):
            write_atomically(path, lambda file: image.save(file, kind, **options))

    def size(self) -> int:
        """Bytes that the folder takes."""
        return bytes_in(self.folder)


def scheduled_knobs(settings: Settings) -> dict[str, Any]:
    """The knobs that may change while a run goes on, as JSON has them."""
    return settings.model_dump(mode="json", include={*roles.scheduled()})


def bytes_in(folder: Path) -> int:
    """Bytes of all files in a folder, whatever comes and goes in it meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{place}/{name}").st_size
    return total
