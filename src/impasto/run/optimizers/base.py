"""What every optimiser is to the loop, and what they share.

A canvas is never changed in place, and it is always a picture: its values stay in [0, 1]. Whatever is as large as a
canvas is worked on band by band, in the `Scratch` that says whether it is in memory or in files.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from impasto.images.size import Size
from impasto.objective.evaluation import Evaluate, Evaluation
from impasto.storage.scratch import Scratch

State = dict[str, Any]
"""What an optimiser knows between two steps: numbers and tensors by name, in dicts and lists."""

FIRST_MOVE = 0.02
"""Root mean square of the first step of `GradientDescent` and `LBFGS`, in units of the pixel range [0, 1]."""

SHORTER = 0.25
"""Length of a step after one that led to NaN or ∞, relative to what it was before."""


class Optimizer(Protocol):
    """A way to descend. Its methods never change it, but `step`; they give the one to go on with."""

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas, and the objective as it was at the one that came in."""
        ...

    def at_scale(self, size: Size) -> Optimizer:
        """The optimiser to go on with when the canvas is resized to (h, w) pixels."""
        ...

    def reset(self) -> Optimizer:
        """The optimiser to go on with on another kind of canvas: without a past, steps as short as they have become."""
        ...

    def with_shorter_steps(self) -> Optimizer:
        """The optimiser to begin again with after a step to where nothing is finite: `SHORTER`, and without a past."""
        ...

    def state(self) -> State:
        """All that its next steps depend on, as `load_state` takes it."""
        ...

    def load_state(self, state: State) -> Optimizer:
        """The optimiser of this kind that gave that `state`: its next steps are the same to the bit."""
        ...


def rms(tensor: Tensor, scratch: Scratch) -> float:
    """Root mean square, also of gradients so large or small (extreme weights) that their squares leave float32."""
    return (scratch.sum(_energy, tensor) / tensor.numel()) ** 0.5


def _energy(part: Tensor) -> Tensor:
    largest = part.abs().max()
    if largest == 0 or not largest.isfinite():
        return largest
    return (part / largest).square().sum().double() * largest.double().square()
