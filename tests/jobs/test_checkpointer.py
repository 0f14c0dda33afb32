"""A run's state is saved when it is time, by one process alone, and a disk that fails costs the run nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
import torch

from impasto.errors import ImpastoError
from impasto.jobs import checkpoint
from impasto.jobs import checkpointer as checkpointer
from impasto.jobs.checkpointer import LOCK, STATE, Checkpointer
from impasto.jobs.recipe import InputFile, Recipe
from impasto.run.events import EpochDone, Stepped
from impasto.run.optimizers.gradient_descent import GradientDescent
from impasto.run.state import RunState
from impasto.storage.files import write_atomically

RECIPE = Recipe("0", {}, InputFile("photo", None, "0"), (), None, "0", "2", 1, "here")
CANVAS = torch.full((1, 3, 4, 4), 0.5)


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self, monkeypatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(checkpointer.time, "monotonic", lambda: self.now)


class Desk:
    """A checkpointer whose saves take a known time, and what came of it."""

    def __init__(self, folder, monkeypatch, *, every=None, cost=0.0) -> None:
        self.clock, self.saves, self.warnings, self.step, self.cost = Clock(monkeypatch), [], [], 0, cost
        write = checkpoint.write

        def timed(path, found):
            self.clock.now += self.cost
            write(path, found)
            self.saves.append(found.state.step)

        monkeypatch.setattr(checkpoint, "write", timed)
        self.checkpointer = Checkpointer(
            folder, RECIPE, record=lambda: {"step": self.step}, shell={}, every=every, warn=self.warnings.append
        )

    def steps(self, count: int, seconds: float, scale: int = 1) -> None:
        for _ in range(count):
            self.clock.now += seconds
            self.step += 1
            state = RunState(self.step, scale, 0, self.clock.now, CANVAS, None, GradientDescent().state())
            self.checkpointer.observe(
                Stepped(self.step, 1, scale, (4, 4), 1.0, {}, self.clock.now, lambda: CANVAS, lambda s=state: s)
            )


def test_it_saves_the_first_step_each_minute_and_each_new_scale(tmp_path, monkeypatch):
    desk = Desk(tmp_path / "run", monkeypatch)
    with desk.checkpointer:
        desk.steps(14, 10.0)
        desk.steps(1, 0.1, scale=2)
    assert desk.saves == [1, 7, 13, 15]
    saved = checkpoint.read(tmp_path / "run" / STATE)
    assert (saved.state.step, saved.record, saved.recipe) == (15, {"step": 15}, RECIPE)


def test_saving_that_takes_long_is_done_so_seldom_that_it_takes_one_percent_of_the_time(tmp_path, monkeypatch):
    desk = Desk(tmp_path / "run", monkeypatch, cost=3.0)
    with desk.checkpointer:
        desk.steps(100, 10.0)
        desk.steps(100, 10.0, scale=2)
    assert desk.checkpointer.spent == 3.0 * len(desk.saves)
    assert 0.008 < desk.checkpointer.spent / desk.clock.now < 0.012


@pytest.mark.parametrize(("every", "saves"), [(0.0, [1, 2, 3, 4, 5]), (25.0, [1, 4, 5]), (1e9, [1, 5])])
def test_an_interval_that_was_asked_for_is_kept_however_long_saving_takes(tmp_path, monkeypatch, every, saves):
    desk = Desk(tmp_path / "run", monkeypatch, every=every, cost=2.0)
    with desk.checkpointer:
        desk.steps(4, 10.0)
        desk.steps(1, 1.0, scale=2)
    assert desk.saves == saves


def test_events_without_a_state_are_none_of_its_business(tmp_path, monkeypatch):
    desk = Desk(tmp_path / "run", monkeypatch)
    with desk.checkpointer:
        desk.checkpointer.observe(EpochDone(1, CANVAS))
        desk.checkpointer.observe(Stepped(1, 1, 1, (4, 4), 1.0, {}, 0.0, lambda: CANVAS))
        assert not desk.checkpointer.save()
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_in_is_said_once_and_used_again_when_it_can(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.write_text("a file is in the way")
    desk = Desk(folder, monkeypatch, every=0.0)
    with desk.checkpointer:
        desk.steps(3, 1.0)
        assert desk.saves == []
        (warning,) = desk.warnings
        assert warning.startswith(f"The run's state can't be saved in '{folder}' (File exists): it goes on")
        folder.unlink()
        desk.steps(2, 1.0)
    assert desk.saves == [4, 5]
    assert len(desk.warnings) == 1


def test_a_folder_that_vanishes_is_made_again_and_one_whose_parent_is_gone_is_a_warning(tmp_path, monkeypatch):

    (tmp_path / "out").mkdir()
    folder = tmp_path / "out" / "run"
    desk = Desk(folder, monkeypatch, every=0.0)
    with desk.checkpointer:
        desk.steps(1, 1.0)
        shutil.rmtree(folder)
        desk.steps(1, 1.0)
        assert checkpoint.read(folder / STATE).state.step == 2
        shutil.rmtree(tmp_path / "out")
        desk.steps(2, 1.0)
    assert desk.saves == [1, 2]
    assert [("No such file" in warning) for warning in desk.warnings] == [True]


def test_a_second_process_is_refused_and_let_in_after_the_first_was_killed(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    code = (
        "import sys; from filelock import FileLock\n"
        f"lock = FileLock({str(folder / LOCK)!r}); lock.acquire(); print('mine', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "mine\n"
    desk = Desk(folder, monkeypatch)
    with pytest.raises(ImpastoError, match="belongs to a run that another process is painting"):
        desk.checkpointer.__enter__()
    other.kill()
    other.communicate()
    with desk.checkpointer:
        desk.steps(1, 1.0)
    assert desk.saves == [1]


def test_a_folder_is_free_again_as_soon_as_its_checkpointer_is_left(tmp_path, monkeypatch):
    first, second = (Desk(tmp_path / "run", monkeypatch) for _ in range(2))
    with first.checkpointer:
        first.steps(1, 1.0)
    with second.checkpointer:
        second.steps(1, 1.0)
        assert second.checkpointer.saved
    assert first.warnings == second.warnings == []


def test_what_killed_processes_left_in_the_folder_is_cleared_away_on_entering(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    with monkeypatch.context() as killed:
        killed.setattr("pathlib.Path.unlink", lambda *_, **__: None)
        killed.setattr("pathlib.Path.replace", lambda *_: None)
        write_atomically(folder / STATE, lambda file: file.write(b"half"))
    assert len(list(folder.iterdir())) == 1
    desk = Desk(folder, monkeypatch)
    with desk.checkpointer:
        assert {path.name for path in folder.iterdir()} <= {LOCK}


def test_the_folder_goes_when_the_state_is_discarded_and_stays_where_there_is_one_or_a_strangers_file(
    tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    desk = Desk(folder, monkeypatch, every=0.0)
    with desk.checkpointer:
        desk.steps(1, 1.0)
    assert desk.checkpointer.saved
    assert (folder / STATE).exists()
    with desk.checkpointer:
        desk.checkpointer.discard()
    assert not folder.exists()
    with desk.checkpointer:
        desk.steps(1, 1.0)
        (folder / "mine.txt").write_text("keep")
        desk.checkpointer.discard()
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_a_full_disk_is_a_warning_and_leaves_no_folder(tmp_path, monkeypatch):
    desk = Desk(tmp_path / "run", monkeypatch, every=0.0)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write", full)
    with desk.checkpointer:
        desk.steps(3, 1.0)
    assert len(desk.warnings) == 1
    assert "(No space left on device)" in desk.warnings[0]
    assert not (tmp_path / "run").exists()
