"""Runs that are interrupted, killed or out of room go on to the pixels that they would have had anyway."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import files_of_at_most, tiny_weights
from impasto.cli import main, outputs
from impasto.errors import ImageError, SettingsError
from impasto.images import reading, writing
from impasto.jobs import checkpoint
from impasto.jobs.checkpointer import STATE, Checkpointer
from impasto.jobs.stylization import Stylization
from impasto.network import weights
from impasto.network.vgg import VGG19
from impasto.run.events import Finished, Stepped
from impasto.settings.settings import Settings

USUAL = {
    "-o": "a.png", "--size": "48", "--scales": "2", "--epochs": "3", "--steps-per-epoch": "3", "--device": "cpu",
    "--style-layers": "relu1_1,relu2_1", "--content-layers": "relu2_2",
}  # fmt: skip
WAYS = [
    *(("--optimizer", optimizer) for optimizer in ("gd", "adam", "lbfgs")),
    *(("--optimizer", optimizer, "--size", "96", "--tile", "64") for optimizer in ("gd", "adam", "lbfgs")),
]


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    """A folder with two pictures, and a network that runs in milliseconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    make_inputs(tmp_path)


def make_inputs(folder: Path) -> None:
    for seed, (name, shape) in enumerate({"photo.png": (36, 48, 3), "brush.png": (40, 30, 3)}.items()):
        pixels = np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def at_step(monkeypatch):
    """Does something when a run has taken its n-th step, once."""

    def install(number: int, act) -> None:
        paint = Stylization.events
        left = [act]

        def watched(self, *state):
            for event in paint(self, *state):
                if isinstance(event, Stepped) and event.step == number and left:
                    left.pop()()
                yield event

        monkeypatch.setattr(Stylization, "events", watched)

    return install


@pytest.fixture
def interrupted(at_step):
    """A run of `job` with these arguments that got a signal at a step."""

    def run(*arguments: str, step: int = 5, number: int = signal.SIGTERM) -> None:
        at_step(step, lambda: os.kill(os.getpid(), number))
        assert main(job(*arguments)) == 128 + number

    return run


def job(*arguments: str, folder: Path | None = None) -> list[str]:
    """What is typed for a quick run to a.png, where these arguments beat the usual ones."""
    inputs = [str(path) for path in (Path("photo.png"), Path("brush.png"))]
    if folder is not None:
        inputs, arguments = [str(folder / name) for name in inputs], ("-o", str(folder / "a.png"), *arguments)
    kept = [word for flag, value in USUAL.items() if flag not in arguments for word in (flag, value)]
    return ["paint", *inputs, *kept, *arguments]


def names() -> set[str]:
    return {path.name for path in Path().iterdir()} - {"photo.png", "brush.png"}


def uninterrupted(*arguments: str) -> tuple[bytes, str | None]:
    """Pixels and recipe of the picture that `job` paints when nothing happens."""
    assert main(job(*arguments, "-o", "whole.png", "--checkpoint", "off")) == 0
    assert "whole.png.run" not in names()
    found = painted("whole.png")
    Path("whole.png").unlink()
    return found


def painted(name: str) -> tuple[bytes, str | None]:
    with PIL.Image.open(name) as image:
        return image.tobytes(), reading.read_note(name)


def last_sentence(capsys) -> str:
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("impasto: ")
    return line.removeprefix("impasto: ")


