"""Where a run begins, or goes on: its first canvas or a saved one, with the optimiser that its device is fit for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from impasto.errors import SettingsError
from impasto.images.size import size_of
from impasto.objective.problem import Problem
from impasto.run.descent import Descent, checked
from impasto.run.optimizers.choice import make_optimizer
from impasto.run.plan import RunPlan
from impasto.run.state import RunState
from impasto.settings.choices import OptimizerName
from impasto.settings.settings import Settings
from impasto.storage.devices import queued


def begin_descent(settings: Settings, problem: Problem, plan: RunPlan, resume: RunState | None) -> Descent:
    """The descent of a run that begins, or goes on from where `resume` was; raises `SettingsError` if that won't fit.

    Where the device's work is queued its steps don't wait for it, but for gradient descent, whose line search looks at
    losses, and where layers are left out by them.
    """
    s, queues = settings, queued(problem.device) and settings.optimizer is not OptimizerName.GD
    queues = queues and not s.negligible
    optimizer = make_optimizer(
        s.optimizer,
        learning_rate=s.learning_rate,
        history=plan.memory.history,
        scratch=problem.scratch,
        queued=queues,
    )
    if resume is None:
        first = plan.scales[0].size
        picture = problem.transform(first).picture
        return Descent(problem.first_canvas(first), optimizer, picture, problem.scratch, queued=queues)
    state = checked(resume, plan).to(problem.device)
    with _fitting():
        picture = problem.transform(size_of(state.canvas)).picture
        return Descent.from_state(state, optimizer, picture, problem.scratch, queued=queues)


@contextmanager
def _fitting() -> Iterator[None]:
    """Raises `SettingsError` for a state of another kind of run, such as one with another optimiser."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            "The state isn't one of a run with these settings", "go on with the settings that it began with"
        ) from error
