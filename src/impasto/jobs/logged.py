"""What a run tells Python's `logging`: the logger is `impasto`, silent until its host asks to hear it."""

from __future__ import annotations

import logging

from impasto.run.events import Event, Finished, Restarted, ScaleDone, Started, Stepped

LOGGER = logging.getLogger("impasto")
LOGGER.addHandler(logging.NullHandler())


def log_event(event: Event) -> None:
    """Steps are told at DEBUG, what is met and mended at WARNING, all else at INFO."""
    match event:
        case Stepped():
            LOGGER.debug("step %d at scale %d: loss %.6g", event.step, event.scale, event.loss)
        case Started():
            (height, width), plan = event.plan.size, event.plan
            LOGGER.info(
                "painting %d×%d px on %s: %d steps at %d scales", width, height, event.device, plan.total_steps,
                len(plan.scales),
            )  # fmt: skip
        case Restarted():
            LOGGER.warning(
                "step %d wasn't finite: going on from the best one with shorter steps, for the %d. of %d times",
                event.step, event.times, event.most,
            )  # fmt: skip
        case ScaleDone():
            early = "" if event.ended_by is None else f", ended by {event.ended_by}"
            LOGGER.info("scale %d took %d of %d steps%s", event.scale, event.steps, event.planned, early)
        case Finished():
            LOGGER.info("finished after %d steps and %.1f s: loss %.6g", event.steps, event.seconds, event.loss)
        case _:
            pass
