"""The optimisers by name."""

from __future__ import annotations

from impasto.run.optimizers.adam import Adam
from impasto.run.optimizers.base import Optimizer
from impasto.run.optimizers.gradient_descent import GradientDescent
from impasto.run.optimizers.lbfgs import LBFGS
from impasto.run.optimizers.queued_lbfgs import QueuedLBFGS
from impasto.settings.choices import OptimizerName
from impasto.storage.scratch import MEMORY, Scratch


def make_optimizer(
    name: OptimizerName,
    *,
    learning_rate: float = 0.02,
    history: int = 20,
    scratch: Scratch = MEMORY,
    queued: bool = False,
) -> Optimizer:
    """The optimiser of that name, at its start; `queued`, one that leaves its decisions to the device."""
    match name:
        case OptimizerName.GD:
            return GradientDescent(scratch=scratch)
        case OptimizerName.ADAM:
            return Adam(learning_rate, scratch)
        case OptimizerName.LBFGS:
            return QueuedLBFGS(history, scratch=scratch) if queued else LBFGS(history, scratch=scratch)
