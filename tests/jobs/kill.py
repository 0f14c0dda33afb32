"""Kills runs at random moments, goes on with them, and compares the pictures with those of runs that were left alone.

    python tests/jobs/kill.py --kills 100 --seed 0            # a child of this process each, with a small network
    python tests/jobs/kill.py --kills 10 --real               # a process of its own each, with VGG19

Each run saves its state after every step. Every second is killed as it is about to sync a file, the others at a random
moment. A run that was killed is gone on
with until it is finished, and may be killed again on the way. Exit code 1 if a picture differs, a state is torn, or a
file is left over; the figures are printed as JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers import tiny_weights
from impasto.cli import main
from impasto.errors import ImpastoError
from impasto.jobs import checkpoint
from impasto.network import weights

WAYS = [
    *(["--optimizer", optimizer, "--size", "48"] for optimizer in ("gd", "adam", "lbfgs")),
    *(["--optimizer", optimizer, "--size", "96", "--tile", "64"] for optimizer in ("gd", "adam", "lbfgs")),
]
SYNCS = {False: 32, True: 480}
"""Of the states in a run, one a step, with their folders."""

LENGTH = {False: "4", True: "60"}
"""Steps in each of four epochs."""

MOMENTS = {False: (0.0, 1.1), True: (0.45, 1.0)}
"""When kills come, as parts of a run's time; a real process takes two seconds before its first step."""

USUAL = [
    *("--scales", "2", "--epochs", "4", "--snapshots", "1,3", "--checkpoint", "0"),
    *("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_2", "--device", "cpu", "--quiet"),
]
OUTPUTS = {"a.png", "a_epoch-01.png", "a_epoch-03.png"}
STATE = Path("a.png.run/state.safetensors")


@dataclass
class Driver:
    """What was done and found so far."""

    real: bool
    random: random.Random
    kills: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def paint(self) -> list[str]:
        """What is typed, but for the way."""
        return ["paint", "photo.png", "brush.png", "-o", "a.png", *USUAL, "--steps-per-epoch", LENGTH[self.real]]

    def begin(self, arguments: list[str], syncs: int = 0) -> int:
        """Start impasto, which is to kill itself at its sync of this number, from 1; its process id."""
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        if self.real:
            program = ["-c", DYING, str(syncs)] if syncs else ["-m", "impasto"]
            self.process = subprocess.Popen([sys.executable, *program, *arguments], stdout=log, stderr=log)
            child = self.process.pid
        elif (child := os.fork()) == 0:
            os.dup2(log, 1)
            os.dup2(log, 2)
            if syncs:
                die_at_sync(syncs)
            os._exit(main(arguments))
        os.close(log)
        return child

    def run(self, arguments: list[str], most: float | None) -> int | None:
        """Run impasto and kill it at a random moment of its `most` seconds; its exit code, None where it was killed."""
        aimed = most is not None and self.random.random() < 0.5
        child = self.begin(arguments, self.random.randint(1, SYNCS[self.real]) if aimed else 0)
        if most is not None and not aimed:
            time.sleep(most * self.random.uniform(*MOMENTS[self.real]))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def survive(self, way: list[str], whole: dict[str, bytes], seconds: float) -> None:
        """One run, killed once or several times."""
        paint = [*self.paint, *way]
        command, most, killed = paint, seconds, 0
        while True:
            code = self.run(command, most)
            if code is None:
                killed += 1
                self.look()
            elif code == 0:
                break
            else:
                self.faults.append(f"{way}: {command[0]} ended with {code}: {Path('log').read_text().strip()}")
                break
            most = seconds if killed < 4 and self.random.random() < 0.4 else None
            command = ["resume", "a.png.run", "--quiet"] if self.random.random() < 0.5 else [*paint, "--resume"]
            if not STATE.exists():
                when = "after the result was there" if Path("a.png").exists() else "before a state was saved"
                self.counts[f"killed {when}"] += 1
                command = [*paint, "--resume"]
        self.kills += killed
        found = {name: picture(name) for name in OUTPUTS}
        if found != whole:
            self.faults.append(
                f"{way}: {[name for name in OUTPUTS if found[name] != whole[name]]} differ after {killed}"
            )
        if left := {path.name for path in Path().iterdir()} - OUTPUTS - {"photo.png", "brush.png", "log"}:
            self.faults.append(f"{way}: left over: {sorted(left)}")

    def look(self) -> None:
        """At what a kill left: the state has to be whole; drafts may be there until the next start."""
        if STATE.exists():
            try:
                self.counts["states found whole"] += 1
                checkpoint.read(STATE)
            except ImpastoError as error:
                self.faults.append(f"torn: {error}")
        drafts = [*Path().glob(".impasto-*.tmp"), *Path().glob("a.png.run/.impasto-*.tmp")]
        self.counts["kills that hit a write"] += bool(drafts)


DYING = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from kill import die_at_sync, main
die_at_sync(int(sys.argv.pop(1)))
sys.exit(main(sys.argv[1:]))
"""
"""A process of its own that kills itself at a sync."""


def die_at_sync(number: int) -> None:
    """Kill this process at this sync: the file is written, and perhaps not in its place."""
    sync, left = os.fsync, itertools.count(number - 1, -1)

    def dying(file: int) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(file)

    os.fsync = dying


def picture(name: str) -> bytes | None:
    """Its pixels, None where it isn't there."""
    if not Path(name).exists():
        return None
    with PIL.Image.open(name) as image:
        return image.tobytes()


def drive(kills: int, seed: int, *, real: bool) -> Driver:
    """As many kills as asked for, or some more: until one has hit a write, which on a fast disk few of a process do."""
    driver = Driver(real, random.Random(seed))
    usual = {} if real else {"load": lambda source="embedded": tiny_weights(dtype=torch.float32)}
    for name, value in usual.items():
        setattr(weights, name, value)
    reference: dict[str, tuple[dict[str, bytes], float]] = {}
    while not driver.faults and (
        driver.kills < kills or (driver.counts["kills that hit a write"] == 0 and driver.kills < 10 * kills)
    ):
        way = WAYS[driver.counts["runs"] % len(WAYS)]
        driver.counts["runs"] += 1
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            for number, (name, shape) in enumerate({"photo.png": (36, 48, 3), "brush.png": (40, 30, 3)}.items()):
                pixels = np.random.default_rng(number).integers(0, 255, shape, dtype=np.uint8)
                PIL.Image.fromarray(pixels).save(name)
            if str(way) not in reference:
                # In this process, so that children find all that is loaded on the way.
                paint = [*driver.paint, *way]
                began = time.monotonic()
                code = driver.run(paint, None) if real else main(paint)
                assert code == 0, Path("log").read_text()
                seconds = time.monotonic() - began
                found = {name: picture(name) for name in OUTPUTS}
                reference[str(way)] = ({name: pixels for name, pixels in found.items() if pixels is not None}, seconds)
                for name in OUTPUTS:
                    Path(name).unlink()
            driver.survive(way, *reference[str(way)])
            os.chdir("/")
    return driver


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # a child made by fork has no other threads
    done = drive(asked.kills, asked.seed, real=asked.real)
    sys.stdout.write(json.dumps({"kills": done.kills, **done.counts, "faults": done.faults}, indent=2) + "\n")
    sys.exit(bool(done.faults))
