"""Running a job from the shell, from the start or from its saved state, to what it leaves on disk."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from impasto.cli.driver import RunDriver
from impasto.cli.noted_outputs import noted
from impasto.cli.outputs import Outputs
from impasto.cli.result import tell_result
from impasto.cli.terminal import note
from impasto.run.events import Event
from impasto.storage.files import remove_drafts
from impasto.storage.process import Interruption

if TYPE_CHECKING:
    from impasto.jobs.checkpointer import Checkpointer
    from impasto.jobs.stylization import Stylization
    from impasto.report.record import Recorder


def run(stylization: Stylization, outputs: Outputs, *, as_json: bool, quiet: bool, resume: bool = False) -> int:
    """Paint, or go on from the run's saved state, write what `outputs` names, say where it is; returns the exit code.

    The first Ctrl-C (SIGTERM, SIGHUP) saves the newest picture and the run's state, and returns 130 (143, 129). Only a
    finished picture carries its recipe: no settings lead to any other one.
    """
    outputs.check_plan(stylization.plan)
    with Interruption() as interruption:
        recorder = _recorder(stylization, outputs)
        with _checkpointer(stylization, outputs, recorder, resume=resume) as checkpointer:
            driver = RunDriver(stylization, outputs, recorder, checkpointer)
            if not resume:
                driver.forget()
            events = _resumed(stylization, outputs, recorder, quiet=quiet) if resume else stylization.events()
            driver.paint(events, interruption, quiet=quiet)
            if driver.so_far.finished:
                driver.finish()
            elif not driver.interrupt():
                return interruption.code
            folder = None if checkpointer is None or not checkpointer.saved else checkpointer.folder
    tell_result(driver.so_far, outputs, stylization.settings, driver.written, folder, as_json=as_json, quiet=quiet)
    return 0 if driver.so_far.finished else interruption.code


def _resumed(stylization: Stylization, outputs: Outputs, recorder: Recorder, *, quiet: bool) -> Iterator[Event]:
    """The rest of the run whose state is in the folder; nobody but its events holds on to the state's tensors."""
    from impasto.jobs import checkpoint
    from impasto.jobs.checkpointer import STATE

    saved = checkpoint.read(outputs.folder / STATE, stylization.scratch)
    recorder.load_state(saved.record)
    if not quiet:
        note(f"Going on after step {saved.state.step}.")
    return stylization.events(saved.state)


def _recorder(stylization: Stylization, outputs: Outputs) -> Recorder:
    """What notes the steps, as a report may be asked for when the run goes on, and a figure's pictures."""
    from impasto.report.record import EPOCHS, Recorder

    inputs = None if outputs.figure is None else stylization.inputs.tensors()
    return Recorder(
        stylization.content.pixels,
        [style.pixels for style in stylization.styles],
        settings=stylization.settings,
        network=stylization.network.engine,
        epochs=() if inputs is None else EPOCHS,
        masks=() if inputs is None else inputs.masks,
        style_masks=() if inputs is None else inputs.style_masks,
        strength_map=None if inputs is None else inputs.strength_map,
    )


@contextlib.contextmanager
def _checkpointer(
    stylization: Stylization, outputs: Outputs, recorder: Recorder, *, resume: bool
) -> Iterator[Checkpointer | None]:
    """What saves the run's state, if it is to be saved; it has the outputs for itself, so drafts there are nobody's."""
    if outputs.every == math.inf and not resume:
        yield None
        return
    from impasto.jobs.checkpointer import Checkpointer

    with Checkpointer(
        outputs.folder,
        stylization.recipe(),
        record=recorder.state,
        shell=noted(outputs),
        every=outputs.every,
        warn=note,
    ) as checkpointer:
        for path in outputs.paths():
            remove_drafts(path)
        yield checkpointer
