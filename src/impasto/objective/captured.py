"""Evaluations as a graph of a device's kernels: recorded once for an objective, and replayed at each canvas.

A step launches hundreds of kernels, and at small sizes a GPU is done with one before the host has launched the next.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from impasto.images.size import size_of
from impasto.network.tiled_network import split_into_stages
from impasto.objective.evaluation import Evaluate, Evaluation, QueuedEvaluation
from impasto.objective.objective import Objective
from impasto.objective.tile_passes import LocalPasses

Work = Callable[[], None]

WARM_UPS = 3
"""Evaluations before the one that is recorded, in which libraries choose their kernels and take their memory."""

ALIKE = 1e-3
"""By how much numbers that are replayed may differ from computed ones: by far less than wrong ones would."""


class NotCaptured(UserWarning):
    """Evaluations couldn't be recorded, so each is launched kernel by kernel: slower at small sizes, else the same."""


def record_on_cuda(work: Work) -> Work:
    """Do some work, record it as a CUDA graph, and give what does it again; raises `RuntimeError` where that fails."""
    beside, here = torch.cuda.Stream(), torch.cuda.current_stream()
    beside.wait_stream(here)
    with torch.cuda.stream(beside):
        for _ in range(WARM_UPS):
            work()
    here.wait_stream(beside)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()  # a graph has memory of its own
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay


def record_nothing(work: Work) -> Work:
    """Work that is done anew each time, for devices without graphs: in tests, the CPU."""
    work()
    return work


RECORDERS: dict[str, Callable[[Work], Work]] = {"cuda": record_on_cuda}
"""How work is recorded, by type of device."""


def evaluation_of(objective: Objective) -> Evaluate:
    """The evaluation of an objective, captured where its device can do that and the network sees the canvas whole."""
    device = objective.engine.device
    if device.type not in RECORDERS or objective.passes is not LocalPasses:
        return objective.evaluate
    return Captured(objective, RECORDERS[device.type])


class Captured:
    """The evaluation of one objective at canvases of one size, recorded when it is first asked for.

    An objective is made anew with each scale and each change of weights, and what was recorded of the last one goes
    with it. Where it can't be recorded, or what is replayed isn't what was computed, `NotCaptured` is told once and
    evaluations go on as they were.
    """

    def __init__(self, objective: Objective, record: Callable[[Work], Work]) -> None:
        self._objective, self._record = objective, record
        self._replay: Evaluate | None = None

    @property
    def captured(self) -> bool:
        """Whether evaluations are replayed."""
        return isinstance(self._replay, _Replay)

    def __call__(self, canvas: Tensor) -> Evaluation:
        """See `Objective.evaluate`."""
        if self._replay is None:
            self._replay = self._prepared(canvas)
        return self._replay(canvas)

    def _prepared(self, canvas: Tensor) -> Evaluate:
        objective = self._objective
        stages = split_into_stages(size_of(canvas), objective.layers, objective.tile)
        if canvas.device != objective.engine.device or sum(len(stage.tiles) for stage in stages) > 1:
            return objective.evaluate  # tiles are large, and copied while the device computes
        computed = objective.evaluate(canvas)
        try:
            replay = _Replay(objective.evaluate, canvas, self._record)
            why = replay.difference(canvas, computed)
        except RuntimeError as error:  # CUDA's errors, and want of memory, are all of this kind
            why = f"{type(error).__name__}: {error}"
        else:
            if not why:
                return replay
        warnings.warn(
            f"A step couldn't be captured as a graph, so it is launched kernel by kernel ({why})",
            NotCaptured,
            stacklevel=2,
        )
        return objective.evaluate


class _Replay:
    """What was recorded, with the memory that it reads a canvas from and leaves its results in."""

    def __init__(self, evaluate: Evaluate, canvas: Tensor, record: Callable[[Work], Work]) -> None:
        self._canvas = canvas.clone()
        self._left: QueuedEvaluation | None = None

        def work() -> None:
            now, left = evaluate(self._canvas), self._left
            if not isinstance(now, QueuedEvaluation):
                raise RuntimeError("it looked at its numbers")
            if left is None:
                self._left = now
            else:
                left.numbers.copy_(now.numbers)
                left.gradient.copy_(now.gradient)

        self._again = record(work)

    def __call__(self, canvas: Tensor) -> Evaluation:
        """The evaluation at a canvas, copied out of the memory that the next one is left in."""
        self._canvas.copy_(canvas)
        self._again()
        left = self._left
        assert left is not None, "the first of its warm-ups left something"
        return QueuedEvaluation(left.numbers.clone(), left.names, left.gradient.clone())

    def difference(self, canvas: Tensor, computed: Evaluation) -> str:
        """What differs between an evaluation that is replayed and one that was computed; nothing if it is ''."""
        other = self(canvas * 0.5 + 0.25)  # or what was recorded might still lie there
        found = self(canvas)
        assert isinstance(found, QueuedEvaluation)
        assert isinstance(computed, QueuedEvaluation)
        if bool(computed.total.isfinite()) and torch.equal(other.gradient, found.gradient):
            return "it doesn't follow its canvas"
        for what, now, before in (
            ("loss", found.numbers, computed.numbers),
            ("gradient", found.gradient, computed.gradient),
        ):
            apart, least = (now - before).abs().max(), ALIKE * before.abs().max()
            if bool(apart > least):
                return f"its {what} was off by {float(apart / before.abs().max()):.1g}"
        return ""
