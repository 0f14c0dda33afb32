"""A film's work folder: what is to be painted, all that it depends on, and which frames are finished."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save

from impasto.errors import ImpastoError
from impasto.jobs.video.clip import Clip, Kind
from impasto.jobs.video.painter import PaintedFrame
from impasto.jobs.video.steadiness import Steadiness
from impasto.settings.settings import Settings
from impasto.storage.files import quoted, reason, write_atomically

FORMAT = 1
"""Number of the arrangement in `film.json`."""

ORDER, LOCK, LOG, PREVIEW = "film.json", "lock", "log", "preview.png"

DONE, PUT_OUT = "done.json", "put_out.jsonl"
"""What `film.json` is called while the folder of a finished film is removed, and the pictures that were begun to be
written where a sequence goes, a name a line."""

PICTURES, STATES = "frames", "states"


@dataclass(frozen=True)
class Order:
    """All that the frames of a film depend on.

    `times` are those of the frames that are painted, in seconds, `seconds` how long each is shown, `shots` the numbers
    of each one's first frame and of the one after its last. `key` is a SHA-256 over what is in the inputs, the settings
    and the versions. `settings` have nothing left open, so that every machine paints the same.
    """

    key: str
    clip: Clip
    size: tuple[int, int]
    styles: tuple[str, ...]
    settings: Settings
    steadiness: Steadiness
    times: tuple[Fraction, ...]
    seconds: tuple[Fraction, ...]
    shots: tuple[tuple[int, int], ...]
    broken: str | None = None
    peak: int = 0
    """Bytes of memory that painting a frame takes."""

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self.times)

    def to_json(self) -> str:
        """As it lies in the folder."""
        clip = asdict(self.clip) | {"rate": str(self.clip.rate), "aspect": str(self.clip.aspect)}
        found = {
            "format": FORMAT,
            "key": self.key,
            "clip": clip,
            "size": self.size,
            "styles": self.styles,
            "settings": self.settings.model_dump(mode="json"),
            "steadiness": asdict(self.steadiness),
            "times": [str(time) for time in self.times],
            "seconds": [str(time) for time in self.seconds],
            "shots": self.shots,
            "broken": self.broken,
            "peak": self.peak,
        }
        return json.dumps(found)

    @classmethod
    def from_json(cls, text: str) -> Order:
        """The same again; raises `ValueError`, `KeyError` or `TypeError` for what isn't one."""
        found: dict[str, Any] = json.loads(text)
        if found.pop("format") != FORMAT:
            raise ValueError("another format")
        clip = found["clip"]
        clip |= {
            "kind": Kind(clip["kind"]),
            "rate": Fraction(clip["rate"]),
            "aspect": Fraction(clip["aspect"]),
            **{name: tuple(clip[name]) for name in ("files", "size", "sound")},
        }
        return cls(
            key=found["key"],
            clip=Clip(**clip),
            size=(found["size"][0], found["size"][1]),
            styles=tuple(found["styles"]),
            settings=Settings(**found["settings"]),
            steadiness=Steadiness(**found["steadiness"] | {"back": tuple(found["steadiness"]["back"])}),
            times=tuple(map(Fraction, found["times"])),
            seconds=tuple(map(Fraction, found["seconds"])),
            shots=tuple((first, end) for first, end in found["shots"]),
            broken=found["broken"],
            peak=found["peak"],
        )


