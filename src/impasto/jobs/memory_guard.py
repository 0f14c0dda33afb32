"""The memory of a job while it goes on: kept from step to step, and an error of ours where it runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from impasto.errors import ImpastoError
from impasto.run.plan import RunPlan
from impasto.storage.pool import POOL
from impasto.storage.process import freed_memory_returned


@contextmanager
def within_memory(plan: RunPlan) -> Iterator[None]:
    """Memory of a step is kept for the next; raises `ImpastoError` where it runs out in spite of the plan."""
    try:
        with POOL.kept(), ExitStack() as tight:
            if plan.memory.tile is not None:
                tight.enter_context(freed_memory_returned())
            yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):  # torch has no error of its own on CPUs
            raise
        raise ImpastoError(
            f"Painting {max(plan.size)} px took more memory than there was",
            "close other programs or give a lower `max_memory`",
        ) from error
