"""A frame of a film as a problem: the photo's own, held to what the frames before it were painted like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from impasto.images.size import Size
from impasto.losses.temporal import temporal_loss
from impasto.network.tiled_network import TileActivations
from impasto.objective.evaluation import Evaluate, Evaluation
from impasto.objective.problem import CanvasTransform, ScaleProblem
from impasto.objective.stylization import StylizationProblem
from impasto.objective.terms import Kind, LocalTerm
from impasto.settings.settings import Settings
from impasto.storage.devices import resident


@dataclass(frozen=True)
class Earlier:
    """An earlier frame's result, moved to where its parts are now: an image (1, 3, h, w) as the network is given it.

    `certainty` (1, 1, h, w) in [0, 1] tells where that movement is known.
    """

    image: Tensor
    certainty: Tensor


def temporal_terms(earlier: Sequence[Earlier], weight: float) -> list[LocalTerm]:
    """The temporal losses to some earlier frames, of which no pixel is held by two."""
    return [LocalTerm(Kind.TEMPORAL, "temporal", None, partial(_difference_of_tile, one), weight) for one in earlier]


def _difference_of_tile(earlier: Earlier, activations: TileActivations, _: Tensor | None = None) -> Tensor:
    tile = activations.tile
    image = tile.interior.relative_to(tile.padded).crop(activations.input)
    warped, certainty = (tile.interior.crop(resident(plane, image)) for plane in (earlier.image, earlier.certainty))
    return temporal_loss(image, warped, certainty, earlier.image.numel())


class FrameProblem:
    """A `Problem` of one scale: a stylization whose canvas starts from `start`, and is `held` to be `start` in places.

    Where `held` (1, 1, h, w) is 1 the canvas stays as it is to the bit, and the network sees it so. Without a start it
    is the stylization itself, a keyframe. `canvas` is the one of which the last picture was made: at the end of a run
    its result, which the next frame starts from.
    """

    def __init__(self, problem: StylizationProblem, start: Tensor | None = None, held: Tensor | None = None) -> None:
        self.problem, self.start, self.held = problem, start, held
        self.device, self.scratch = problem.device, problem.scratch
        self.canvas: Tensor | None = start

    def first_canvas(self, size: Size) -> Tensor:
        """See `Problem`."""
        return self.problem.first_canvas(size) if self.start is None else self.start.to(self.device)

    def enlarged(self, canvas: Tensor, size: Size) -> Tensor:
        """See `Problem`."""
        return self.problem.enlarged(canvas, size)

    def at(self, size: Size, start: Tensor | None = None) -> ScaleProblem:
        """See `Problem`; what is matched is what is nearest to the canvas that the frame starts from."""
        found = self.problem.at(size, start if self.start is None else self.start.to(self.device))
        return ScaleProblem(found.objective, self.transform(size))

    def transform(self, size: Size) -> CanvasTransform:
        """See `Problem`."""
        return _FrameTransform(self, self.problem.transform(size))

    def change(self, settings: Settings) -> bool:
        """See `Problem`."""
        return self.problem.change(settings)

    def canvas_from(self, picture: Tensor) -> Tensor:
        """See `Problem`."""
        return self.problem.canvas_from(picture)


@dataclass(frozen=True)
class _FrameTransform:
    """Canvases as images: those of the stylization, with what is held."""

    frame: FrameProblem
    inner: CanvasTransform

    def wrap(self, evaluate: Evaluate) -> Evaluate:
        """See `CanvasTransform`."""
        evaluate = self.inner.wrap(evaluate)
        held = self.frame.held
        if held is None:
            return evaluate

        def evaluate_held(canvas: Tensor) -> Evaluation:
            now = evaluate(self._shown(canvas))
            return replace(now, gradient=now.gradient * (1 - resident(held, canvas)))

        return evaluate_held

    def painted(self, canvas: Tensor) -> Tensor:
        """See `CanvasTransform`."""
        return self.inner.painted(self._shown(canvas))

    def picture(self, canvas: Tensor) -> Tensor:
        """See `CanvasTransform`."""
        self.frame.canvas = self._shown(canvas.detach())
        return self.inner.picture(self.frame.canvas)

    def _shown(self, canvas: Tensor) -> Tensor:
        """The canvas with what is held in its place, to the bit where that is all."""
        held, start = self.frame.held, self.frame.start
        if held is None or start is None:
            return canvas
        held, start = resident(held, canvas), resident(start, canvas)
        return torch.where(held == 1, start, torch.lerp(canvas, start, held))
