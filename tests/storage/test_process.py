"""What impasto changes for a whole process: nothing unasked, as long as somebody wants it, and no longer."""

import os
import signal
import subprocess
import sys

import pytest

from impasto.storage import process
from impasto.storage.process import RETURNED, USUALLY_RETURNED, Interruption, freed_memory_returned, owned


@pytest.fixture
def thresholds(monkeypatch):
    """The thresholds that the C library was told, in order."""
    told = []
    monkeypatch.setattr(process, "_set_mmap_threshold", told.append)
    return told


def test_in_a_process_that_nobody_owns_the_c_library_is_left_alone(thresholds):
    with freed_memory_returned():
        pass
    with owned():
        pass
    with freed_memory_returned():
        pass
    assert thresholds == []


def test_memory_is_returned_from_the_first_of_nested_uses_to_the_last(thresholds):
    with owned():
        with freed_memory_returned(), freed_memory_returned():
            assert thresholds == [RETURNED]
        assert thresholds == [RETURNED, USUALLY_RETURNED]
        with freed_memory_returned():
            assert thresholds == [RETURNED, USUALLY_RETURNED, RETURNED]
    assert thresholds == [RETURNED, USUALLY_RETURNED] * 2


def test_uses_that_overlap_count_each_and_so_do_owners(thresholds):
    owners, uses = [owned(), owned()], [freed_memory_returned(), freed_memory_returned()]
    owners[0].__enter__()
    owners[1].__enter__()
    owners[0].__exit__(None, None, None)
    uses[0].__enter__()
    uses[1].__enter__()
    uses[0].__exit__(None, None, None)
    assert thresholds == [RETURNED]
    owners[1].__exit__(None, None, None)
    with freed_memory_returned():  # nobody's any more
        assert thresholds == [RETURNED]
    uses[1].__exit__(None, None, None)
    assert thresholds == [RETURNED, USUALLY_RETURNED]


def test_usual_memory_is_restored_after_an_error(thresholds):
    with pytest.raises(RuntimeError), owned(), freed_memory_returned():
        raise RuntimeError
    assert thresholds == [RETURNED, USUALLY_RETURNED]


@pytest.fixture
def no_torch_yet(monkeypatch):
    for name in (process.SPIN_COUNT, process.WAIT_POLICY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "torch")


@pytest.mark.usefixtures("no_torch_yet")
@pytest.mark.parametrize("block", [owned, process.short_waits])
def test_threads_wait_for_a_short_time_only_where_torch_is_loaded_in_the_block(block):
    with block():
        with owned():
            assert os.environ["GOMP_SPINCOUNT"] == process.SHORT
        assert os.environ["GOMP_SPINCOUNT"] == process.SHORT
    assert "GOMP_SPINCOUNT" not in os.environ


@pytest.mark.usefixtures("no_torch_yet")
@pytest.mark.parametrize(("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "active")])
def test_how_threads_wait_is_the_users_choice_first(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with owned():
        assert {key: os.environ.get(key) for key in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if key in os.environ} == {
            name: value
        }
    assert os.environ[name] == value


HOST = """
import os, sys
import impasto
assert "torch" not in sys.modules
spun = []
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            spun.append(os.environ.get("GOMP_SPINCOUNT"))
            raise ImportError  # enough is seen
sys.meta_path.insert(0, Finder())
try:
    impasto.stylize
except ImportError:
    print(spun, os.environ.get("GOMP_SPINCOUNT"))
"""


def test_a_host_that_loads_torch_through_impasto_gets_short_waits_and_keeps_its_environment():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP", "OMP"))}
    done = subprocess.run([sys.executable, "-c", HOST], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"['{process.SHORT}'] None\n"


def test_signals_are_noted_once_and_handled_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with Interruption() as outer, Interruption() as inner:
        signal.raise_signal(signal.SIGTERM)
        assert (outer.signal, inner.signal, inner.code) == (None, signal.SIGTERM, 128 + signal.SIGTERM)
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_ends_at_once_what_loses_nothing_by_it_also_where_it_came_before():
    with Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt), interruption.at_once():
            signal.raise_signal(signal.SIGTERM)
        assert interruption.code == 128 + signal.SIGTERM
        with pytest.raises(KeyboardInterrupt), interruption.at_once():
            raise AssertionError("was begun")
    with Interruption() as interruption:
        with interruption.at_once():
            pass
        signal.raise_signal(signal.SIGTERM)  # is noted alone, afterwards


LIGHT = """
import os, signal, sys
before = [dict(os.environ), [signal.getsignal(number) for number in signal.valid_signals()]]
import impasto.storage.files, impasto.storage.process
assert [dict(os.environ), [signal.getsignal(number) for number in signal.valid_signals()]] == before
assert "torch" not in sys.modules
"""


def test_importing_it_changes_nothing_and_loads_no_torch():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)
