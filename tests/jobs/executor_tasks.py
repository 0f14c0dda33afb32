"""Tasks for the tests of executors, in a module that their processes can import."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from impasto.jobs.executors.executor import Item


def double(item: Item, tell: Callable[[Item], None], ending: Callable[[], bool]) -> Item:
    """Twice the number."""
    tell({"half": 0.5})
    return {"twice": 2 * item["number"], "threads": os.environ["OMP_NUM_THREADS"]}


def troubled(item: Item, tell: Callable[[Item], None], ending: Callable[[], bool]) -> Item:
    """The number; 1 kills its process always, 2 the first time alone, and 3 raises."""
    once = Path(item["folder"]) / "once"
    if item["number"] == 1 or (item["number"] == 2 and not once.exists()):
        if item["number"] == 2:
            once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if item["number"] == 3:
        raise KeyError("odd")
    os.write(1, b"libraries print\n")
    return {"number": item["number"]}


def patient(item: Item, tell: Callable[[Item], None], ending: Callable[[], bool]) -> Item:
    """Work until asked to end, then leave a file that says so."""
    tell({"pid": os.getpid()})
    until = time.monotonic() + 60
    while not ending() and time.monotonic() < until:
        time.sleep(0.02)
    Path(item["file"]).write_text("saved")
    return {"ended": ending()}


def stubborn(item: Item, tell: Callable[[Item], None], ending: Callable[[], bool]) -> Item:
    """Work on whoever asks, then leave a file."""
    tell({"pid": os.getpid()})
    time.sleep(40)
    Path(item["file"]).write_text("saved")
    return {}
