"""Noting what a report needs while a run goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, TypeAdapter, with_config
from torch import Tensor
from typing_extensions import TypedDict

from impasto.errors import ImpastoError
from impasto.images.size import Size, fit, resize, size_of
from impasto.network.engine import Engine
from impasto.report.figure import Report
from impasto.report.metrics import Step, measure_pictures, measure_time
from impasto.run.events import EpochDone, Event, Finished, Started, Stepped
from impasto.settings import roles
from impasto.settings.knob import Affects
from impasto.settings.settings import Settings

EPOCHS = (1, 5, 10)
"""Epochs that a figure shows, where the run has them."""

LONGEST_KEPT = 2048
"""Longest side in pixels of the epochs' pictures that are kept: a figure shows them smaller still."""


LONGEST_MASK = 512
"""The same of masks."""

SHAPING = roles.affecting(Affects.TARGETS, Affects.OBJECTIVE, Affects.DESCENT)
"""The settings that a report lists: what the picture was to be, not what computed it."""

Epoch = Annotated[str, Field(pattern=r"^[1-9]\d{0,8}$")]


@with_config(ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class RecorderState(TypedDict):
    """What `Recorder.state` notes; epochs are texts, as in JSON."""

    parts: list[str]
    steps: Tensor
    pictures: dict[Epoch, Tensor]
    sizes: dict[Epoch, tuple[int, int]]


class Recorder:
    """Keeps what a report needs of a run: let it observe every event, then ask for the report."""

    def __init__(
        self,
        content: Tensor,
        styles: Sequence[Tensor],
        *,
        settings: Settings,
        network: Engine,
        epochs: Sequence[int] = EPOCHS,
        masks: Sequence[Tensor | None] = (),
        style_masks: Sequence[Tensor | None] = (),
        strength_map: Tensor | None = None,
    ) -> None:
        self.content, self.styles = content, tuple(styles)
        self.masks, self.style_masks = tuple(map(_shrunk, masks)), tuple(map(_shrunk, style_masks))
        self.strength_map = _shrunk(strength_map)
        self.settings, self.network = settings, network
        self.epochs = epochs_shown(epochs, settings.epochs)
        self._device = "cpu"
        self._steps: list[Step] = []
        self._pictures: dict[int, Tensor] = {}
        self._sizes: dict[int, Size] = {}
        self._finished: Finished | None = None

    def observe(self, event: Event) -> None:
        """Note one event; those of a run must come in their order."""
        match event:
            case Started():
                self._device = event.device
            case Stepped():
                self._steps.append(Step(event.step, event.scale, event.size, event.loss, event.parts, event.seconds))
            case EpochDone() if event.epoch in self.epochs:
                size = size_of(event.picture)
                self._sizes[event.epoch] = size
                self._pictures[event.epoch] = resize(event.picture, fit(size, min(max(size), LONGEST_KEPT)))
            case Finished():
                self._finished = event

    def state(self) -> dict[str, Any]:
        """What was noted so far, for a checkpoint: pictures, and the steps as a table (n, 5 + parts) in float64."""
        names = list(dict.fromkeys(name for step in self._steps for name in step.parts))
        rows = [
            [step.scale, *step.size, step.loss, step.seconds, *(step.parts.get(name, math.nan) for name in names)]
            for step in self._steps
        ]
        table = torch.tensor(rows, dtype=torch.float64).view(len(rows), 5 + len(names))
        pictures = {str(n): picture for n, picture in self._pictures.items()}
        return {
            "parts": names,
            "steps": table,
            "pictures": pictures,
            "sizes": {str(n): s for n, s in self._sizes.items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Begin with what another recorder of this run had noted, so that the report misses nothing.

        Raises `ImpastoError` for what no recorder noted.
        """
        try:
            checked: Any = TypeAdapter(RecorderState).validate_python(state)
            state = checked
            steps, pictures = state["steps"], state["pictures"].values()
            if (
                steps.dim() != 2
                or steps.shape[1] != 5 + len(state["parts"])
                or any(picture.dim() != 4 for picture in pictures)
            ):
                raise ValueError
        except ValueError:
            raise ImpastoError("The saved state's record of the run is odd", "start the run again") from None
        names = state["parts"]
        for number, (scale, height, width, loss, seconds, *values) in enumerate(state["steps"].tolist(), start=1):
            parts = {name: value for name, value in zip(names, values, strict=True) if not math.isnan(value)}
            self._steps.append(Step(number, int(scale), (int(height), int(width)), loss, parts, seconds))
        self._pictures |= {int(epoch): picture for epoch, picture in state["pictures"].items()}
        self._sizes |= {int(epoch): (height, width) for epoch, (height, width) in state["sizes"].items()}

    def report(self) -> Report:
        """Compute the measures, which takes about as long as a step; raises `ImpastoError` before the run's end."""
        end = self._finished
        if end is None:
            raise ImpastoError("The run has not finished", "let it finish before asking for its report")
        measures = measure_pictures(
            self.network, self.settings, self.content, self.styles, end.picture.to(self._device)
        )
        first = {"first": self._steps[0].loss} if self._steps else {}
        measures["loss"] = {**first, "last": end.loss, "parts": dict(end.parts)}
        measures["time"] = measure_time(self._steps, end.seconds)
        shaping = self.settings.model_dump(mode="json", include=set(SHAPING))
        measures["settings"] = {knob: roles.without_folders(knob, value) for knob, value in shaping.items()}
        return Report(
            measures,
            self.settings,
            self.content,
            self.styles,
            self._pictures,
            end.picture,
            tuple(self._steps),
            self._sizes,
            self.masks,
            self.style_masks,
            self.strength_map,
        )


def _shrunk(mask: Tensor | None) -> Tensor | None:
    """A mask (1, 1, h, w) as large as a figure shows it, as an image (1, 3, h, w)."""
    if mask is None:
        return None
    size = size_of(mask)
    return resize(mask.expand(-1, 3, -1, -1), fit(size, min(max(size), LONGEST_MASK)))


def epochs_shown(wanted: Sequence[int], last: int) -> tuple[int, ...]:
    """The epochs wanted, where the run has them all; otherwise its first, middle and last."""
    if max(wanted, default=0) <= last:
        return tuple(sorted(set(wanted)))
    return tuple(sorted({1, (1 + last) // 2, last}))