@pytest.mark.thin(3)
@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_run_that_was_interrupted_twice_ends_in_the_same_picture_to_the_bit(way, interrupted, at_step, capsys):
    whole = uninterrupted(*way)
    interrupted(*way, step=3)
    assert names() == {"a.png", "a.png.run"}
    assert painted("a.png") != whole
    at_step(7, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert main(["resume", "a.png.run"]) == 130
    assert last_sentence(capsys) == (
        "Interrupted at step 7: the picture so far is 'a.png'; go on with impasto resume a.png.run."
    )
    assert main(job(*way, "--resume")) == 0
    assert painted("a.png") == whole
    assert names() == {"a.png"}


@pytest.mark.thin(2)
@pytest.mark.parametrize("step", [1, 3, 4, 8])
def test_a_run_goes_on_from_each_step(step, interrupted):
    whole = uninterrupted()
    interrupted(step=step)
    assert main(["resume", "a.png", "--quiet"]) == 0
    assert painted("a.png") == whole


def test_a_resumed_run_has_all_its_snapshots_and_a_report_that_misses_nothing(interrupted, capsys, monkeypatch):
    seen = []

    def keep(record):
        seen.append(record)
        raise ImageError("Not drawn", "this is a test")

    monkeypatch.setattr("impasto.report.figure.draw", keep)
    extras = ("--snapshots", "1,2,3", "--report", "figure.png", "--no-metadata", "--checkpoint", "0")
    assert main(job(*extras, "-o", "whole.png")) == 1
    shutil.rmtree("whole.png.run")
    interrupted(*extras, step=7)
    for name in ("a.png", "a_epoch-01.png"):
        Path(name).unlink()
    assert main(["resume", "a.png.run", "--json"]) == 1
    whole, resumed = seen
    assert resumed.pictures.keys() == whole.pictures.keys() == {1, 2, 3}
    assert all(torch.equal(resumed.pictures[n], whole.pictures[n]) for n in (1, 2, 3))
    plain = [[step._replace(seconds=0) for step in record.steps] for record in (whole, resumed)]
    assert plain[0] == plain[1]
    assert [step.seconds for step in resumed.steps] == sorted(step.seconds for step in resumed.steps)
    assert {**resumed.measures, "time": 0} == {**whole.measures, "time": 0}
    assert painted("a_epoch-03.png") == painted("whole_epoch-03.png")


def test_a_report_that_is_asked_for_late_says_which_epochs_it_lacks(interrupted, capsys):
    interrupted(step=5)
    assert main(job("--resume", "--report", "figure.png")) == 0
    assert (
        "impasto: The figure lacks epoch 1: the run had not been told of --report by then.\n" in capsys.readouterr().err
    )
    assert json.loads(Path("figure.json").read_text())["time"]["steps"] == 9


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("--size", "64"), "--size was 48 when the run began and is 64 now: give the old value, or start again"),
        (("--content-weight", "0.5"), "--content-weight was 0.15 when the run began and is 0.5 now"),
        (("--style-layers", "relu1_1"), "--style-layers was relu1_1,relu2_1 when the run began and is relu1_1 now"),
        (("--layer-weights", "1,2"), "--layer-weights was not given when the run began and is 1.0,2.0 now"),
        (("--optimizer", "adam"), "--optimizer was lbfgs when the run began and is adam now"),
        (("--seed", "7"), "--seed was 0 when the run began and is 7 now"),
        (("--tile", "64"), "--tile was 0 when the run began and is 64 now"),
        (("--init", "brush.png"), "--init was content when the run began and is brush.png now"),
        (("--scales", "1"), "--scales was 2 when the run began and is 1 now"),
    ],
    ids=str,
)
def test_changed_settings_are_refused_by_name(change, fault, interrupted, capsys):
    interrupted()
    before = painted("a.png")
    capsys.readouterr()
    assert main(job(*change, "--resume")) == 2
    assert last_sentence(capsys).startswith(fault)
    assert painted("a.png") == before
    assert names() == {"a.png", "a.png.run"}


