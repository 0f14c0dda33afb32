"""An actor of `RayTiles`, and how tensors travel to and from it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.jobs.network import load_network
from impasto.jobs.surroundings import computing
from impasto.network.tiled_network import Stage, TileActivations
from impasto.objective.tile_passes import TileWork
from impasto.settings.settings import Settings


class TileActor:
    """The process of an actor: it keeps its tiles' inputs, the activations of some, and their targets."""

    def __init__(self, settings: Settings) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever drives
        self._settings = settings
        self._network = load_network(settings)
        self._work: TileWork | None = None
        self._stages: tuple[Stage, ...] = ()
        self._evaluation = 0
        self._inputs: dict[tuple[int, int], Tensor] = {}
        self._kept: dict[tuple[int, int], TileActivations] = {}
        self._targets: dict[tuple[int, int], list[Tensor | None]] = {}

    def weights(self) -> str:
        """The SHA-256 of the network's weights: the actor is ready."""
        return self._network.sha256

    def begin(self, parts: Any) -> None:
        """Take up other work."""
        statistics, local_terms, weighting, self._stages = parts
        self._work = TileWork(self._network.engine, statistics, local_terms, weighting)
        self._targets.clear()

    def forward(self, evaluation: int, where: tuple[int, int], image: Packed, keep: bool) -> tuple[Any, Any]:
        """See `TileWork.forward`."""
        if evaluation != self._evaluation:  # of the one before something may be left that was computed elsewhere
            self._evaluation = evaluation
            self._inputs.clear()
            self._kept.clear()
        assert self._work is not None
        self._inputs[where] = unpacked(image)
        with computing(self._network.engine, self._settings):
            activations = self._run(where, keep=keep)
            if keep:
                self._kept[where] = activations
            sums = self._work.sums(activations)
            boundary = None if sums.boundary is None else packed(sums.boundary)
            return [packed(value) for value in sums.statistics.values()], boundary

    def backward(
        self,
        evaluation: int,
        where: tuple[int, int],
        image: Packed | None,
        targets: list[Packed | None] | None,
        p: list[Packed],
        arrived: Packed | None,
    ) -> tuple[Packed, dict[str, float]]:
        """See `TileWork.backward`."""
        assert self._work is not None
        if image is not None:
            self._inputs[where] = unpacked(image)
        if targets is not None:
            self._targets[where] = [None if part is None else unpacked(part) for part in targets]
        with computing(self._network.engine, self._settings):
            activations = self._kept.pop(where, None) or self._run(where, keep=True)
            del self._inputs[where]
            of_statistics = dict(zip(activations.statistics, map(unpacked, p), strict=True))
            above = None if arrived is None else unpacked(arrived)
            found = self._work.backward(activations, self._targets[where], of_statistics, above)
            return packed(found.gradient), {name: float(loss) for name, loss in found.losses.items()}

    def _run(self, where: tuple[int, int], *, keep: bool) -> TileActivations:
        assert self._work is not None
        stage = self._stages[where[0]]
        return self._work.forward(stage, stage.tiles[where[1]], self._inputs[where], differentiable=keep)


@dataclass(frozen=True)
class Packed:
    """A tensor on its way: an array in the order of its memory, and whether a position's channels lie side by side."""

    array: np.ndarray
    channels_last: bool


def packed(tensor: Tensor) -> Packed:
    """A tensor as it travels."""
    tensor = tensor.detach().cpu()
    last = tensor.dim() == 4 and tensor.stride(1) == 1 and tensor.shape[1] > 1
    return Packed((tensor.permute(0, 2, 3, 1) if last else tensor).contiguous().numpy(), last)


def unpacked(sent: Packed) -> Tensor:
    """The tensor, in memory of its own: what arrived is in the store, and not to be written."""
    tensor = torch.from_numpy(sent.array.copy())
    return tensor.permute(0, 3, 1, 2) if sent.channels_last else tensor
