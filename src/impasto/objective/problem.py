"""What the coarse-to-fine loop asks of a problem: stylization and texture each describe one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from impasto.images.size import Size
from impasto.objective.captured import evaluation_of
from impasto.objective.evaluation import Evaluate
from impasto.objective.objective import Objective
from impasto.settings.settings import Settings
from impasto.storage.scratch import Scratch


class CanvasTransform(Protocol):
    """What lies between a canvas, which is what is optimised, and the image that the network is given, at one size."""

    def wrap(self, evaluate: Evaluate) -> Evaluate:
        """An objective of images (1, 3, h, w) as one of canvases."""
        ...

    def painted(self, canvas: Tensor) -> Tensor:
        """What was painted, as an image like `picture`: what a canvas of another kind goes on from."""
        ...

    def picture(self, canvas: Tensor) -> Tensor:
        """A copy of what a canvas shows, which an event may own: (1, 3, h, w) in [0, 1], on the CPU or in a file."""
        ...


@dataclass(frozen=True)
class ScaleProblem:
    """A problem at one size: the objective of images, and how canvases become images."""

    objective: Objective
    transform: CanvasTransform

    def evaluation(self) -> Evaluate:
        """The objective's evaluation, captured where its device can do that."""
        return evaluation_of(self.objective)


class Problem(Protocol):
    """What to optimise, at any size."""

    device: torch.device
    scratch: Scratch

    def first_canvas(self, size: Size) -> Tensor:
        """The canvas that a run starts from."""
        ...

    def enlarged(self, canvas: Tensor, size: Size) -> Tensor:
        """What a run goes on with at a finer scale: the canvas at another size."""
        ...

    def at(self, size: Size, start: Tensor | None = None) -> ScaleProblem:
        """The problem at a size; targets are measured when a size is first asked for.

        Targets of a style loss that is `local` depend on the canvas that the scale starts from too: `start`, None at
        the coarsest one.
        """
        ...

    def transform(self, size: Size) -> CanvasTransform:
        """How canvases of a size become images, by the settings as they are now."""
        ...

    def change(self, settings: Settings) -> bool:
        """Take up changed settings; whether they make the canvas one of another kind."""
        ...

    def canvas_from(self, picture: Tensor) -> Tensor:
        """A canvas that shows a picture (1, 3, h, w), by the settings as they are now."""
        ...
