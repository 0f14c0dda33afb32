"""The figure of a run: inputs, epochs and result above loss curves, style distance by layer, and the measures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from impasto.errors import ImageError
from impasto.images.size import Size, fit, resize, size_of
from impasto.report.charts import FONT, GREY, RULE, caption, draw_bars, draw_curves, draw_table, duration, percent
from impasto.report.layout import MARGIN, Box, arrange_page
from impasto.report.metrics import Step
from impasto.settings.choices import Color
from impasto.settings.settings import Settings
from impasto.storage.files import reason, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    Color.STYLE: "the style's",
    Color.KEEP: "the photo's, only lightness is painted",
    Color.MATCH: "the photo's, which the style takes on first",
    Color.TINT: "the photo's in the style's range, after painting",
}

CHARTS, TABLE = 3.1, 4.3
"""Inches: the height of the charts and the width of the table."""
DPI = 120


@dataclass(frozen=True)
class Report:
    """What a finished run leaves: its measures, and its pictures (by epoch) and steps for the figure.

    `sizes` are the epochs' (h, w), since their pictures may be kept smaller. Masks, one for each style or none at all,
    are images (1, 3, h, w), white where they let a style through, or None; so is the map of the strength.
    """

    measures: dict[str, Any]
    settings: Settings
    content: Tensor
    styles: tuple[Tensor, ...]
    pictures: dict[int, Tensor]
    result: Tensor
    steps: tuple[Step, ...]
    sizes: dict[int, Size]
    masks: tuple[Tensor | None, ...] = ()
    style_masks: tuple[Tensor | None, ...] = ()
    strength_map: Tensor | None = None

    def to_json(self) -> str:
        """The measures, where what could not be measured is null."""
        return json.dumps(self.measures, indent=2, allow_nan=False)

    def save_figure(self, path: str | Path) -> None:
        """Draw the run into a PNG, PDF, SVG or JPEG, replacing what is there; raises `ImageError`."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        path = Path(path)
        known = FigureCanvasAgg.get_supported_filetypes()
        if (kind := path.suffix.lower().removeprefix(".")) not in known:
            raise ImageError(f"'{path}' ends in {path.suffix!r}, not in a figure's format", "use .png, .pdf or .svg")
        figure = draw(self)
        try:
            write_atomically(path, lambda file: figure.savefig(file, format=kind, dpi=DPI))
        except OSError as error:
            raise ImageError(
                f"'{path}' can't be written ({reason(error)})", "make room or save it elsewhere"
            ) from error


def draw(report: Report) -> Figure:
    """The figure: inputs above epochs, the result large beside them; below them curves, bars and the table."""
    from matplotlib.figure import Figure

    strengths = [] if report.strength_map is None else [(report.strength_map, "Strength", "white is all of it")]
    inputs = [(report.content, "Photo", ""), *strengths, *_style_captions(report)]
    epochs = [(picture, f"Epoch {n}", _pixels(report.sizes[n])) for n, picture in sorted(report.pictures.items())]
    took = duration(report.measures["time"]["seconds"])
    size, measured = (report.measures[key] for key in ("size", "measured_at"))
    note = "" if size == measured else f", measured at {measured['width']}×{measured['height']}"
    loss = f", loss {report.measures['loss']['last']:.3g}"
    result = (report.result, "Result", f"{_pixels((size['height'], size['width']))} in {took}{loss}{note}")
    rows = [row for row in (inputs, epochs) if row]
    width, boxes, large = arrange_page(
        [[_aspect(image) for image, _, _ in row] for row in rows], _aspect(report.result)
    )
    charts = 0.3 + large.y + large.h + 0.75
    height = charts + CHARTS + 0.95
    figure = Figure(figsize=(width, height), facecolor="white")

    def place(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height), anchor="NW")

    left = (width - large.x - large.w) / 2
    for picture, box in zip([*chain(*rows), result], [*chain(*boxes), large], strict=True):
        _draw_picture(place(left + box.x, 0.3 + box.y, box.w, box.h), box, *picture)

    bars = 0.2 * width - 0.6
    curves = width - TABLE - bars - 4.1
    draw_curves(place(MARGIN + 0.4, charts, curves, CHARTS), report.steps, report.measures["loss"]["last"], curves)
    draw_bars(place(MARGIN + curves + 2.7, charts, bars, CHARTS), report.measures["style"]["layers"])
    draw_table(place(width - MARGIN - TABLE, charts, TABLE, CHARTS), report.measures)
    figure.text(MARGIN / width, 0.25 / height, _summary(report.settings), color=GREY, fontsize=8, family=FONT)
    return figure


def _draw_picture(axes: Axes, box: Box, image: Tensor, name: str, detail: str) -> None:
    """At the resolution of the page, so that pictures of all scales are equally large."""
    from matplotlib.patches import Rectangle

    shape = fit(size_of(image), round(max(box.w, box.h) * DPI))
    axes.imshow(resize(image.cpu(), shape)[0].permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_axis_off()
    frame = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=RULE, linewidth=0.8)
    axes.add_patch(frame)  # without which a white mask has no edge
    room = box.w / 0.088  # characters of the caption's size
    if len(name) <= room:
        caption(axes, name, detail if len(name) + len(detail) + 2 <= room else "")


def _style_captions(report: Report) -> Iterator[tuple[Tensor, str, str]]:
    """The styles, each with its masks after it."""
    alone = len(report.styles) == 1
    shares = report.settings.style_weights or [1.0] * len(report.styles)
    nothing = [None] * len(report.styles)
    masks, parts = report.masks or nothing, report.style_masks or nothing
    for n, (style, share, mask, part) in enumerate(zip(report.styles, shares, masks, parts, strict=True), start=1):
        number = "" if alone else f" {n}"
        yield style, f"Style{number}", "" if alone else percent(share / sum(shares))
        if mask is not None:
            yield mask, f"Mask{number}", "white is painted"
        if part is not None:
            yield part, f"Part{number}", "of the style: white counts"


def _summary(s: Settings) -> str:
    strength = [f"strength {s.strength:g}"] if s.normalized else []
    parts = [
        "impasto",
        *strength,
        f"colours: {COLOURS[s.color]}",
        f"{s.optimizer}, {s.epochs} × {s.steps_per_epoch} steps",
        f"α = {s.content_weight:g}, β = {s.style_weight:g} ({s.objective})",
        f"from {Path(s.init).name}",
        f"{s.pooling} pooling",
        f"weights {Path(s.weights).name}",
        f"seed {s.seed}",
    ]
    return "   ·   ".join(parts)


def _aspect(image: Tensor) -> float:
    """Width by height, held within what can be laid out: a thinner picture gets white beside it."""
    return min(max(image.shape[-1] / image.shape[-2], 0.25), 4.0)


def _pixels(size: Size) -> str:
    return f"{size[1]}×{size[0]} px"
