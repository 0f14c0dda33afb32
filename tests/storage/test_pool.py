"""Memory that a step has freed is there for the next one, and the system's again after the run."""

import gc
import subprocess
import sys

import pytest
import torch

from helpers import smooth_image
from impasto.network import weights
from impasto.network.engines.native import NativeEngine
from impasto.network.engines.native_library import why_not
from impasto.network.tiled_network import run_stages, split_into_stages
from impasto.storage import pool as allocation
from impasto.storage.pool import LARGE, POOL, Pool
from impasto.storage.scratch import Scratch

MANY = LARGE  # floats: four times what is kept


def test_memory_comes_back_when_the_last_tensor_in_it_is_gone():
    pool = Pool()
    with pool.kept():
        first = pool.empty(2, MANY)
        at, view = first.data_ptr(), first[1]
        del first
        other = pool.empty(2, MANY)
        assert other.data_ptr() != at  # a view is still there
        del view
        assert pool.empty(MANY, 2).data_ptr() == at


def test_what_autograd_has_saved_is_not_given_to_others():
    pool = Pool()
    with pool.kept():
        x = pool.empty(MANY).fill_(3.0)
        factor = torch.ones(MANY, requires_grad=True)
        loss = (x * factor).sum()
        del x
        pool.empty(MANY).fill_(7.0)
        loss.backward()
    assert factor.grad is not None
    assert bool((factor.grad == 3).all())


def test_much_larger_memory_is_not_used_up_and_smaller_gives_way_to_larger():
    pool = Pool()
    with pool.kept():
        del_me = pool.empty(4 * MANY)
        large = del_me.data_ptr()
        del del_me
        small = pool.empty(MANY)
        assert small.data_ptr() != large
        assert pool.empty(4 * MANY).data_ptr() == large
        pool.empty(8 * MANY)
        pool.empty(8 * MANY)
        assert pool.nbytes <= 9 * 4 * MANY


def test_nothing_is_kept_after_the_last_run_nor_outside_of_one():
    pool = Pool()
    with pool.kept(), pool.kept():
        late = pool.empty(MANY)
        pool.empty(MANY)
    late.fill_(1.0)
    del late
    gc.collect()
    assert pool.nbytes == 0
    pool.empty(MANY)
    assert pool.nbytes == 0


def test_only_float32_on_the_cpu_is_pooled():
    pool = Pool()
    with pool.kept():
        double = pool.like(torch.zeros(1, dtype=torch.float64), MANY)
    assert (double.dtype, double.shape) == (torch.float64, (MANY,))


HOLES = """
import contextlib, psutil, torch
from impasto.storage import process
torch.ones(2**21)  # freed: from now on the library takes pieces of 8 MB from its heap
for whose in (contextlib.nullcontext(), process.owned()):
    with whose, process.freed_memory_returned():
        before = psutil.Process().memory_info().rss
        pieces = [torch.ones(2**19 + 2**12 * i) for i in range(100)]  # 2 to 4 MB each
        del pieces[:-1:2]
        print((psutil.Process().memory_info().rss - before) / sum(piece.nbytes for piece in pieces))
    later = pieces
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="GNU's C library")
def test_what_is_freed_goes_back_at_once_in_a_process_of_impastos_own_and_in_no_other():
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    library, owned = map(float, done.stdout.split())
    assert library > 1.6
    assert owned < 1.2


@pytest.mark.skipif(why_not() is not None, reason=f"THE NATIVE ENGINE IS NOT TESTED: {why_not()}")
def test_where_canvases_are_in_files_one_stages_memory_is_not_kept_for_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(allocation, "LARGE", 1)
    image, stages = smooth_image(96, 96, dtype=torch.float32), split_into_stages((96, 96), ("relu1_1", "relu4_1"), 32)
    free = []
    with POOL.kept():
        for folder in (None, tmp_path):
            engine = NativeEngine(weights.load())
            for activations in run_stages(engine, stages, image, Scratch(folder)):
                if activations.stage is stages[1]:
                    free.append(POOL.nbytes)
                    break
            POOL.trim()
    assert free[1] < free[0]
