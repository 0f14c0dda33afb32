"""What an objective says of a canvas: its loss, the parts of the loss, and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from impasto.storage.devices import precise, queued, read


@dataclass(frozen=True)
class Evaluation:
    """The objective at one canvas: its loss, the loss's weighted parts by name, and the gradient (like the canvas)."""

    loss: float
    parts: dict[str, float]
    gradient: Tensor

    def with_gradient(self, gradient: Tensor) -> Evaluation:
        """The same with another gradient, of another kind of canvas."""
        return replace(self, gradient=gradient)


class QueuedEvaluation(Evaluation):
    """An evaluation whose numbers are on a device, maybe still to be computed.

    `numbers` (1 + p,) are the loss and its p parts, which have these `names`. Whoever asks for `loss` or `parts` waits
    for the device, and gets all of them at once.
    """

    numbers: Tensor
    names: tuple[str, ...]

    def __init__(self, numbers: Tensor, names: tuple[str, ...], gradient: Tensor) -> None:
        self.__dict__.update(numbers=numbers, names=names, gradient=gradient)

    @classmethod
    def of(cls, parts: Mapping[str, float | Tensor], gradient: Tensor) -> QueuedEvaluation:
        """Of weighted parts, scalars on the gradient's device."""
        device, dtype = gradient.device, precise(gradient.device)
        scalars = [
            p.to(dtype) if isinstance(p, Tensor) else torch.full((), p, dtype=dtype, device=device)
            for p in parts.values()
        ]
        values = torch.stack(scalars) if scalars else torch.zeros(0, dtype=dtype, device=device)
        return cls(torch.cat([values.sum()[None], values]), tuple(parts), gradient)

    @property
    def total(self) -> Tensor:
        """The loss as a scalar on the device."""
        return self.numbers[0]

    @cached_property
    def loss(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The loss, waited for."""
        return self._read[0]

    @cached_property
    def parts(self) -> dict[str, float]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The loss's weighted parts by name, waited for."""
        return dict(zip(self.names, self._read[1:], strict=True))

    def with_gradient(self, gradient: Tensor) -> QueuedEvaluation:
        """See `Evaluation`."""
        return QueuedEvaluation(self.numbers, self.names, gradient)

    @cached_property
    def _read(self) -> list[float]:
        return self.numbers.tolist()


def evaluation_of_parts(parts: Mapping[str, float | Tensor], names: Sequence[str], gradient: Tensor) -> Evaluation:
    """An evaluation of weighted parts, told in the order of their `names`.

    Scalars on a device stay there if the gradient does; where that is on the host, they are read, all at once.
    """
    if queued(gradient.device):
        return QueuedEvaluation.of({name: parts[name] for name in names}, gradient)
    found = dict(zip(parts, read(list(parts.values())), strict=True))
    return Evaluation(sum(found.values()), {name: found[name] for name in names}, gradient)


Evaluate = Callable[[Tensor], Evaluation]
"""An objective as optimisers see it: of a canvas, its evaluation. To wrap one is to make another from it."""
