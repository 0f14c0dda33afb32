"""A film's run on the disk: what it goes on from, its frames as a page shows them, and the film."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.storage.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image

    from impasto.jobs.video.order import Order, WorkFolder
    from impasto.studio.runs import RunFiles

FRAME_SIDE = 1024
"""Longest side in pixels of a frame as a page shows it."""

STILL = "still.png"
"""A film's first frame, beside what else is made of an upload: what is painted where a picture is wanted of a film."""

QUALITY = 88
"""Of its WebP file."""


class FilmFiles:
    """The files of a film's run: `state` has what is removed with it, as a photo's state is, the rest stays."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.film = folder / "film.mp4"
        self.draft = self.state / "film.mp4"
        """Where `jobs.video` writes it, with its work folder beside it."""
        self.index = folder / "frames.json"

    def painted(self, number: int) -> Path:
        """The file of a painted frame."""
        return self.folder / "frames" / f"{number:06}.webp"

    def original(self, number: int) -> Path:
        """The file of a frame as the film has it, once somebody has asked for it."""
        return self.folder / "originals" / f"{number:06}.webp"

    def begin(self, order: Order) -> None:
        """Note when which frame is shown, and at what size frames are painted; raises `OSError`."""
        noted = {"size": order.size, "times": [str(time) for time in order.times], "seconds": self.seconds()}
        self._note(noted | {"shots": len(order.shots)})

    def noted(self) -> tuple[tuple[int, int], int, int]:
        """The (h, w) at which frames are painted, how many there are and of how many shots; raises as `frame` does."""
        noted = json.loads(self.index.read_text("ascii"))
        return (noted["size"][0], noted["size"][1]), len(noted["times"]), noted.get("shots", 1)

    def seconds(self) -> float:
        """Seconds that were painted in the starts before this one."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            return float(json.loads(self.index.read_text("ascii"))["seconds"])
        return 0.0

    def add_seconds(self, seconds: float) -> None:
        """Add those of a start that ends; a full disk costs the figure alone."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            noted = json.loads(self.index.read_text("ascii"))
            self._note(noted | {"seconds": noted["seconds"] + seconds})

    def frame(self, number: int) -> tuple[tuple[int, int], Fraction]:
        """The (h, w) at which a frame is painted and when it is shown; `OSError` or `LookupError` without one."""
        noted = json.loads(self.index.read_text("ascii"))
        return (noted["size"][0], noted["size"][1]), Fraction(noted["times"][number])

    def keep_frame(self, number: int, picture: Path) -> None:
        """A finished frame as a page shows it; raises `OSError`."""
        from PIL import Image

        with Image.open(picture) as image:
            write_shown(image, self.painted(number))
        if number == 0:
            shutil.copyfile(picture, self._first)

    def has_frame(self, number: int) -> bool:
        """Whether a finished frame was kept."""
        return self.painted(number).exists() and (number > 0 or self._first.exists())

    def keep_film(self, run: RunFiles) -> None:
        """Move the film and its first frame to where they stay, and remove the state; raises `OSError`."""
        from PIL import Image

        if self._first.exists():
            with Image.open(self._first) as image:
                run.show_frame(image, result=True)
            self._first.replace(run.picture)
        if self.draft.exists():  # else it was moved before the process was killed
            self.draft.replace(self.film)
        self.discard_state()

    def discard(self) -> None:
        """Remove all that was painted."""
        self.discard_state()
        for name in ("frames", "originals"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def discard_state(self) -> None:
        """Remove what a film goes on from."""
        shutil.rmtree(self.state, ignore_errors=True)

    @property
    def _first(self) -> Path:
        return self.state / "first.png"

    def _note(self, noted: dict) -> None:
        write_atomically(self.index, lambda file: file.write(json.dumps(noted).encode()))


class Finished:
    """The frames of a film that are finished, each kept for the page as soon as it is."""

    def __init__(self, files: FilmFiles, folder: WorkFolder, frames: int) -> None:
        self._files, self._folder, self._left = files, folder, dict.fromkeys(range(frames))
        self._frames = frames
        self.newest: int | None = None

    def refresh(self) -> Path | None:
        """Keep what has been finished since the last time; the picture of the newest, None where there is none."""
        newest = None
        for number in [number for number in self._left if self._folder.is_painted(number)]:
            picture = self._folder.picture(number)
            with contextlib.suppress(OSError):  # on a full disk it is tried again the next time
                if not self._files.has_frame(number):
                    self._files.keep_frame(number, picture)
                del self._left[number]
                self.newest, newest = number, picture
        return newest

    def runs(self) -> list[tuple[int, int]]:
        """Those finished, as runs from a first to before an end."""
        return runs_of([number for number in range(self._frames) if number not in self._left])


def runs_of(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """[0, 1, 2, 7] -> [(0, 3), (7, 8)]; the numbers grow."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found


def write_shown(image: Image.Image, path: Path) -> None:
    """A frame as a page shows it; raises `OSError`."""
    shown = image.copy()
    shown.thumbnail((FRAME_SIDE, FRAME_SIDE))
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: shown.save(file, "WEBP", quality=QUALITY, method=2))
