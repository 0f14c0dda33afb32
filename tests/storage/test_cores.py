"""How many threads the native engine takes: what other programs leave idle, and the same bits for any number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from impasto.jobs.stylization import Stylization
from impasto.jobs.surroundings import computing
from impasto.network import weights
from impasto.network.engines import native_library
from impasto.network.engines.choice import make_engine
from impasto.network.engines.native_library import why_not
from impasto.settings.settings import Settings
from impasto.storage import cores
from impasto.storage.cores import PERIOD, STALE, Count, IdleCores

needs_native = pytest.mark.skipif(why_not() is not None, reason=f"THE NATIVE ENGINE IS NOT TESTED: {why_not()}")
QUICK = {"size": 64, "epochs": 1, "steps_per_epoch": 3, "scales": 2, "device": "cpu"}


@pytest.fixture
def machine(monkeypatch):
    """A machine of four cores, on which `pass_by(seconds, others, own)` lets cores be busy for a while."""
    now = {"clock": 100.0, "busy": 5000.0, "own": 7.0}
    monkeypatch.setattr(cores, "_allowed", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(cores.time, "perf_counter", lambda: now["clock"])

    def pass_by(seconds: float, others: float, own: float = 1.0) -> None:
        now["clock"] += seconds
        now["busy"] += (others + own) * seconds
        now["own"] += own * seconds

    return IdleCores(lambda: Count(**now)), pass_by


@pytest.mark.parametrize(("others", "threads"), [(0, 4), (0.4, 4), (0.6, 3), (1, 3), (2.2, 2), (3, 1), (4, 1), (9, 1)])
def test_a_thread_is_taken_for_each_core_that_others_leave_idle_and_one_at_least(machine, others, threads):
    idle, pass_by = machine
    assert idle.threads(4) == 4, "nothing is known yet"
    pass_by(PERIOD + 0.01, others)
    assert idle.threads(4) == threads
    assert idle.threads(2) == min(2, threads)


def test_what_the_process_itself_takes_is_not_what_others_take(machine):
    idle, pass_by = machine
    pass_by(1, others=0, own=4)
    assert idle.threads(4) == 4


def test_threads_follow_the_load_as_it_comes_and_goes_but_not_within_a_period(machine):
    idle, pass_by = machine
    pass_by(1, others=3)
    assert idle.threads(4) == 1
    pass_by(PERIOD / 2, others=0)
    assert idle.threads(4) == 1
    pass_by(PERIOD, others=0)
    assert idle.threads(4) > 1
    pass_by(PERIOD, others=0)
    assert idle.threads(4) == 4


def test_what_was_counted_long_ago_says_nothing_of_now(machine):
    idle, pass_by = machine
    pass_by(STALE + 1, others=3)
    assert idle.threads(4) == 4


def test_where_the_system_tells_nothing_of_its_cores_they_count_as_idle(monkeypatch):
    def refuses(**_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(cores.psutil, "cpu_times", refuses)
    assert cores.count().busy == 0


def test_a_process_that_may_run_on_some_cores_counts_those_alone(monkeypatch):
    from collections import namedtuple

    times = namedtuple("times", "user idle iowait guest")
    monkeypatch.setattr(cores.psutil, "cpu_times", lambda **_: [times(5, 1, 1, 5), times(70, 1, 1, 70)])
    monkeypatch.setattr(cores, "_allowed", lambda: {0})
    assert cores.count().busy == 5


@needs_native
@pytest.mark.parametrize(("size", "of_torch"), [(256, 1), (384, 1), (385, 4), ("original", 4)])
def test_the_native_engine_takes_the_idle_cores_and_torch_one_thread_for_a_small_picture(size, of_torch, monkeypatch):
    engine, before = make_engine(Settings(engine="native"), weights.load()), torch.get_num_threads()
    monkeypatch.setattr(cores.IDLE, "threads", lambda most: most - 1)
    with computing(engine, Settings(engine="native", threads=4, size=size)):
        assert (native_library.thread_count(), torch.get_num_threads()) == (3, of_torch)
    assert (native_library.thread_count(), torch.get_num_threads()) == (before, before)


@needs_native
def test_a_picture_is_the_same_to_the_bit_for_any_number_of_threads_and_whatever_is_idle(monkeypatch, photo, painting):
    counted, found = iter(range(10**9)), set()
    for threads, idle in ((1, lambda _: 1), (2, lambda _: 2), (3, lambda _: 1 + next(counted) % 3)):
        monkeypatch.setattr(cores.IDLE, "threads", idle)
        job = Stylization(photo, [painting], Settings(**QUICK, engine="native", threads=threads))
        found.add(list(job.events())[-1].picture.numpy().tobytes())
    assert len(found) == 1


def test_no_engine_of_ours_asks_torch_how_many_threads_there_are():
    # During a run torch has one: thread_count says how many a loop of native.c takes.
    folder = Path(native_library.__file__).parent
    asking = {path.name for path in folder.glob("*.py") if "get_num_threads" in path.read_text()}
    assert asking == {"native_library.py", "trial.py"}, "a trial has its own, one, and gives torch's back"


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def painting() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
