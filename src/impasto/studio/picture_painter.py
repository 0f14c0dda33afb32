"""A picture that is painted for the studio, by the job that the command line drives too."""

from __future__ import annotations

import time
from typing import Any

from impasto.errors import DivergedError, ImpastoError
from impasto.studio import records
from impasto.studio.line import Line
from impasto.studio.models import Progress
from impasto.studio.painting import JobPainter
from impasto.studio.runs import RunFiles

PREVIEW_SHARE = 0.03
"""Of the time that previews may take."""

PREVIEW_EVERY = 0.6
"""Seconds between two previews at least."""


class PicturePainter(JobPainter):
    """A picture that is painted: it tells of each step, and listens between two of them."""

    def __init__(self, files: RunFiles, line: Line) -> None:
        super().__init__(files, line)
        self._previewed, self._cost = 0.0, 0.0

    def keep(self, error: ImpastoError) -> bool:
        """The last good picture of a run that diverged."""
        if not isinstance(error, DivergedError):
            return False
        return self._keep_last(error.picture)

    def _keep_last(self, picture: Any) -> bool:
        from impasto.images import writing

        writing.save(self.files.picture, picture, overwrite=True)
        return True

    def paint(self) -> str:
        """See `JobPainter`."""
        from impasto.jobs.checkpointer import Checkpointer
        from impasto.jobs.saving import save_picture
        from impasto.run.events import Finished, Restarted, Started, Stepped

        if not self.files.resumes:
            records.begin(self.files)
        stylization, events = self.files.begin()
        self._stylization, newest = stylization, None
        note = self.note
        with Checkpointer(
            self.files.state, stylization.recipe(), record=dict, shell={}, warn=note, every=None
        ) as checkpointer:
            for event in events:
                checkpointer.observe(event)
                told = time.monotonic()
                match event:
                    case Started():
                        self._started = event
                        stylization.change(**self.files.scheduled_knobs())  # some may be newer than the state
                        self._tell_start()
                    case Stepped():
                        newest = event.picture
                        self._tell_step(event)
                    case Restarted():
                        note(
                            f"Step {event.step} led to values that aren't finite: it was taken again, more cautiously."
                        )
                    case Finished():
                        newest = None
                        save_picture(stylization, event.picture, self.files.picture, recipe=True, overwrite=True)
                        self.files.write_thumbnail(event.picture)
                        changed = bool(stylization.recipe().schedule)
                        records.finish(self.files, loss=event.loss, seconds=event.seconds, changed=changed)
                        checkpointer.discard()
                        return "done"
                end = self.listen()
                self.telling += time.monotonic() - told
                if end is not None and (newest is not None or end != "stopped"):
                    break
            end = self.end or "stopped"
            if end == "cancelled":
                checkpointer.discard()
                return end
            saved = checkpointer.save()
            if end == "stopped" and newest is not None:
                picture = newest()
                save_picture(stylization, picture, self.files.picture, overwrite=True)
                self.files.write_thumbnail(picture)
            return "paused" if end == "gone" and saved else end
        raise AssertionError("a run ends with Finished")

    def change(self, knobs: dict[str, Any]) -> None:
        """From the next step on."""
        self._stylization.change(**knobs)

    def _tell_start(self) -> None:
        plan = self._started.plan
        self.line.tell(started={"width": plan.size[1], "height": plan.size[0]})

    def _tell_step(self, step: Any) -> None:
        from impasto.run.remaining import most_steps, seconds_left, share_done

        plan = self._started.plan
        self.files.note_step(step.step, step.loss)
        self.line.tell(
            step=Progress(
                step=step.step,
                steps=most_steps(self._started, step),
                epoch=step.epoch,
                epochs=plan.epochs,
                scale=step.scale,
                scales=len(plan.scales),
                loss=step.loss,
                seconds=round(step.seconds, 3),
                seconds_left=round(seconds_left(self._started, step), 3),
                width=step.size[1],
                height=step.size[0],
                share=round(share_done(self._started, step), 4),
            ).model_dump(),
            preview=self._preview(step),
        )

    def _preview(self, step: Any) -> int:
        """Write a preview where it is time; the number of the newest."""
        began = time.monotonic()
        if began - self._previewed >= max(PREVIEW_EVERY, self._cost / PREVIEW_SHARE):
            self.files.write_preview(step.picture())
            self.previews += 1
            self._previewed = time.monotonic()
            self._cost = self._previewed - began
        return self.previews
