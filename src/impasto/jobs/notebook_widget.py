"""A run under sliders in a notebook: its strength, colours and style may be changed while it paints."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Unpack

import PIL.Image
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.images.writing import PaintedImage, to_pil
from impasto.jobs.asynchronous import async_events
from impasto.jobs.inputs import Source
from impasto.jobs.notebook import preview, progress_text
from impasto.jobs.stylization import Stylization
from impasto.run.events import Event, Finished, Started, Stepped
from impasto.run.remaining import share_done
from impasto.settings import roles
from impasto.settings.knobs import Knobs
from impasto.settings.settings import Settings

STEERED = tuple(knob for knob in roles.scheduled() if roles.of(knob).usual)
"""The knobs that have a control: those that people turn and that may change while a run goes on."""


class StylizationWidget:
    """A photo being painted in a notebook's cell, with controls that steer the run: styles, strength, colours.

    `styles` are names with a style each, or swatches by their names; one is painted at a time. What a control changes
    holds from the next step on; another style begins a run anew from the picture so far. `start()` begins, `stop()`
    ends with the step that is at work, `await widget.done()` waits for the end and gives the picture. It paints in a
    thread, so that the notebook answers meanwhile. Needs `impasto[notebook]`; raises `ImpastoError`.
    """

    def __init__(
        self,
        content: Source,
        styles: Mapping[str, Source] | Sequence[str],
        *,
        side: int = 512,
        **knobs: Unpack[Knobs],
    ) -> None:
        self.settings: Settings = Settings(**knobs)
        self.content: Source = content
        self.side: int = side
        self.styles: dict[str, Source] = (
            dict(styles) if isinstance(styles, Mapping) else {name: name for name in styles}
        )
        if not self.styles:
            raise ImpastoError("No style was given", "name at least one painting or swatch")
        self.result: PIL.Image.Image | None = None
        self.error: ImpastoError | None = None
        self._job: Stylization | None = None
        self._task: asyncio.Task[None] | None = None
        self._started: Started | None = None
        self._style_changed = self._stopped = False
        self._make_controls(_ipywidgets())

    def _make_controls(self, widgets: Any) -> None:
        """What is shown, from the settings' own declarations."""
        self.style: Any = widgets.Dropdown(options=list(self.styles), description="Style")
        self.style.observe(self._on_style, "value")
        self.controls: dict[str, Any] = {knob: _control(widgets, knob, self.settings) for knob in STEERED}
        for knob, control in self.controls.items():
            control.observe(partial(self._on_knob, knob), "value")
            # The paper's own objective knows no strength.
            control.disabled = roles.of(knob).objective not in (None, self.settings.objective)
        self.start_button: Any = widgets.Button(description="Paint", icon="play")
        self.stop_button: Any = widgets.Button(description="Stop", icon="stop", disabled=True)
        self.start_button.on_click(self._on_start)
        self.stop_button.on_click(self._on_stop)
        self.bar: Any = widgets.FloatProgress(min=0.0, max=1.0)
        self.text: Any = widgets.Label()
        self.image: Any = widgets.Image(format="jpeg", layout=widgets.Layout(max_width="100%"))
        self.box: Any = widgets.VBox(
            [
                widgets.HBox([self.style, *self.controls.values()]),
                widgets.HBox([self.start_button, self.stop_button, self.bar, self.text]),
                self.image,
            ]
        )

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.box._repr_mimebundle_(**options)

    def start(self) -> None:
        """Begin to paint, with the style and the values that the controls have; raises `ImpastoError` while it does."""
        if self._task is not None and not self._task.done():
            raise ImpastoError("It is being painted already", "stop it first")
        self._stopped, self.error, self.result = False, None, None
        self.start_button.disabled, self.stop_button.disabled = True, False
        self._task = asyncio.get_running_loop().create_task(self._paint())

    def stop(self) -> None:
        """End with the step that is at work, and keep the picture so far."""
        self._stopped = True

    async def done(self) -> PIL.Image.Image | None:
        """The picture, once it is finished or stopped; None where that was before the first step."""
        if self._task is None:
            raise ImpastoError("Nothing is being painted", "call start first")
        await asyncio.shield(self._task)
        if self.error is not None:
            raise self.error
        return self.result

    async def _paint(self) -> None:
        picture: Tensor | None = None
        self._style_changed = True
        try:
            while self._style_changed and not self._stopped:
                self._style_changed = False
                picture = await self._run(picture)
        except ImpastoError as error:
            self.error, self.text.value = error, str(error)
        finally:
            self._job = None
            self.start_button.disabled, self.stop_button.disabled = False, True

    async def _run(self, picture: Tensor | None) -> Tensor | None:
        """Paint from `picture` on, until that is finished, stopped, or another style was chosen; the picture so far."""
        async with contextlib.aclosing(async_events(partial(self._make, picture))) as events:
            async for event in events:
                picture = self._shown(event, picture)
                if self._stopped or self._style_changed:
                    break
        if picture is not None and self._job is not None:
            recipe = self._job.recipe().without_folders()
            self.result = PaintedImage.of(
                to_pil(picture, self._job.alpha(picture)),
                recipe.to_json(),
                camera=self._job.camera(),
                dpi=self._job.dpi,
            )
        return picture

    def _make(self, picture: Tensor | None) -> Stylization:
        """The job of what is chosen now; it is made in the thread that paints."""
        begun: dict[str, Any] = {} if picture is None else {"init": Settings.model_fields["init"].default}
        settings = Settings(**self.settings.model_dump() | self._chosen() | begun)
        self._job = Stylization(self.content, [self.styles[self.style.value]], settings, start=picture)
        return self._job

    def _chosen(self) -> dict[str, Any]:
        """What the controls say."""
        return {knob: control.value for knob, control in self.controls.items() if not control.disabled}

    def _shown(self, event: Event, before: Tensor | None) -> Tensor | None:
        """Show what an event tells; the newest picture."""
        match event:
            case Started():
                self._started = event
                for knob, value in self._chosen().items():  # moved while the job was being made
                    self._change(knob, value)
            case Stepped() if self._started is not None:
                picture = event.picture()
                self.bar.value, self.text.value = share_done(self._started, event), progress_text(self._started, event)
                self.image.value = preview(picture, self.side)
                return picture
            case Finished():
                self.bar.value, self.text.value = 1.0, f"{event.steps} steps in {event.seconds:.1f} s"
                self.image.value = preview(event.picture, self.side)
                return event.picture
            case _:
                pass
        return before

    def _change(self, knob: str, value: Any) -> None:
        """Have the run that goes on go by a control from its next step on."""
        if self._job is None or value == getattr(self._job.stylizer.schedule.requested, knob):
            return
        changes: Any = {knob: value}
        try:
            self._job.change(**changes)
        except ImpastoError as error:
            self.text.value = str(error)

    def _on_knob(self, knob: str, change: Any) -> None:
        self._change(knob, change["new"])

    def _on_start(self, button: Any) -> None:
        self.start()

    def _on_stop(self, button: Any) -> None:
        self.stop()

    def _on_style(self, change: Any) -> None:
        self._style_changed = True


def _control(widgets: Any, knob: str, settings: Settings) -> Any:
    """A slider for a number with bounds, a list for one of few values."""
    schema = Settings.model_json_schema()
    declared, value = schema["properties"][knob], getattr(settings, knob)
    label = knob.replace("_", " ").capitalize()
    about = {"description": label, "tooltip": declared["description"], "value": value}
    if "$ref" in declared:
        name = declared["$ref"].rpartition("/")[2]
        return widgets.Dropdown(options=schema["$defs"][name]["enum"], **about | {"value": str(value)})
    low, high = declared["minimum"], declared["maximum"]
    return widgets.FloatSlider(min=low, max=high, step=(high - low) / 50, **about)


def _ipywidgets() -> Any:
    try:
        import ipywidgets  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise ImpastoError("ipywidgets is not installed", "pip install 'impasto[notebook]'") from None
    return ipywidgets
