"""The optimisers by name."""

from __future__ import annotations

from impasto.run.optimizers.adam import Adam
from impasto.run.optimizers.base import Optimizer
from impasto.run.optimizers.gradient_descent import GradientDescent
from impasto.run.optimizers.lbfgs import LBFGS
from impasto.settings.choices import OptimizerName
from impasto.storage.scratch import MEMORY, Scratch


def make_optimizer(
    name: OptimizerName, *, learning_rate: float = 0.02, history: int = 20, scratch: Scratch = MEMORY
) -> Optimizer:
    """The optimiser of that name, at its start."""
    match name:
        case OptimizerName.GD:
            return GradientDescent(scratch=scratch)
        case OptimizerName.ADAM:
            return Adam(learning_rate, scratch)
        case OptimizerName.LBFGS:
            return LBFGS(history, scratch=scratch)
