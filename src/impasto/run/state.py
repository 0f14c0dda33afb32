"""A run between two steps, as data: what the rest of it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from impasto.run.optimizers.base import State


@dataclass(frozen=True)
class RunState:
    """A run between two steps: besides inputs and settings, all that the rest of it depends on.

    `step` of the run and `scale` count from 1, `best` is the best iterate of that scale and the objective there,
    `pruning` which layers are left out, `schedule` the record of knobs that were changed, `start` the canvas that the
    scale began with, where its targets depend on it. `taken` are the steps of the scales before, None where all were
    that had been planned, and `losses` what `stop_gain` goes by. No random number is drawn after the first canvas: no
    generator is kept.
    """

    step: int
    scale: int
    restarts: int
    seconds: float
    canvas: Tensor
    best: State | None
    optimizer: State
    pruning: State | None = None
    schedule: Sequence[State] = ()
    start: Tensor | None = None
    taken: Sequence[int] | None = None
    losses: Sequence[float] = ()

    @property
    def steps_taken(self) -> int:
        """How many steps were taken, those that were taken again counted too."""
        return self.step + self.restarts

    def to(self, device: torch.device) -> RunState:
        """The same on that device; what was one tensor stays one."""
        moved: dict[int, Tensor] = {}

        def move(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            if id(leaf) not in moved:
                # One that was read under inference mode has to be copied before it can take part in gradients.
                moved[id(leaf)] = leaf.clone() if leaf.is_inference() else leaf.to(device)
            return moved[id(leaf)]

        return RunState(**map_leaves(self.as_tree(), move))

    def as_tree(self) -> dict[str, Any]:
        """Its fields by name, not copied."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # asdict() would copy the tensors


def map_leaves(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """A tree of dicts and lists, with every leaf gone through `leaf`."""
    if isinstance(tree, dict):
        return {name: map_leaves(branch, leaf) for name, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [map_leaves(branch, leaf) for branch in tree]
    return leaf(tree)


def tensors_of(tree: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a tree, each with the names on the way to it: 'state.optimizer.pairs.3.0'."""
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    for key, branch in branches:
        yield from tensors_of(branch, f"{name}.{key}" if name else str(key))
    if isinstance(tree, Tensor):
        yield name, tree
