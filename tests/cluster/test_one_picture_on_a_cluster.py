"""One picture whose tiles are computed by a cluster: it is the one painted here, to the bit, whoever dies."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from helpers import smooth_image
from impasto.errors import ImpastoError, SettingsError
from impasto.images import reading
from impasto.images.writing import to_pil
from impasto.jobs.executors.ray_tiles import spread_settings, tiles_on_ray
from impasto.jobs.stylization import Stylization
from impasto.run.events import Finished, Stepped
from impasto.settings.settings import Settings

pytestmark = pytest.mark.cluster

QUICK = {"size": 144, "tile": 64, "scales": 2, "epochs": 1, "steps_per_epoch": 4, "device": "cpu"}
FLAGS = [
    text
    for knob, value in (QUICK | {"steps_per_epoch": 20}).items()
    for text in (f"--{knob.replace('_', '-')}", str(value))
]


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    to_pil(smooth_image(108, 144, seed=3)).save(path)
    return path


@pytest.fixture
def grey(tmp_path) -> Path:
    """A ramp from black to white."""
    path = tmp_path / "grey.png"
    to_pil(torch.linspace(0, 1, 144).expand(1, 3, 108, 144)).save(path)
    return path


def painted(job: Stylization, meanwhile: Callable[[int], None] = lambda step: None) -> tuple[torch.Tensor, float, dict]:
    """The picture, its loss and its parts; `meanwhile` is called after each step."""
    finished = None
    for event in job.events():
        if isinstance(event, Stepped):
            meanwhile(event.step)
        if isinstance(event, Finished):
            finished = event
    assert finished is not None
    return finished.picture, finished.loss, finished.parts


def same(one: tuple[torch.Tensor, float, dict], other: tuple[torch.Tensor, float, dict]) -> bool:
    return torch.equal(one[0], other[0]) and one[1:] == other[1:]


def actors() -> list[psutil.Process]:
    """Ray's workers that compute tiles."""
    return [one for one in psutil.process_iter(["cmdline"]) if "ray::TileActor" in " ".join(one.info["cmdline"] or ())]


def test_a_picture_is_the_one_painted_here_whatever_is_compared(cluster, photo, grey):
    """Jobs share the processes: each gives them other work."""
    several: list[dict[str, Any]] = [
        {},
        {"style_loss": "w2", "tv_weight": 0.01, "mask": [str(grey)]},
        {"style_loss": "nnst"},
        {"content_loss": "self-similarity", "strength_map": str(grey)},
    ]
    settings = [spread_settings(Settings(**QUICK | knobs)) for knobs in several]
    with tiles_on_ray(settings[0], cluster.address) as tiles:
        assert len(tiles.actors) == 2
        for one in settings:
            job = Stylization(photo, ["mosaic"], one)
            job.passes = tiles
            assert same(painted(job), painted(Stylization(photo, ["mosaic"], one))), one.style_loss


def test_killed_processes_and_nodes_change_nothing(cluster, photo):
    settings = spread_settings(Settings(**QUICK | {"scales": 1, "steps_per_epoch": 8}))
    here = painted(Stylization(photo, ["mosaic"], settings))
    job = Stylization(photo, ["mosaic"], settings)

    def kill(step: int) -> None:
        if step == 2:
            for process in actors():
                process.kill()
        if step == 4:
            cluster.remove(cluster.nodes[0], allow_graceful=False)

    try:
        with tiles_on_ray(job.settings, cluster.address) as tiles:
            job.passes = tiles
            there = painted(job, kill)
            assert len(tiles.actors) == 1
    finally:
        cluster.nodes[0] = cluster.add()
    assert same(there, here)


def test_a_process_that_dies_within_a_step_costs_only_its_tiles(cluster, photo, monkeypatch):
    settings = spread_settings(Settings(**QUICK | {"scales": 1}))
    here = painted(Stylization(photo, ["mosaic"], settings))
    job = Stylization(photo, ["mosaic"], settings)
    with tiles_on_ray(job.settings, cluster.address) as tiles:
        in_order, seen = tiles.in_order, []

        def watched(calls: Any) -> Any:
            for result in in_order(calls):
                seen.append(result)
                if len(seen) in (5, 20):  # in the middle of a forward and of a backward pass
                    actors()[0].kill()
                yield result

        monkeypatch.setattr(tiles, "in_order", watched)
        job.passes = tiles
        assert same(painted(job), here)
        assert len(tiles.actors) == 2


def test_the_command_paints_the_same_picture_though_it_is_killed_on_the_way(cluster, photo, tmp_path):
    out, here = tmp_path / "out.png", tmp_path / "here.png"

    def command(output: Path, *more: str) -> list[str]:
        return [sys.executable, "-m", "impasto", "paint", str(photo), "mosaic", "-o", str(output), *FLAGS, *more]

    on_cluster = command(out, "--executor", "ray", "--address", cluster.address, "--quiet", "--checkpoint", "0.1")
    with subprocess.Popen(on_cluster) as driver:
        while not list(tmp_path.glob("out.png.run/state*")):
            assert driver.poll() is None
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert not out.exists()
    assert subprocess.run([*on_cluster, "--resume"], check=False).returncode == 0
    alone = command(here, "--threads", "1", "--quiet")
    assert subprocess.run(alone, check=False).returncode == 0
    assert torch.equal(reading.load(out).pixels, reading.load(here).pixels)
    assert not actors()


def test_what_leaves_a_cluster_nothing_to_do_or_fits_no_machine_is_refused(cluster):
    with pytest.raises(SettingsError, match="tile is 0"):
        spread_settings(Settings(tile=0))
    with (
        pytest.raises(ImpastoError, match="has 3 CPUs for the tiles"),
        tiles_on_ray(spread_settings(Settings(threads=3)), cluster.address),
    ):
        pass


def test_other_weights_on_a_machine_are_refused(cluster, photo):
    job = Stylization(photo, ["mosaic"], spread_settings(Settings(**QUICK)))
    with tiles_on_ray(job.settings, cluster.address) as tiles:
        tiles.check(job.network.sha256)
        with pytest.raises(ImpastoError, match="A machine of the cluster has other weights"):
            tiles.check("0" * 64)


def test_the_benchmark_of_one_picture_runs(tmp_path):
    """It starts a cluster of its own, on this machine alone."""
    benchmark = Path(__file__).parents[2] / "benchmarks" / "one_picture.py"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN"):
            patch.delenv(name, raising=False)
        command = [sys.executable, str(benchmark), "--quick", "--results", str(tmp_path)]
        assert subprocess.run(command, check=False).returncode == 0
    rows = json.loads((tmp_path / "one_picture.json").read_text())["table"]
    assert [row["by"] for row in rows] == ["this process", "one actor", "two actors"]
