"""Stylization in a process that was forked off one that has painted: without this, it would wait for ever."""

from __future__ import annotations

import ctypes
import os
from functools import cache

import torch

SOFT = 1
"""OpenMP 5.0, 3.2.44: omp_pause_soft, keep the settings and give up the rest."""


@cache
def make_forks_safe() -> None:
    """Let every fork from now on leave OpenMP's threads behind; does nothing where there is no fork.

    A forked child has one thread, but GNU's OpenMP goes on believing in the ones that its parent had, and waits for
    them at its first loop. So they are ended just before a fork; the next loop, there and here, starts new ones. A
    runtime that can't end them (before GCC 9) makes do with one thread in the child. Fork while no other thread is
    painting: the locks that it holds in torch stay closed in the child.
    """
    if not hasattr(os, "register_at_fork"):
        return
    pause = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)
    if pause is None:
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
    else:
        os.register_at_fork(before=lambda: pause(SOFT))
