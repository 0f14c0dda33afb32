"""Everything that impasto changes for a whole process: the C library's memory, OpenMP, signal handlers, forks.

In a program that uses impasto as a library, the process is that program's: nothing here happens to it unless it asks.
Whoever owns the process, as the command line does, says so by `owned`. Two things are on for everybody. Fork safety
acts at a fork alone, and without it a child would wait for ever. Short waits (`short_waits`) are set where impasto is
what loads torch, so that threads which wait leave their core to other programs. No torch is imported here.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType, TracebackType

from impasto.storage.quick_torch import quick_torch

SPIN_COUNT, WAIT_POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
"""Variables of the environment that say how threads of GNU's OpenMP wait, read once, where torch is loaded."""

SHORT = "3000"
"""How often a thread of GNU's OpenMP looks for work before it sleeps; by itself some 10^10 times.

Beside another busy program that makes a step 1.2 to 1.5 times as fast, alone it costs 2 to 5 %
(docs/decisions/0004-native-engine.md).
"""

M_MMAP_THRESHOLD = -3
"""mallopt's parameter, from <malloc.h>."""

RETURNED, USUALLY_RETURNED = 2**20, 32 * 2**20
"""Bytes from which on freed memory goes to the system at once, and the most that the library sets by itself."""

OMP_PAUSE_SOFT = 1
"""OpenMP 5.0, 3.2.44: keep the settings and give up the rest."""


class _Nested:
    """How many blocks, nested or overlapping in threads, want something to be in force."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0

    def enter(self) -> bool:
        """Whether the one that enters is the first; with the lock held."""
        self.users += 1
        return self.users == 1

    def leave(self) -> bool:
        """Whether the one that leaves was the last; with the lock held."""
        self.users -= 1
        return self.users == 0


_owners, _waiting, _returning = _Nested(), _Nested(), _Nested()


@contextmanager
def owned() -> Iterator[None]:
    """Say that this process is impasto's own while the block runs; blocks may be nested and overlap.

    Torch is loaded with `short_waits` there, and as `quick_torch` does it.
    """
    with _owners.lock:
        _owners.enter()
    try:
        with short_waits(), quick_torch():
            yield
    finally:
        with _owners.lock:
            _owners.leave()


def is_owned() -> bool:
    """Whether somebody has said that this process is impasto's own."""
    return _owners.users > 0


@contextmanager
def short_waits() -> Iterator[None]:
    """Where torch is loaded in this block, OpenMP's threads wait for each other without spinning for long.

    Unless the environment says how they wait. After the last block the environment is as before.
    """
    with _waiting.lock:
        if _waiting.enter() and "torch" not in sys.modules and not {SPIN_COUNT, WAIT_POLICY} & os.environ.keys():
            os.environ[SPIN_COUNT] = SHORT
            _set_by_us.append(SPIN_COUNT)
    try:
        yield
    finally:
        with _waiting.lock:
            if _waiting.leave():
                while _set_by_us:
                    os.environ.pop(_set_by_us.pop(), None)


_set_by_us: list[str] = []  # variables of the environment


@contextmanager
def freed_memory_returned() -> Iterator[None]:
    """What is freed of large memory goes to the system at once while the block runs, under GNU's C library.

    By itself it keeps pieces of up to 32 MB in its heap, where tiles of many sizes leave holes that nothing fits in.
    Does nothing in a process that isn't `owned`. Blocks may be nested and overlap; the last restores what was usual.
    """
    if not is_owned():
        yield
        return
    with _returning.lock:
        if _returning.enter():
            _set_mmap_threshold(RETURNED)
    try:
        yield
    finally:
        with _returning.lock:
            if _returning.leave():
                _set_mmap_threshold(USUALLY_RETURNED)


def _set_mmap_threshold(size: int) -> None:
    import ctypes  # which takes a while that `--help` needn't wait for

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, size)


class Interruption:
    """Ctrl-C, SIGTERM or SIGHUP while this is entered: the first is noted in `signal`, the second quits at once.

    SIGHUP, which tells of a lost terminal, is left alone where nohup made it ignored. Enter it in the main thread.
    """

    CAUGHT = tuple(
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
    )  # fmt: skip

    def __init__(self) -> None:
        self.signal: int | None = None
        self._raises = False

    def __enter__(self) -> Interruption:
        self._before = {
            number: signal.signal(number, self._note)
            for number in self.CAUGHT
            if number != getattr(signal, "SIGHUP", None) or signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While nothing would be lost by it, the first signal ends what is done too: it raises `KeyboardInterrupt`."""
        self._raises = True
        try:
            if self.signal is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    @property
    def code(self) -> int:
        """The exit code that tells of the signal."""
        return 128 + (self.signal or signal.SIGINT)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise SystemExit(128 + number)
        self.signal = number
        if self._raises:
            raise KeyboardInterrupt


def death(code: int | None) -> str:
    """How a process ended, in words, by its exit code as `subprocess` has it."""
    if code is None or code >= 0:
        return f"with exit code {code}"
    killed = " (the system may have run out of memory)" if -code == getattr(signal, "SIGKILL", None) else ""
    return f"by signal {-code}{killed}"


@cache
def make_forks_safe() -> None:
    """Let every fork from now on leave OpenMP's threads behind; does nothing where there is no fork.

    A forked child has one thread, but GNU's OpenMP goes on believing in the ones that its parent had, and waits for
    them at its first loop. So they are ended just before a fork; the next loop, there and here, starts new ones. A
    runtime that can't end them (before GCC 9) makes do with one thread in the child. Fork while no other thread
    computes: the locks that it holds in torch stay closed in the child. To be called where torch is loaded.
    """
    if not hasattr(os, "register_at_fork"):
        return
    import ctypes

    pause = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)
    if pause is None:
        os.register_at_fork(after_in_child=_use_one_thread)
    else:
        os.register_at_fork(before=lambda: pause(OMP_PAUSE_SOFT))


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def repeat_on_cuda(*, tf32: bool) -> None:
    """Let cuDNN take only kernels that repeat to the bit, and round to TF32 or not, as `precision` says.

    Torch has one such switch each for the process.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.deterministic = True