class WorkFolder:
    """The folder beside a film's output: frames that are finished, and what the next ones depend on.

    Everything in it appears whole or not at all. `OUT.film/frames` has the painted pictures; `states` what later frames
    of a shot start from, which is removed as soon as no frame needs it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_ours(self) -> bool:
        """Whether impasto has begun a film here, so that what it calls its own is."""
        return any((self.path / name).exists() for name in (ORDER, DONE))

    def begin(self, order: Order) -> None:
        """Make the folder; raises `OSError`, and `ImpastoError` where somebody else's pictures are in it."""
        if not self.is_ours and any(any((self.path / name).glob("*")) for name in (PICTURES, STATES)):
            raise ImpastoError(f"{quoted(self.path)} has files that aren't impasto's", "choose another name")
        for name in ("", PICTURES, STATES):
            (self.path / name).mkdir(exist_ok=True)
        write_atomically(self.path / ORDER, lambda file: file.write(order.to_json().encode()))

    def order(self) -> Order | None:
        """The order that was begun here, None where there is none."""
        try:
            return Order.from_json((self.path / ORDER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, LookupError, ValueError, TypeError, AttributeError, ImpastoError) as error:
            raise ImpastoError(
                f"{quoted(self.path)} isn't a film's folder as impasto writes them ({reason(error)})",
                "remove it, or choose another name",
            ) from None

    def picture(self, number: int) -> Path:
        """The file of a painted frame."""
        return self.path / PICTURES / f"{number:06}.png"

    def is_painted(self, number: int) -> bool:
        """Whether a frame is finished."""
        return self.picture(number).exists()

    def painted(self, order: Order) -> int:
        """How many frames are finished."""
        return sum(self.is_painted(number) for number in range(order.count))

    def finish(self, number: int, painted: PaintedFrame) -> None:
        """Write a frame's picture, after which it is finished; its state has to be there before. Raises `OSError`."""
        levels = (painted.picture[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        if painted.alpha is not None:
            opacity = (painted.alpha[..., None] * 255).round().astype(np.uint8)
            levels = np.concatenate([levels, opacity], axis=-1)
        image = Image.fromarray(np.ascontiguousarray(levels))
        write_atomically(self.picture(number), lambda file: image.save(file, "PNG", compress_level=1))

    def keep(self, number: int, painted: PaintedFrame, turn: int = 0) -> None:
        """Write what frames after this one depend on, of a pass; raises `OSError`."""
        tensors = {
            "picture": painted.picture,
            "canvas": painted.canvas,
            "frame": torch.from_numpy(painted.frame),
            "painted_of": torch.from_numpy(painted.painted_of),
            "steps": torch.from_numpy(painted.steps),
            "loss": torch.tensor(painted.loss, dtype=torch.float64),
        }
        if painted.alpha is not None:
            tensors["alpha"] = torch.from_numpy(painted.alpha)
        data = save({name: tensor.clone().contiguous() for name, tensor in tensors.items()})
        write_atomically(self._state(number, turn), lambda file: file.write(data))

    def has(self, number: int, turn: int = 0) -> bool:
        """Whether anything was kept of a frame in a pass."""
        return self._state(number, turn).exists()

    def kept(self, number: int, turn: int = 0) -> PaintedFrame | None:
        """What was kept of a frame, None where nothing was; raises `ImpastoError` for a damaged file."""
        path = self._state(number, turn)
        try:
            found = load(path.read_bytes())
            frame, painted_of, steps = (found[name].numpy() for name in ("frame", "painted_of", "steps"))
            alpha = found["alpha"].numpy() if "alpha" in found else None
            loss = found["loss"].item()
            return PaintedFrame(found["picture"], found["canvas"], frame, painted_of, steps, loss, alpha=alpha)
        except FileNotFoundError:
            return None
        except (OSError, KeyError, SafetensorError, ValueError) as error:
            raise ImpastoError(
                f"{quoted(path)} is damaged ({reason(error)})", f"remove {quoted(self.path)} and begin again"
            ) from None

    def forget(self, number: int, turn: int = 0) -> None:
        """Remove what was kept of a frame."""
        with suppress(OSError):
            self._state(number, turn).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what impasto wrote here, if it did, but for the lock; what is cut off there goes on the next time."""
        if not self.is_ours:
            return
        with suppress(FileNotFoundError):
            (self.path / ORDER).replace(self.path / DONE)
        for folder, pattern in ((PICTURES, "*.png"), (STATES, "*.safetensors")):
            for pattern_ in (pattern, ".impasto-*.tmp"):
                for file in (self.path / folder).glob(pattern_):
                    file.unlink(missing_ok=True)
            with suppress(OSError):
                (self.path / folder).rmdir()
        for file in self.path.glob(".impasto-*.tmp"):
            file.unlink(missing_ok=True)
        for name in (LOG, PREVIEW, PUT_OUT, DONE):
            with suppress(OSError):
                (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the lock, which has to be held, and the folder if nothing else is in it."""
        for remove in ((self.path / LOCK).unlink, self.path.rmdir):
            with suppress(OSError):
                remove()

    def _state(self, number: int, turn: int) -> Path:
        return self.path / STATES / f"{turn}-{number:06}.safetensors"


def differences(began: Order, now: Order) -> list[str]:
    """What would make other frames of those that were begun, in words."""
    before, wanted = began.settings.model_dump(mode="json"), now.settings.model_dump(mode="json")
    found = [f"`{knob}` was {before[knob]}" for knob in before if before[knob] != wanted[knob]]
    how = asdict(began.steadiness)
    found += [f"`{knob}` was {how[knob]}" for knob, value in asdict(now.steadiness).items() if how[knob] != value]
    if began.styles != now.styles:
        found.append(f"the styles were {', '.join(began.styles)}")
    if (began.times, began.size) != (now.times, now.size):
        found.append("it had other frames")
    return found


def listed(times: Sequence[Fraction], last: Fraction) -> tuple[Fraction, ...]:
    """How long each frame is shown: until the next, and the last for so long."""
    return (*(after - time for time, after in pairwise(times)), last)
