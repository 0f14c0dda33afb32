"""What an objective says of a canvas: its loss, the parts of the loss, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Evaluation:
    """The objective at one canvas: its loss, the loss's weighted parts by name, and the gradient (like the canvas)."""

    loss: float
    parts: dict[str, float]
    gradient: Tensor


Evaluate = Callable[[Tensor], Evaluation]
"""An objective as optimisers see it: of a canvas, its evaluation. To wrap one is to make another from it."""
