"""What the state of a run on disk may hold: whatever else stands there is refused before anything goes on from it."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from torch import Tensor
from typing_extensions import TypedDict

from impasto.run.state import RunState, tensors_of

STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


@with_config(STRICT)
class Best(TypedDict):
    """Of `BestIterate.state`."""

    canvas: Tensor
    loss: float
    parts: dict[str, float]


@with_config(STRICT)
class Here(TypedDict):
    """The accepted trial of gradient descent."""

    canvas: Tensor
    gradient: Tensor
    loss: float
    parts: dict[str, float]


@with_config(STRICT)
class GradientDescentState(TypedDict):
    """Of `GradientDescent.state`."""

    first_move: Positive
    length: Positive | None
    here: Here | None


@with_config(STRICT)
class AdamState(TypedDict):
    """Of `Adam.state`."""

    learning_rate: Positive
    steps: Count
    first: Tensor | None
    second: Tensor | None


@with_config(STRICT)
class LBFGSState(TypedDict):
    """Of `LBFGS.state`: pairs of s, y and sᵀy, a canvas with its loss, and one with its gradient."""

    reach: Positive
    pairs: list[Annotated[list[Tensor | float], Field(min_length=3, max_length=3)]]
    best: Annotated[list[Tensor | float], Field(min_length=2, max_length=2)] | None
    last: Annotated[list[Tensor], Field(min_length=2, max_length=2)] | None


@with_config(STRICT)
class PruningState(TypedDict):
    """Of `LayerPruning.state`."""

    evaluations: Count
    held: dict[str, float]


@with_config(STRICT)
class Change(TypedDict):
    """Of `ScheduledChange`, whose knobs `Settings` checks."""

    after: Count
    knobs: dict[str, Any]


@with_config(STRICT)
class StateOnDisk(TypedDict):
    """The fields of `RunState`."""

    step: Count
    scale: Count
    restarts: Count
    seconds: Annotated[float, Field(ge=0)]
    canvas: Tensor
    best: Best | None
    optimizer: GradientDescentState | AdamState | LBFGSState
    pruning: PruningState | None
    schedule: list[Change]
    start: NotRequired[Tensor | None]
    taken: NotRequired[list[Annotated[int, Field(ge=1)]] | None]
    losses: NotRequired[list[Annotated[float, Field(allow_inf_nan=False)]]]


_ADAPTER = TypeAdapter(StateOnDisk)


def checked_state(tree: Any) -> RunState:
    """The state that was read as a tree of numbers and tensors; raises `ValueError` where it can't be one."""
    checked: Any = _ADAPTER.validate_python(tree)
    state = RunState(**checked)
    canvas = state.canvas
    if canvas.dim() != 4 or canvas.shape[:2] not in ((1, 3), (1, 1)):  # one channel of lightness
        raise ValueError("its canvas is no picture")
    for name, tensor in tensors_of(state.as_tree()):
        if tensor.shape != canvas.shape or tensor.dtype != canvas.dtype:
            raise ValueError(f"{name} is not like the canvas")
    pairs, best = state.optimizer.get("pairs", ()), state.optimizer.get("best")
    if not all(isinstance(value, float) == (place == 2) for pair in pairs for place, value in enumerate(pair)):
        raise ValueError("its curvature pairs are none")
    if best is not None and isinstance(best[0], float) | isinstance(best[1], Tensor):
        raise ValueError("its best canvas has no loss")
    if (state.optimizer.get("first") is None) != (state.optimizer.get("second") is None):
        raise ValueError("it has one of two moments")
    return state
