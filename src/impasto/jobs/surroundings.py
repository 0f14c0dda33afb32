"""What a job needs of the process that it runs in: torch's modes as usual, and memory kept from step to step.

Each step of a run happens between two events. What its host does between them, and the errors that it throws into the
events, are the host's own; modes that the host has set for its thread are set aside during a step, and only then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import torch

from impasto.errors import ImpastoError
from impasto.jobs.logged import log_event
from impasto.network.engine import Engine
from impasto.run.events import Event
from impasto.run.plan import RunPlan
from impasto.settings.choices import EngineName
from impasto.settings.settings import Settings
from impasto.storage.cores import at_most
from impasto.storage.pool import POOL
from impasto.storage.process import freed_memory_returned


class _Threads:
    """How many threads torch computes with, for a while in one thread of Python's.

    Torch keeps that number for each thread, but one that begins gets what any thread has set last. So a thread whose
    first job begins while another's is at work is given what the host has set, not what that job has for the moment.
    """

    def __init__(self) -> None:
        self._lock, self._known = threading.Lock(), threading.local()
        self._users, self._usual = 0, 0

    def begin(self) -> None:
        """Have this thread begin with the host's number."""
        if not hasattr(self._known, "begun"):
            with self._lock:
                if torch.get_num_threads() != self._usual and self._users:
                    torch.set_num_threads(self._usual)
            self._known.begun = True

    @contextmanager
    def set_to(self, count: int) -> Iterator[None]:
        """So many while the block runs."""
        with self._lock:
            before = torch.get_num_threads()
            self._usual = self._usual if self._users else before
            self._users += 1
            torch.set_num_threads(count)
        try:
            yield
        finally:
            with self._lock:
                torch.set_num_threads(before)
                self._users -= 1


_threads = _Threads()


@contextmanager
def usual_modes(threads: int | str = "auto") -> Iterator[None]:
    """Torch with its usual modes while the block runs, whatever the thread's are: gradients, float32, no autocast.

    It computes with so many threads, 'auto' being as many as the host has set. The default type of numbers is one for
    the whole process: it is put back, and changed only where it isn't float32.
    """
    _threads.begin()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if threads not in ("auto", torch.get_num_threads()):
            stack.enter_context(_threads.set_to(int(threads)))
        if (default := torch.get_default_dtype()) != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, default)
        yield


SMALL = 384
"""Pixels on the longest side up to which torch's part beside the native engine is left to one thread."""


@contextmanager
def computing(engine: Engine, settings: Settings) -> Iterator[None]:
    """`usual_modes` for evaluations by an engine.

    The native engine shares its loops out by itself, among at most so many threads, fewer beside busy programs. For a
    small picture torch has one thread for the rest: that costs nothing, none waits for another while a busy program has
    its core, and the picture is the same to the bit for any number of threads. For a large one the rest is worth all.
    """
    with usual_modes(settings.threads):
        if engine.name != EngineName.NATIVE:
            yield
            return
        most, side = torch.get_num_threads(), settings.longest_side
        small = side is not None and side <= SMALL
        with _threads.set_to(1) if small else nullcontext(), at_most(most):
            yield


@contextmanager
def memory_kept(plan: RunPlan) -> Iterator[None]:
    """Memory of a step is kept for the next while the block runs."""
    with POOL.kept(), ExitStack() as tight:
        if plan.memory.tile is not None:
            tight.enter_context(freed_memory_returned())
        yield


def driven(events: Iterator[Event], plan: RunPlan, engine: Engine, settings: Settings) -> Iterator[Event]:
    """The events of a run, each made in the modes of `computing`, and told to Python's logging.

    Raises `ImpastoError` where memory runs out all the same.
    """
    with memory_kept(plan):
        try:
            while True:
                try:
                    with computing(engine, settings):
                        event = next(events)
                except StopIteration:
                    return
                except (MemoryError, RuntimeError) as error:
                    if not _is_short_of_memory(error):
                        raise
                    raise ImpastoError(
                        f"Painting {max(plan.size)} px took more memory than there was",
                        "close other programs or give a lower `max_memory`",
                    ) from error
                log_event(event)
                yield event
                del event  # or its picture would take memory through the next step
        finally:
            if close := getattr(events, "close", None):
                close()


def _is_short_of_memory(error: Exception) -> bool:
    """On CPUs torch has no type for it, but its allocator's name stands in what it says."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