def test_two_changed_settings_are_two_sentences_and_what_does_not_change_the_picture_may_change(interrupted, capsys):
    whole = uninterrupted()
    interrupted()
    capsys.readouterr()
    assert main(job("--resume", "--seed", "1", "--epochs", "4")) == 2
    assert [line.split(" was ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "impasto: --epochs",
        "impasto: --seed",
    ]
    assert main(job("--resume", "--max-memory", "9GB", "--max-pixels", "9999", "--quiet")) == 0
    assert painted("a.png")[0] == whole[0]


def test_a_run_keeps_the_tiles_that_it_began_with_whatever_memory_is_free_now(interrupted, monkeypatch):
    whole = uninterrupted("--size", "96")
    interrupted("--size", "96")
    monkeypatch.setattr("impasto.run.memory_plan.TILE_SIDES", (64,))
    monkeypatch.setattr("impasto.run.memory_plan.HISTORIES", (2, 1))
    assert main(job("--size", "96", "--resume", "--quiet")) == 0
    assert painted("a.png") == whole


@pytest.mark.thin(2)
@pytest.mark.parametrize("command", ["paint", "resume"])
@pytest.mark.parametrize("role", ["content", "style"])
def test_changed_inputs_are_refused_by_name_and_the_originals_taken_from_elsewhere(command, role, interrupted, capsys):
    whole = uninterrupted()
    interrupted()
    name = {"content": "photo.png", "style": "brush.png"}[role]
    shutil.move(name, f"moved_{name}")
    PIL.Image.new("RGB", (40, 40), (9, 90, 200)).save(name)
    capsys.readouterr()
    assert main(job("--resume") if command == "paint" else ["resume", "a.png.run"]) == 1
    sentence = last_sentence(capsys)
    assert sentence.startswith(f"The {role} image ")
    assert name in sentence
    if command == "resume":
        assert main(["resume", "a.png.run", f"--{role}", f"moved_{name}", "--quiet"]) == 0
        assert painted("a.png")[0] == whole[0]


def test_other_weights_are_refused(interrupted, capsys, monkeypatch):
    interrupted()
    from dataclasses import replace

    monkeypatch.setattr(weights, "load", lambda _: replace(tiny_weights(dtype=torch.float32), sha256="e" * 64))
    assert main(job("--resume")) == 1
    assert last_sentence(capsys).startswith("The weights file 'tiny' is not what the run began with (SHA-256 eeeeee")


def test_an_unfinished_run_is_neither_forgotten_nor_overwritten_without_being_told(interrupted, capsys):
    whole = uninterrupted()
    interrupted()
    Path("a.png").unlink()
    capsys.readouterr()
    assert main(job()) == 1
    assert last_sentence(capsys) == (
        "'a.png.run' holds an unfinished run: go on with impasto resume a.png.run, or start again with --overwrite."
    )
    assert main(job("--overwrite", "--seed", "3")) == 0
    assert painted("a.png") != whole
    assert names() == {"a.png"}


def test_resuming_where_there_is_nothing_begins_a_run(capsys):
    assert main(job("--resume", "--quiet")) == 0
    assert names() == {"a.png"}
    assert main(["resume", "b.png.run"]) == 1
    assert last_sentence(capsys).endswith("doesn't exist, so there is no run to go on with: check the path.")


def test_resuming_a_finished_run_says_so_again_and_again_and_tidies_up(capsys):
    assert main(job()) == 0
    before = painted("a.png"), Path("a.png").stat().st_mtime_ns
    Path("a.png.run").mkdir()
    Path("a.png.run/lock").touch()
    capsys.readouterr()
    for _ in range(2):
        assert main(job("--resume")) == 0
        assert capsys.readouterr() == ("a.png\n", "impasto: The picture had been finished before.\n")
        assert names() == {"a.png"}
    assert main(job("--resume", "--json")) == 0
    assert json.loads(capsys.readouterr().out) == {"output": "a.png", "finished": True, "run": None}
    assert main(job("--resume", "--seed", "3")) == 2
    assert last_sentence(capsys).startswith("--seed was 0 when the run began and is 3 now")
    assert (painted("a.png"), Path("a.png").stat().st_mtime_ns) == before
    shutil.copy("photo.png", "a.png")
    assert main(job("--resume")) == 1
    assert last_sentence(capsys).startswith("'a.png' already exists")


@pytest.mark.slow
def test_a_folder_that_was_moved_with_its_inputs_elsewhere_goes_on_there(interrupted, tmp_path, monkeypatch):
    whole = uninterrupted("--snapshots", "3", "--report", "figure.png")
    for name in ("whole_epoch-03.png", "figure.png", "figure.json"):
        Path(name).unlink()
    interrupted("--snapshots", "3", "--report", "figure.png")
    (tmp_path / "new").mkdir()
    shutil.move("a.png.run", "new/a.png.run")
    monkeypatch.chdir(tmp_path / "new")
    assert main(["resume", "a.png.run", "--quiet"]) == 0
    assert painted("a.png") == whole
    assert names() == {"a.png", "a_epoch-03.png", "figure.png", "figure.json"}


def test_a_damaged_state_is_refused_in_a_sentence(interrupted, capsys):
    interrupted()
    state = Path("a.png.run/state.safetensors")
    whole = state.read_bytes()
    for damaged in (whole[:-1], whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]):
        state.write_bytes(damaged)
        assert main(["resume", "a.png.run"]) == 1
        sentence = last_sentence(capsys)
        assert sentence.startswith("'a.png.run/state.safetensors' can't be read (")
        assert sentence.endswith("): start the run again.")


