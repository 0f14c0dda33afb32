"""A run in a notebook's cell as it goes: `stylize(…, progress=LivePreview())`, in Jupyter and in marimo."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from torch import Tensor

from impasto.errors import ImpastoError
from impasto.images.writing import to_pil
from impasto.run.events import Event, Finished, Started, Stepped
from impasto.run.remaining import seconds_left, share_done


class LivePreview:
    """Shows a run in the cell that drives it: how far it is, its loss, the time left, and the picture so far.

    It is called with each event. A preview is `side` pixels long at most and follows the last by `seconds` or more.
    Raises `ImpastoError` where no notebook is running.
    """

    def __init__(self, *, side: int = 512, seconds: float = 0.5) -> None:
        self.side: int = side
        self.seconds: float = seconds
        self._show = cell()
        self._started: Started | None = None
        self._shown_at = float("-inf")

    def __call__(self, event: Event) -> None:
        """Show what the event tells, if the last preview is old enough."""
        match event:
            case Started():
                self._started, self._shown_at = event, float("-inf")
                self._show(page(0.0, f"Measuring {len(event.plan.scales)} scales on {event.device}", None))
            case Stepped() if self._started is not None and time.monotonic() - self._shown_at >= self.seconds:
                text = progress_text(self._started, event)
                self._show(page(share_done(self._started, event), text, preview(event.picture(), self.side)))
                self._shown_at = time.monotonic()
            case Finished():
                text = f"{event.steps} steps in {event.seconds:.1f} s, loss {event.loss:.4g}"
                self._show(page(1.0, text, preview(event.picture, self.side)))
            case _:
                pass


def progress_text(started: Started, step: Stepped) -> str:
    """One line about where a run is."""
    scales = len(started.plan.scales)
    return (
        f"Scale {step.scale} of {scales} ({step.size[1]}×{step.size[0]} px), step {step.step}, "
        f"loss {step.loss:.4g}, {seconds_left(started, step):.0f} s left"
    )


def preview(picture: Tensor, side: int) -> bytes:
    """JPEG of a picture (1, 3, h, w), at most so many pixels long."""
    small = to_pil(picture)
    small.thumbnail((side, side))
    encoded = BytesIO()
    small.save(encoded, "JPEG", quality=85)
    return encoded.getvalue()


def page(share: float, text: str, jpeg: bytes | None) -> str:
    """The cell as HTML."""
    image = ""
    if jpeg is not None:
        data = base64.b64encode(jpeg).decode()
        image = f'<div><img alt="The picture so far" src="data:image/jpeg;base64,{data}" style="max-width:100%"></div>'
    bar = f'<progress max="1" value="{share:.4f}" aria-label="Painted so far" style="width:20em"></progress>'
    return f"<div>{bar} {text}</div>{image}"


def cell() -> Callable[[str], None]:
    """A way to put HTML into the cell that runs, in place of what it put there before."""
    if (marimo := sys.modules.get("marimo")) is not None and marimo.running_in_notebook():
        return lambda html: marimo.output.replace(marimo.Html(html))
    if not _in_jupyter():
        raise ImpastoError("No notebook is running, so there is no cell to show in", "use it in Jupyter or marimo")
    return _JupyterCell()


def _in_jupyter() -> bool:
    """Whether IPython runs in a kernel: a terminal shows no HTML."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class _JupyterCell:
    """An output of a cell, put there once and then replaced."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, html: str) -> None:
        import IPython.display

        ipython: Any = IPython.display  # which is typed in part alone
        if self._handle is None:
            self._handle = ipython.display(ipython.HTML(html), display_id=True)
        else:
            self._handle.update(ipython.HTML(html))
