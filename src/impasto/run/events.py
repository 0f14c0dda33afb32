"""What a run tells whoever drives it. Events own their data: pictures are detached copies on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.run.state import RunState


@dataclass(frozen=True)
class Started:
    """First event: what will be done. `scales` are (height, width) in pixels, coarse to fine.

    `tile` is the side in pixels of what the network sees at a time, None for the whole canvas; `history` the steps
    that L-BFGS remembers; `peak` the resident memory expected at most, in bytes; `seconds` the time expected. Where
    canvases don't fit into memory, files in `folder` take up to `disk` bytes.
    """

    scales: tuple[tuple[int, int], ...]
    steps: tuple[int, ...]
    device: str
    tile: int | None = None
    history: int = 0
    peak: int = 0
    seconds: float = 0.0
    disk: int = 0
    folder: Path | None = None

    @property
    def total_steps(self) -> int:
        """Optimisation steps of the whole run."""
        return sum(self.steps)


@dataclass(frozen=True)
class Stepped:
    """One optimisation step: `step` counts from 1 over the run, `scale` and `epoch` name where it belongs (from 1).

    `loss` is the total at the canvas the step started from, `parts` its weighted terms by name
    ('content/relu4_2', 'style/relu1_1', 'tv'); `seconds` since the run started. `picture()` makes a copy of the
    canvas as this step left it, (1, 3, h, w) sRGB in [0, 1]. `state()` is what a later run needs to go on from here,
    not a copy: save it before asking for the next event.
    """

    step: int
    epoch: int
    scale: int
    size: tuple[int, int]
    loss: float
    parts: Mapping[str, float]
    seconds: float
    picture: Callable[[], Tensor] = field(repr=False)
    state: Callable[[], RunState] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Restarted:
    """Step `step` met a loss, gradient or canvas that isn't finite: it is taken again from the best canvas, gentler.

    `times` counts over the run; the one after `most` ends it with `DivergedError`.
    """

    step: int
    times: int
    most: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch ended; `picture` is (1, 3, h, w) sRGB in [0, 1] at the scale being worked on."""

    epoch: int
    picture: Tensor


@dataclass(frozen=True)
class ScaleDone:
    """A scale ended (counted from 1); `picture` as in `EpochDone`."""

    scale: int
    picture: Tensor


@dataclass(frozen=True)
class Finished:
    """Last event: the result, (1, 3, h, w) sRGB in [0, 1], with its loss, the loss's parts and the seconds it took."""

    picture: Tensor
    loss: float
    parts: Mapping[str, float]
    steps: int
    seconds: float


Event = Started | Stepped | Restarted | EpochDone | ScaleDone | Finished
