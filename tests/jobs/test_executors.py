"""The executor of this machine: what dies, dies alone, and what is asked to end may save."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from impasto.jobs.executors.executor import TRIES, Begun, Done, Lost, Told
from impasto.jobs.executors.local import LocalExecutor

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def importable(monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def test_a_task_is_called_for_each_item_by_so_many_processes_with_so_many_threads(tmp_path):
    executor = LocalExecutor(2, 3, tmp_path / "log")
    news = [one for one in executor.map("executor_tasks:double", ({"number": n} for n in range(5))) if one]
    assert sorted(one.number for one in news if isinstance(one, Begun)) == [0, 1, 2, 3, 4]
    results = {one.number: one.result for one in news if isinstance(one, Done)}
    assert results == {n: {"twice": 2 * n, "threads": "3"} for n in range(5)}
    assert [one.what for one in news if isinstance(one, Told)] == [{"half": 0.5}] * 5


def test_an_item_that_kills_its_process_fails_alone_and_one_that_did_once_is_tried_again(tmp_path):
    executor = LocalExecutor(2, 1, tmp_path / "log")
    items = [{"number": n, "folder": str(tmp_path)} for n in range(5)]
    news = [one for one in executor.map("executor_tasks:troubled", items) if one]
    assert {one.number: one.result for one in news if isinstance(one, Done)} == {n: {"number": n} for n in (0, 2, 4)}
    lost = {one.number: one.fault for one in news if isinstance(one, Lost)}
    assert lost.keys() == {1, 3}
    assert lost[1] == f"the process ended by signal 9 (the system may have run out of memory), {TRIES} times"
    assert lost[3] == "KeyError: 'odd'"
    assert [one.again for one in news if isinstance(one, Begun) and one.number == 2] == [False, True]
    assert "libraries print" in (tmp_path / "log").read_text()


def test_tasks_that_are_asked_to_end_save_and_no_other_is_begun(tmp_path):
    executor = LocalExecutor(2, 1, tmp_path / "log")
    items = [{"file": str(tmp_path / f"{n}.txt")} for n in range(4)]
    ended = {}
    for one in executor.map("executor_tasks:patient", items):
        if isinstance(one, Told):
            executor.end()
        if isinstance(one, Done):
            ended[one.number] = one.result["ended"]
    assert len(ended) <= 2
    assert all(ended.values())
    assert {path.name for path in tmp_path.glob("*.txt")} == {f"{n}.txt" for n in ended}


def test_whoever_closes_after_asking_waits_for_no_task(tmp_path):
    """As a second Ctrl-C does."""
    executor = LocalExecutor(2, 1, tmp_path / "log")
    news = executor.map("executor_tasks:stubborn", [{"file": str(tmp_path / f"{n}.txt")} for n in range(2)])
    while not isinstance(one := next(news), Told):
        pass
    executor.end()
    news.close()
    assert not psutil.pid_exists(one.what["pid"])
    assert not list(tmp_path.glob("*.txt"))


DRIVER = """
import sys
from pathlib import Path
from impasto.jobs.executors.local import LocalExecutor
folder = Path(sys.argv[1])
for news in LocalExecutor(1, 1, folder / "log").map("executor_tasks:patient", [{"file": str(folder / "0.txt")}]):
    if news is not None:
        print(news, flush=True)
"""


def test_a_task_saves_where_whoever_drives_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", DRIVER, tmp_path], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        while "Told" not in driver.stdout.readline():
            pass
        driver.kill()
    until = time.monotonic() + 30
    while not (tmp_path / "0.txt").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert (tmp_path / "0.txt").read_text() == "saved"