def test_two_processes_cannot_paint_the_same_run(interrupted, capsys):
    interrupted()
    code = (
        "import sys; from filelock import FileLock\n"
        "lock = FileLock('a.png.run/lock'); lock.acquire(); print('mine', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        assert main(["resume", "a.png.run"]) == 1
        assert last_sentence(capsys).startswith("'a.png.run' belongs to a run that another process is painting")
        other.kill()


@pytest.mark.parametrize(
    ("text", "every"),
    [("auto", None), ("off", float("inf")), ("0", 0.0), ("2.5", 2.5)],
    ids=["auto", "off", "0", "2.5"],
)
def test_the_interval_may_be_typed(text, every):
    assert outputs.parse_every(text) == every


@pytest.mark.parametrize("text", ["", "often", "-1", "nan", "inf"])
def test_a_wrong_interval_is_refused_by_name(text):
    with pytest.raises(SettingsError, match=r"checkpoint is '.*' but should be 'auto', 'off' or a number of seconds"):
        outputs.parse_every(text)


def test_without_checkpoints_nothing_is_left_but_the_picture_so_far(interrupted, capsys):
    interrupted("--checkpoint", "off")
    assert names() == {"a.png"}
    assert last_sentence(capsys) == "Interrupted at step 5: the picture so far is 'a.png'."


def test_a_terminal_that_goes_away_does_not_end_the_run(monkeypatch):
    class Gone:
        def write(self, text):
            raise OSError(5, "Input/output error")

        flush = isatty = lambda self: False

    whole = uninterrupted()
    monkeypatch.setattr(sys, "stderr", Gone())
    assert main(job()) == 0
    assert painted("a.png") == whole


@pytest.mark.parametrize("for_good", [False, True])
def test_nan_in_the_network_costs_a_restart_or_ends_with_the_last_good_picture_but_is_never_black(
    for_good, monkeypatch, capsys
):
    look, calls = VGG19.features, []

    def faulty(self, image, layers, *, below=None):
        calls.append(1)
        found = look(self, image, layers, below=below)
        bad = len(calls) > 10 if for_good else len(calls) == 10
        return {name: f * float("nan") for name, f in found.items()} if bad else found

    monkeypatch.setattr(VGG19, "features", faulty)
    assert main(job("--scales", "1", "--quiet")) == int(for_good)
    lines = capsys.readouterr().err.splitlines()
    assert "led to values that aren't finite: it is taken again from the best picture" in lines[0]
    assert len(lines) == (3 + 2 if for_good else 1)
    if for_good:
        assert lines[-1] == "impasto: The last good picture is 'a.png'."
    assert np.frombuffer(painted("a.png")[0], np.uint8).std() > 10
    assert names() == {"a.png"}


def test_a_disk_that_fills_up_is_a_warning_until_the_picture_is_due_and_then_one_sentence(at_step, capsys):
    whole = uninterrupted()
    Path("a.png").write_bytes(b"old")
    full = files_of_at_most(1000)
    capsys.readouterr()
    at_step(4, full.__enter__)
    try:
        assert main(job("--overwrite", "--checkpoint", "0", "--quiet")) == 1
    finally:
        full.__exit__(None, None, None)
    warning, sentence = capsys.readouterr().err.splitlines()
    assert warning.startswith("impasto: The run's state can't be saved in 'a.png.run' (File too large): it goes on")
    assert sentence == (
        "impasto: 'a.png' can't be written (File too large): put that right, then go on with impasto resume a.png.run, "
        "which replaces what is there."
    )
    assert Path("a.png").read_bytes() == b"old"
    assert {path.name for path in Path("a.png.run").iterdir()} <= {"state.safetensors", "lock"}
    assert main(["resume", "a.png.run", "--quiet"]) == 0
    assert painted("a.png") == whole


@pytest.mark.rights
def test_a_real_disk_of_1_mb_that_fills_up(tmp_path, at_step, capsys):
    whole = uninterrupted("--size", "96")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip(f"no disk of 1 MB can be mounted here: {mount.stderr.decode().strip()}")
    try:
        at_step(5, lambda: (disk / "filler").write_bytes(bytes(disk_room(disk))))
        capsys.readouterr()
        assert main(job("-o", str(disk / "a.png"), "--size", "96", "--quiet", "--checkpoint", "0")) == 1
        warning, sentence = capsys.readouterr().err.splitlines()
        assert "can't be saved" in warning
        assert "(No space left on device): put that right, then go on with impasto resume" in sentence
        assert {path.name for path in disk.iterdir()} == {"a.png.run", "filler"}
        (disk / "filler").unlink()
        assert main(["resume", str(disk / "a.png.run"), "--quiet"]) == 0
        assert painted(str(disk / "a.png")) == whole
    finally:
        subprocess.run(["umount", disk], check=True)


def disk_room(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@pytest.mark.rights
def test_a_folder_that_loses_its_permission_is_one_sentence_and_the_run_goes_on_when_it_is_back(at_step, capsys):
    if os.geteuid() != 0:
        pytest.skip("only root can try how others fare without permission")
    whole = uninterrupted()
    folder = Path(tempfile.mkdtemp())
    try:
        make_inputs(folder)
        try:
            os.chown(folder, 65534, 65534)
        except OSError as error:
            pytest.skip(f"NOT TRIED: there is no other user in this namespace ({error})")
        folder.chmod(0o755)
        at_step(4, lambda: lock(folder, 0o555))
        capsys.readouterr()
        os.setresuid(65534, 65534, 0)
        try:
            assert main(job("--quiet", "--checkpoint", "0", folder=folder)) == 1
            warning, sentence = capsys.readouterr().err.splitlines()
            assert "can't be saved" in warning
            assert sentence.startswith(
                f"impasto: '{folder}/a.png' is in a folder without write permission: put that right"
            )
            assert main(job("--overwrite", folder=folder)) == 1
            assert last_sentence(capsys).startswith(f"'{folder}/a.png' is in a folder without write permission")
            lock(folder, 0o755)
            assert main(["resume", f"{folder}/a.png.run", "--quiet"]) == 0
        finally:
            os.setresuid(0, 0, 0)
        assert painted(f"{folder}/a.png")[0] == whole[0]
    finally:
        shutil.rmtree(folder)


def lock(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    if (run := folder / "a.png.run").exists():
        run.chmod(mode)


def test_a_folder_that_vanishes_is_one_sentence(at_step, capsys):
    Path("out").mkdir()
    at_step(4, lambda: shutil.rmtree("out"))
    assert main(job("-o", "out/a.png", "--quiet")) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "impasto: 'out/a.png' is in a folder that doesn't exist: make 'out' first."
    assert not Path("out").exists()


def test_a_folder_in_the_pictures_place_is_one_sentence_and_the_run_goes_on_when_it_is_gone(at_step, capsys):
    whole = uninterrupted()
    at_step(4, lambda: Path("a.png").mkdir())
    assert main(job("--quiet")) == 1
    assert last_sentence(capsys).startswith("'a.png' is a folder: put that right, then go on with impasto resume")
    Path("a.png").rmdir()
    assert main(["resume", "a.png.run", "--quiet"]) == 0
    assert painted("a.png") == whole


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_as_the_output_is_refused_before_the_work(capsys):
    Path("full.png").symlink_to("/dev/full")
    assert main(job("-o", "full.png", "--overwrite")) == 1
    assert last_sentence(capsys) == "'full.png' is a device or a pipe, not a file: choose another name."
    assert names() == {"full.png"}


@pytest.mark.thin(3)
@pytest.mark.parametrize("step", [1, 2, 5])
def test_a_run_changed_from_python_is_inspected_painted_again_and_goes_on_to_the_bit(step, at_step, capsys):
    settings = Settings(size=48, scales=2, epochs=3, steps_per_epoch=3, device="cpu")
    painting = Stylization("photo.png", ["brush.png"], settings)
    for event in painting.events():
        if isinstance(event, Stepped) and event.step in (2, 7):
            painting.change(**{2: {"strength": 0.9}, 7: {"color": "keep"}}[event.step])
        if isinstance(event, Finished):
            writing.save(Path("a.png"), event.picture, note=painting.recipe().without_folders().to_json())
    assert main(["inspect", "a.png"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"after 2 steps\nstrength +0\.9\n\nafter 7 steps\ncolor +keep\n$", told)
    at_step(step, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["rerun", "a.png", "-o", "b.png", "--quiet"]) == 143
    assert painted("b.png") != painted("a.png")
    assert main(["resume", "b.png.run", "--quiet"]) == 0
    assert painted("b.png") == painted("a.png")


def test_from_python_a_checkpointer_saves_and_a_stylization_goes_on():
    settings = Settings(size=48, scales=2, epochs=3, steps_per_epoch=3, device="cpu")
    folder = Path("run")

    def paint(most: int) -> torch.Tensor | None:
        painting = Stylization("photo.png", ["brush.png"], settings)
        resume = checkpoint.read(folder / STATE).state if (folder / STATE).exists() else None
        with Checkpointer(folder, painting.recipe(), record=dict, shell={}, every=0, warn=pytest.fail) as checkpointer:
            for event in painting.events(resume):
                checkpointer.observe(event)
                if isinstance(event, Finished):
                    checkpointer.discard()
                    return event.picture
                if isinstance(event, Stepped) and event.step == most:
                    return None
        raise AssertionError("neither stopped nor finished")

    whole = paint(99)
    assert not folder.exists()
    assert [paint(2), paint(6), paint(7)] == [None] * 3
    assert main(["resume", "run"]) == 1
    resumed = paint(99)
    assert whole is not None
    assert resumed is not None
    assert torch.equal(resumed, whole)


@pytest.mark.parametrize("name", ["none.png", "none.png.run"])
def test_a_run_that_is_not_there_is_named_as_it_would_be(name, capsys):
    assert main(["resume", name]) == 1
    assert last_sentence(capsys).startswith("'none.png.run/state.safetensors' doesn't exist")
