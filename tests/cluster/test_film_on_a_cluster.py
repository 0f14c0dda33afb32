"""`impasto video --executor ray`: shots on several machines, and the frames that one machine paints."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest
from test_batch_on_a_cluster import painting_processes, wait_until

from helpers import smooth_image
from impasto.images.writing import to_pil

pytestmark = pytest.mark.cluster

SHORT = [
    *("--size", "64", "--epochs", "1", "--steps-per-epoch", "4", "--scales", "1", "--device", "cpu", "--quiet"),
    *("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_1", "--threads", "1"),
]


def write_two_shots(path: Path) -> None:
    """Two views, each moving for eight frames."""
    shots = [smooth_image(48, 84, seed=seed) for seed in (0, 5)]
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        for view in shots:
            for n in range(8):
                film.mux(stream.encode(av.VideoFrame.from_image(to_pil(view[..., 2 * n : 2 * n + 64]))))
        film.mux(stream.encode())


def command(film: Path, output: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "impasto", "video", str(film), "dots", "-o", output, *SHORT, *more]


def pictures(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.png"))}


def test_a_film_is_painted_as_here_though_a_worker_and_the_driver_are_killed(cluster, tmp_path):
    film = tmp_path / "in.mp4"
    write_two_shots(film)
    on_cluster = command(film, f"{tmp_path}/out/", "--executor", "ray", "--address", cluster.address)
    finished = tmp_path / "out.film" / "frames"
    with subprocess.Popen(on_cluster) as driver:
        wait_until(lambda: finished.is_dir() and any(finished.iterdir()) and bool(painting_processes()))
        painting_processes()[0].kill()
        wait_until(lambda: len(list(finished.iterdir())) >= 3)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    before = {file.name: file.stat().st_mtime_ns for file in finished.iterdir()}
    assert 3 <= len(before) < 16
    assert subprocess.run(on_cluster, check=False).returncode == 0
    assert subprocess.run(command(film, f"{tmp_path}/here/"), check=False).returncode == 0
    there, here = pictures(tmp_path / "out"), pictures(tmp_path / "here")
    assert len(here) == 16
    assert there == here
