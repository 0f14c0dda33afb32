"""What a run tells whoever drives it. Events own their data: pictures are detached copies on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from impasto.run.stop_rules import StopReason

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.images.size import Size
    from impasto.objective.evaluation import Evaluation
    from impasto.run.plan import RunPlan
    from impasto.run.state import RunState


class ShownInNotebooks:
    """An event with a picture, which Jupyter and marimo show."""

    picture: Tensor

    def _repr_png_(self) -> bytes:
        from impasto.images.writing import shown, to_pil

        return shown(to_pil(self.picture))


@dataclass(frozen=True)
class Started:
    """First event: the plan that the run will follow, and the device that it runs on."""

    plan: RunPlan
    device: str


@dataclass(frozen=True)
class Stepped:
    """One optimisation step: `step` counts from 1 over the run, `scale` and `epoch` name where it belongs (from 1).

    `loss` is the total at the canvas the step started from, `parts` its weighted terms by name
    ('content/relu4_2', 'style/relu1_1', 'tv'); `seconds` since the run started. `picture()` makes a copy of the
    canvas as this step left it, (1, 3, h, w) sRGB in [0, 1]. `state()` is what a later run needs to go on from here,
    not a copy: save it before asking for the next event. `taken` are the steps of each scale up to this one.
    """

    step: int
    epoch: int
    scale: int
    size: Size
    loss: float
    parts: Mapping[str, float]
    seconds: float
    picture: Callable[[], Tensor] = field(repr=False)
    state: Callable[[], RunState] | None = field(default=None, repr=False)
    taken: tuple[int, ...] = ()


class QueuedStepped(Stepped):
    """A step whose numbers are still on a device: whoever asks for `loss` or `parts` waits for it."""

    _now: Evaluation

    def __init__(self, now: Evaluation, **known: Any) -> None:
        self.__dict__.update(known, _now=now)

    @property
    def loss(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The total at the canvas that the step started from."""
        return self._now.loss

    @property
    def parts(self) -> Mapping[str, float]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Its weighted terms by name."""
        return self._now.parts


@dataclass(frozen=True)
class Restarted:
    """Step `step` met a loss, gradient or canvas that isn't finite: it is taken again from the best iterate, with
    shorter steps.

    `times` counts over the run; the one after `most` ends it with `DivergedError`.
    """

    step: int
    times: int
    most: int


@dataclass(frozen=True)
class EpochDone(ShownInNotebooks):
    """An epoch ended; `picture` is (1, 3, h, w) sRGB in [0, 1] at the scale being worked on.

    Every epoch ends: those of steps that were skipped do when their scale does, with the picture that it came to.
    """

    epoch: int
    picture: Tensor


@dataclass(frozen=True)
class ScaleDone(ShownInNotebooks):
    """A scale ended (counted from 1) after so many `steps` of those `planned`; `picture` as in `EpochDone`.

    `ended_by` says why it took fewer, None where it took all.
    """

    scale: int
    picture: Tensor
    steps: int = 0
    planned: int = 0
    ended_by: StopReason | None = None


@dataclass(frozen=True)
class Finished(ShownInNotebooks):
    """Last event: the result, (1, 3, h, w) sRGB in [0, 1], with its loss, the loss's parts and the seconds it took."""

    picture: Tensor
    loss: float
    parts: Mapping[str, float]
    steps: int
    seconds: float


Event = Started | Stepped | Restarted | EpochDone | ScaleDone | Finished
