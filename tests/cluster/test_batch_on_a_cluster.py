"""`impasto batch --executor ray`: whoever dies, all pictures are there in the end, and equal to those painted here."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from helpers import smooth_image
from impasto.images import reading
from impasto.images.writing import to_pil

pytestmark = pytest.mark.cluster

SHORT = [
    *("--size", "64", "--epochs", "3", "--steps-per-epoch", "10", "--device", "cpu", "--threads", "1", "--quiet"),
    *("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_1"),
]


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six photos and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        to_pil(smooth_image(48, 64, seed=number)).save(folder / f"{number}.png")
    (folder / "poison.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return folder


def command(photos: Path, output: str, *more: str) -> list[str]:
    styles = ["--styles", "dots", "mosaic"]
    return [sys.executable, "-m", "impasto", "batch", str(photos), *styles, "-o", output, *SHORT, *more]


def states(folder: Path) -> dict[str, str]:
    """By output, what the manifest says now."""
    manifest = folder / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()] if manifest.exists() else []
    return {row["output"]: row["state"] for row in rows}


def wait_until(held: Callable[[], bool]) -> None:
    while not held():
        time.sleep(0.1)


def painting_processes() -> list[psutil.Process]:
    """Of Ray's workers those that have a task."""
    return [one for one in psutil.process_iter(["cmdline"]) if "ray::_call" in " ".join(one.info["cmdline"] or ())]


def test_twelve_pictures_are_painted_as_here_though_a_worker_a_node_and_the_driver_are_killed(
    cluster, photos, tmp_path, monkeypatch
):
    out, here = tmp_path / "out", tmp_path / "here"

    def done() -> int:
        return sum(state == "done" for state in states(out).values())

    on_cluster = command(photos, str(out), "--executor", "ray", "--address", cluster.address)
    with subprocess.Popen(on_cluster) as driver:
        wait_until(lambda: done() >= 1 and bool(painting_processes()))
        painting_processes()[0].kill()
        wait_until(lambda: done() >= 3)
        cluster.remove(cluster.nodes[0], allow_graceful=False)
        cluster.nodes[0] = cluster.add()
        wait_until(lambda: done() >= 5)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    before = {name for name, state in states(out).items() if state == "done"}
    assert 5 <= len(before) < 12
    written = {name: (out / name).stat().st_mtime_ns for name in before}
    assert subprocess.run(on_cluster, check=False).returncode == 3  # the poison
    assert done() == 12
    assert [name for name, state in states(out).items() if state == "failed"] == [
        "poison_dots.png",
        "poison_mosaic.png",
    ]
    assert all((out / name).stat().st_mtime_ns == then for name, then in written.items())
    assert subprocess.run(command(photos, str(here)), check=False).returncode == 3
    for name, state in states(here).items():
        if state == "done":
            assert torch.equal(reading.load(out / name).pixels, reading.load(here / name).pixels), name


def test_pictures_come_back_where_no_folder_is_shared(cluster, photos, tmp_path):
    out = tmp_path / "out"
    on_cluster = command(photos, str(out), "--executor", "ray", "--address", cluster.address, "--fetch")
    assert subprocess.run(on_cluster, check=False).returncode == 3
    assert sum(state == "done" for state in states(out).values()) == 12
    note = json.loads(str(reading.read_note(out / "0_dots.png")))["impasto"]
    assert (note["content"]["path"], note["styles"][0]["name"]) == ("0.png", "dots")
    assert not list(tmp_path.glob("out/*.run"))
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    errors = {row["error"] for row in rows if row["state"] == "failed"}
    assert len(errors) == 1
    assert str(photos / "poison.jpg") in errors.pop()  # not the copy that was sent
