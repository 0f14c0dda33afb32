"""The task of a batch: one picture from files to a file, resumed where it was cut off."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.jobs.batch.fingerprint import sha256_of
from impasto.jobs.batch.job import absolute
from impasto.jobs.batch.manifest import State
from impasto.jobs.batch.resuming import Resuming
from impasto.jobs.checkpointer import STATE, Checkpointer
from impasto.jobs.executors.executor import Item
from impasto.jobs.saving import save_picture
from impasto.run.events import Finished, Started, Stepped
from impasto.run.remaining import share_done
from impasto.settings import roles
from impasto.settings.settings import Settings

TELL_EVERY = 1.0
"""Seconds between two notes of how far a picture is."""

TASK = "impasto.jobs.batch.painting:paint"

RESUMING = Resuming()
"""What this process keeps from one picture to the next."""


def item(content: Path, styles: tuple[str, ...], settings: Settings, output: Path) -> Item:
    """A picture to be painted, as JSON has it, with whole paths; what is at `output` is replaced."""
    knobs = settings.model_dump(mode="json")
    return {
        "content": str(content.absolute()),
        "styles": [absolute(style) for style in styles],
        "settings": {knob: roles.with_files(knob, value, absolute) for knob, value in knobs.items()},
        "output": str(output.absolute()),
    }


def paint(item: Item, tell: Callable[[Item], None], ending: Callable[[], bool]) -> Item:
    """Paint an item; what can't be painted is told in a sentence, and is none of the executor's errors."""
    began = time.monotonic()
    try:
        found = _paint(item, tell, ending)
    except ImpastoError as error:
        found = {"state": State.FAILED, "error": " ".join(error.sentences())}
    return found | {"seconds": round(time.monotonic() - began, 3)}


def _log(text: str) -> None:
    """Into what the executor keeps of what processes print."""
    sys.stderr.write(text + "\n")


def _paint(item: Item, tell: Callable[[Item], None], ending: Callable[[], bool]) -> Item:
    output = Path(item["output"])
    folder = output.with_name(output.name + ".run")
    stylization, events, resumed = RESUMING.begin(item, folder / STATE)
    started, told = None, -math.inf
    with Checkpointer(folder, stylization.recipe(), record=dict, shell={}, warn=_log) as checkpointer:
        if not resumed:
            checkpointer.discard()
        for event in events:
            checkpointer.observe(event)
            match event:
                case Started():
                    started = event
                case Stepped() if started is not None and time.monotonic() - told >= TELL_EVERY:
                    told = time.monotonic()
                    tell({"share": round(share_done(started, event), 4), "step": event.step})
                case Finished():
                    save_picture(stylization, event.picture, output, recipe=True, overwrite=True)
                    checkpointer.discard()
                    return {"state": State.DONE, "loss": event.loss, "sha256": sha256_of(output)}
            if isinstance(event, Stepped) and ending():
                checkpointer.save()
                return {"state": State.CUT_OFF}
    raise AssertionError("a run ends with Finished")
