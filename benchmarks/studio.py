"""What does the studio cost: to start, to idle, to be watched?

Starts a studio of its own and paints one picture in it, watched as a browser watches. *Ready*: from the start of the
process to the first answer. *Idle*: resident memory of the server before anything was asked of it. *Shown*: from the
moment that a preview's file is on the disk until a watcher has fetched it. *Telling*: the part of the time of the
process that paints which goes into previews, progress and listening, by its own clock.

python benchmarks/studio.py [--size N] [--epochs N] [--starts N] [--quick]
"""

import argparse
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import harness
import pictures
import psutil
import record

from impasto.client import StudioClient


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny and short, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.size, chosen.epochs, chosen.starts = 48, 1, 1
    ready, idle = [], []
    for _ in range(chosen.starts):
        with tempfile.TemporaryDirectory() as folder, studio(Path(folder)) as (_, seconds, process):
            ready.append(seconds)
            idle.append(process.memory_info().rss / 1e6)
    with tempfile.TemporaryDirectory() as folder, studio(Path(folder)) as (client, _, process):
        shown, told = painted(client, Path(folder), chosen.size, chosen.epochs)
        after = process.memory_info().rss / 1e6
    rows = [
        {"what": "server ready, s", "figure": str(harness.spread(ready))},
        {"what": "server idle, MB", "figure": str(harness.spread(idle))},
        {"what": "server after a job that was watched, MB", "figure": f"{after:.1f}"},
        {"what": "preview shown after, s", "figure": str(harness.spread(shown))},
        {"what": "previews of the job", "figure": str(len(shown))},
        {"what": "telling, share of the time", "figure": f"{told:.4f}"},
    ]
    facts = {"question": f"What the studio costs, at {chosen.size} px", "samples": {"ready": ready, "shown": shown}}
    record.report("studio", facts, rows, chosen.results)


@contextmanager
def studio(folder: Path) -> Iterator[tuple[StudioClient, float, psutil.Process]]:
    """A studio that keeps its things in a folder: its client, the seconds it took to answer, and its process."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "impasto", "studio", "--port", "0", "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        client = StudioClient(process.stdout.readline().strip(), seconds=120)
        client.jobs()
        try:
            yield client, time.perf_counter() - began, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def painted(client: StudioClient, folder: Path, size: int, epochs: int) -> tuple[list[float], float]:
    """Paint and watch: seconds until each preview was fetched, and the share of telling in the run's time."""
    job = client.paint(pictures.packaged("skimage/data/coffee.png"), "mosaic", size=size, epochs=epochs)
    shown, seen = [], 0
    for now in client.follow(job["id"]):
        if now["preview"] > seen:
            seen = now["preview"]
            with urllib.request.urlopen(f"{client.address}/api/v1/jobs/{job['id']}/preview?n={seen}") as answer:
                answer.read()
            shown.append(time.time() - (folder / "runs" / job["id"] / "preview.jpg").stat().st_mtime)
    return [max(0.0, one) for one in shown], told_share(client)


def told_share(client: StudioClient) -> float:
    """From the studio's own metrics."""
    found: dict[str, Any] = {}
    with urllib.request.urlopen(f"{client.address}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            name, _, value = line.partition(" ")
            found[name] = value
    return float(found["impasto_telling_seconds_total"]) / float(found["impasto_painting_seconds_total"])


if __name__ == "__main__":
    main()
