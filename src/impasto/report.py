"""The record of a run: its figure (inputs, epochs, result, loss curves, measures) and the same numbers as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from impasto.errors import ImageError, ImpastoError
from impasto.events import EpochDone, Event, Finished, Started, Stepped
from impasto.images import resize, write_atomically
from impasto.measures import measure_pictures, measure_time
from impasto.settings import Settings
from impasto.vgg import ORDER, Engine

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, RULE = "#1b1f2a", "#7b818c", "#d5d8de"
STRONG, PALE, CONTENT = "#1f4e8c", "#a9c3e0", "#d9722b"
FONT = "DejaVu Sans"  # matplotlib brings it along, so that a figure looks the same everywhere

WIDTHS = (16.0, 15.0, 14.0, 13.0)
"""Widths in inches that a figure may have: the first in which its pictures aren't higher than `HIGHEST`."""
HIGHEST = 6.8
MARGIN, GAP, CAPTION, CHARTS, DPI = 0.4, 0.14, 0.27, 3.1, 120


class Recorder:
    """Keeps what a report needs while a run goes by: feed it every event, then ask for the report."""

    def __init__(
        self,
        content: Tensor,
        styles: Sequence[Tensor],
        *,
        settings: Settings,
        network: Engine,
        epochs: Sequence[int] = (1, 5, 10),
    ) -> None:
        self.content, self.styles = content, tuple(styles)
        self.settings, self.network = settings, network
        self.epochs = epochs_shown(epochs, settings.epochs)
        self._device = "cpu"
        self._steps: list[Stepped] = []
        self._pictures: dict[int, Tensor] = {}
        self._finished: Finished | None = None

    def see(self, event: Event) -> None:
        """Takes note of one event; those of a run must come in their order."""
        match event:
            case Started():
                self._device = event.device
            case Stepped():
                self._steps.append(event)
            case EpochDone() if event.epoch in self.epochs:
                self._pictures[event.epoch] = event.picture
            case Finished():
                self._finished = event

    def report(self) -> Report:
        """Computes the measures, which takes about as long as a step; raises `ImpastoError` before the run's end."""
        end = self._finished
        if end is None:
            raise ImpastoError("The run has not finished: let it finish before asking for its report.")
        measures = measure_pictures(
            self.network, self.settings, self.content, self.styles, end.picture.to(self._device)
        )
        first = {"first": self._steps[0].loss} if self._steps else {}
        measures["loss"] = {**first, "last": end.loss, "parts": dict(end.parts)}
        measures["time"] = measure_time(self._steps, end.seconds)
        return Report(
            measures, self.settings, self.content, self.styles, self._pictures, end.picture, tuple(self._steps)
        )


def epochs_shown(wanted: Sequence[int], last: int) -> tuple[int, ...]:
    """The epochs wanted, where the run has them all; otherwise its first, middle and last."""
    if max(wanted, default=0) <= last:
        return tuple(sorted(set(wanted)))
    return tuple(sorted({1, (1 + last) // 2, last}))


@dataclass(frozen=True)
class Report:
    """A finished run's measures, and the pictures and steps that its figure shows."""

    measures: dict[str, Any]
    settings: Settings
    content: Tensor
    styles: tuple[Tensor, ...]
    pictures: dict[int, Tensor]
    result: Tensor
    steps: tuple[Stepped, ...]

    def to_json(self) -> str:
        """The measures, where what could not be measured is null."""
        return json.dumps(self.measures, indent=2, allow_nan=False)

    def figure(self, path: str | Path) -> None:
        """Draws the run into a PNG, PDF, SVG or JPEG, replacing what is there; raises `ImageError`."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        path = Path(path)
        known = FigureCanvasAgg.get_supported_filetypes()
        if (kind := path.suffix.lower().removeprefix(".")) not in known:
            raise ImageError(f"'{path}' ends in {path.suffix!r}, not in a figure's format: use .png, .pdf or .svg.")
        figure = draw(self)
        try:
            write_atomically(path, lambda file: figure.savefig(file, format=kind, dpi=DPI))
        except OSError as error:
            raise ImageError(f"'{path}' can't be written ({error}): make room or save it elsewhere.") from error


class Box(NamedTuple):
    """A place on the page in inches, from its left and top."""

    x: float
    y: float
    w: float
    h: float


def arrange(rows: Sequence[Sequence[float]], large: float, width: float) -> tuple[list[list[Box]], Box]:
    """Boxes for rows of pictures of these aspects (w / h), justified, and beside them one as high as all rows.

    Everything together is `width` wide; above each row there's room for a caption.
    """
    per_inch = [1 / sum(aspects) for aspects in rows]  # a row's height for each inch of its width without gaps
    gaps = [GAP * (len(aspects) - 1) for aspects in rows]
    between = (len(rows) - 1) * (GAP + CAPTION)
    fixed = between - sum(k * gap for k, gap in zip(per_inch, gaps, strict=True))
    block = (width - 2 * GAP - large * fixed) / (1 + large * sum(per_inch))
    boxes, y = [], CAPTION
    for aspects, k, gap in zip(rows, per_inch, gaps, strict=True):
        height, x, row = k * (block - gap), 0.0, []
        for aspect in aspects:
            row.append(Box(x, y, aspect * height, height))
            x += aspect * height + GAP
        boxes.append(row)
        y += height + GAP + CAPTION
    high = y - GAP - 2 * CAPTION
    return boxes, Box(block + 2 * GAP, CAPTION, large * high, high)


def draw(report: Report) -> Figure:
    """The figure: inputs above epochs, the result large beside them, below it curves, bars and the table."""
    from matplotlib.figure import Figure

    shots = sorted(report.pictures.items())
    inputs = [(report.content, "Photo", ""), *_style_captions(report)]
    epochs = [(shot, f"Epoch {n}", _pixels(shot)) for n, shot in shots]
    shown = [row for row in (inputs, epochs) if row]
    aspects = [[_aspect(image) for image, _, _ in row] for row in shown]
    for width in WIDTHS:
        inside = width - 2 * MARGIN
        boxes, large = arrange(aspects, _aspect(report.result), inside)
        if large.h <= HIGHEST:
            break
    else:  # a tall photo: as wide as its height allows, in the middle
        narrow = inside * HIGHEST / large.h
        boxes, large = arrange(aspects, _aspect(report.result), narrow)

    top = MARGIN - 0.1
    left = (width - (large.x + large.w)) / 2
    charts = top + CAPTION + large.h + 0.75
    height = charts + CHARTS + 0.95
    figure = Figure(figsize=(width, height), facecolor="white")

    def place(box: Box) -> Axes:
        return figure.add_axes((box.x / width, 1 - (box.y + box.h) / height, box.w / width, box.h / height))

    seconds = report.measures["time"]["seconds"]
    big = (report.result, "Result", f"{_pixels(report.result)} in {_duration(seconds)}")
    for (image, name, detail), box in zip(
        [*(picture for row in shown for picture in row), big], [*(b for row in boxes for b in row), large], strict=True
    ):
        _draw_picture(place(box._replace(x=left + box.x, y=top + box.y)), box, image, name, detail)

    table = 4.5
    bars = 0.2 * width - 0.6
    legend = 1.45
    curves = width - 2 * MARGIN - table - bars - legend - 1.95
    x = MARGIN + 0.45
    _draw_curves(place(Box(x, charts, curves, CHARTS)), report.steps, curves)
    x += curves + legend + 0.85
    _draw_bars(place(Box(x, charts, bars, CHARTS)), report.measures["style"]["layers"])
    _draw_table(place(Box(width - MARGIN - table + 0.2, charts, table - 0.2, CHARTS)), report.measures)
    figure.text(
        MARGIN / width, 0.25 / height, _summary(report.settings), color=GREY, fontsize=8, family=FONT, va="center"
    )
    return figure


def _draw_picture(axes: Axes, box: Box, image: Tensor, name: str, detail: str) -> None:
    """At the resolution of the page, so that pictures of all scales are equally large."""
    shape = (max(1, round(box.h * DPI)), max(1, round(box.w * DPI)))
    axes.imshow(resize(image.cpu(), shape)[0].permute(1, 2, 0).numpy(), aspect="auto", interpolation="nearest")
    axes.set_axis_off()
    room = box.w / 0.088  # characters of the caption's size
    _caption(axes, name, detail if len(name) + len(detail) + 2 <= room else "")


def _caption(axes: Axes, name: str, detail: str, size: float = 9.5) -> None:
    title = axes.annotate(
        name, (0, 1), (0, 5), "axes fraction", "offset points", color=INK, fontsize=size, family=FONT, weight="bold"
    )
    axes.annotate(
        detail, (1, 0), (7, 0), title, "offset points", color=GREY, fontsize=size - 1, family=FONT, va="bottom"
    )


def _draw_curves(axes: Axes, steps: Sequence[Stepped], inches: float) -> None:
    """Loss and parts over steps; what isn't above zero has no place on a log scale and is left out."""
    _frame(axes, "Loss", "by step, weighted")
    names = list(dict.fromkeys(name for step in steps for name in step.parts))
    names.sort(key=lambda name: (["content", "style", "tv"].index(name.split("/")[0]), ORDER.get(name.split("/")[-1], 0)))
    x = [step.step for step in steps]
    total = [_loggable(step.loss) for step in steps]
    axes.plot(x, total, color=INK, linewidth=2.2, label="total", zorder=3)
    shades = _shades(sum(name.startswith("style/") for name in names))
    curves = [total]
    for name in names:
        y = [_loggable(step.parts.get(name, 0.0)) for step in steps]
        curves.append(y)
        look = {"color": next(shades)} if name.startswith("style/") else {"color": CONTENT if "/" in name else GREY}
        axes.plot(x, y, linewidth=1.2, label=name.replace("/", " "), **look)
    seen = [value for curve in curves for value in curve if not math.isnan(value)]
    highest = max(seen, default=1.0)
    axes.set_yscale("log")
    axes.set_ylim(max(min(seen, default=0.1), 1e-6 * highest) / 1.5, highest * 1.5)
    ends = (x[0] - 0.5, x[-1] + 0.5) if x else (0.5, 1.5)
    axes.set_xlim(*ends)
    axes.set_xlabel("step", color=GREY, fontsize=8.5, family=FONT)
    for number, (_, group) in enumerate(groupby(steps, key=lambda step: step.scale)):
        scale = list(group)
        if number:
            axes.axvline(scale[0].step - 0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        if inches * len(scale) / len(steps) > 0.5:
            where = (scale[0].step - 0.5, 1)
            text = f"{max(scale[0].size)} px"
            axes.annotate(
                text, where, (3, -3), ("data", "axes fraction"), "offset points", color=GREY, fontsize=7.5,
                family=FONT, va="top",
            )  # fmt: skip
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, labelcolor=INK, handlelength=1.3,
        prop={"family": FONT, "size": 8 if len(names) < 12 else 6}, borderaxespad=0,
    )  # fmt: skip


def _draw_bars(axes: Axes, layers: dict[str, dict[str, Any]]) -> None:
    _frame(axes, "Style distance closed", "")
    names = list(layers)
    values = [100 * (layers[name]["closed"] or 0.0) for name in names]
    low = -100.0 if min(values, default=0) < -100 else min(0.0, *values)
    axes.barh(
        range(len(names)), [max(value, low) for value in values], height=0.68,
        color=[STRONG if layers[name]["optimised"] else PALE for name in names],
    )  # fmt: skip
    for y, (name, value) in enumerate(zip(names, values, strict=True)):
        text = "—" if layers[name]["closed"] is None else _percent(value / 100)
        axes.annotate(
            text, (max(value, 0), y), (4, 0), textcoords="offset points", va="center", fontsize=8, color=INK,
            family=FONT,
        )  # fmt: skip
    axes.set_xlim(low, 128)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks([tick for tick in (-100, -50, 0, 50, 100) if tick >= low])
    axes.xaxis.set_major_formatter("{x:.0f} %")
    axes.spines["left"].set_position(("data", 0))
    axes.spines["left"].set_color(RULE)
    axes.tick_params(axis="y", length=0, pad=5)
    if low < 0:
        axes.spines["left"].set_position(("axes", 0))
        axes.axvline(0, color=RULE, linewidth=0.8)
    for x, colour, label in ((0.0, STRONG, "optimised"), (0.5, PALE, "not optimised")):
        axes.annotate("■", (x, 0), (0, -34), "axes fraction", "offset points", color=colour, fontsize=9, family=FONT)
        axes.annotate(
            label, (x, 0), (11, -33.5), "axes fraction", "offset points", color=INK, fontsize=8, family=FONT
        )


def _draw_table(axes: Axes, measures: dict[str, Any]) -> None:
    axes.set_axis_off()
    _caption(axes, "Measures", "", 10.5)
    rows = list(_rows(measures))
    pitch = 1 / len(rows)
    columns = (0.66, 0.82, 1.0)
    for i, (label, values, is_heading) in enumerate(rows):
        y = 1 - (i + 0.55) * pitch
        axes.text(
            0 if is_heading else 0.03, y, label, color=INK, fontsize=8.5, family=FONT, va="center",
            weight="bold" if is_heading else "normal",
        )  # fmt: skip
        for x, value in zip(columns, values, strict=True):
            axes.text(
                x, y, value, color=GREY if is_heading or x != columns[1] else INK, fontsize=8.5, family=FONT,
                va="center", ha="right", weight="bold" if x == columns[1] and not is_heading else "normal",
            )  # fmt: skip
        if is_heading:
            axes.plot([0, 1], [y - pitch / 2] * 2, color=RULE, linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def _rows(measures: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str, str], bool]]:
    style, colour, time = measures["style"], measures["colour"], measures["time"]
    result, chance = measures["structure"]["result"], measures["structure"]["painting"]
    yield "Style distance closed", ("photo", "result", "painting"), True
    yield "layers optimised", ("0 %", _percent(style["mean_optimised"]), "100 %"), False
    yield "layers not optimised", ("0 %", _percent(style["mean_others"]), "100 %"), False
    yield "colours (W₂ in Oklab)", ("0 %", _percent(colour["closed"]), "100 %"), False
    yield "Structure kept", ("photo", "result", "painting"), True
    names = {"edges": "edges (Sobel)", "contrast_structure": "contrast · structure (SSIM)"}
    for key, value in result.items():
        yield names.get(key, f"features at {key}"), ("1.00", _number(value), _number(chance[key])), False
    yield "Time", ("", "", ""), True
    yield "whole run", ("", _duration(time["seconds"]), ""), False
    yield "step, median", ("", _duration(time["seconds_per_step"]), ""), False
    yield "step, per megapixel", ("", _duration(time["seconds_per_megapixel_step"]), ""), False


def _frame(axes: Axes, name: str, detail: str) -> None:
    _caption(axes, name, detail, 10.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(which="both", color=RULE, labelcolor=INK, labelsize=8, labelfontfamily=FONT)


def _shades(count: int) -> Iterator[Any]:
    from matplotlib import colormaps

    return iter(colormaps["YlGnBu"]([0.4 + 0.6 * i / max(count - 1, 1) for i in range(count)]))


def _style_captions(report: Report) -> list[tuple[Tensor, str, str]]:
    if len(report.styles) == 1:
        return [(report.styles[0], "Style", "")]
    shares = report.settings.style_weights or [1.0] * len(report.styles)
    return [
        (style, f"Style {n}", _percent(share / sum(shares)))
        for n, (style, share) in enumerate(zip(report.styles, shares, strict=True), start=1)
    ]


def _summary(s: Settings) -> str:
    parts = [
        f"{s.optimizer}, {s.epochs} × {s.steps_per_epoch} steps",
        f"α = {s.content_weight:g}, β = {s.style_weight:g} ({s.objective})",
        f"from {s.init if not s.init_is_image else Path(s.init).name}",
        f"{s.pooling} pooling",
        f"weights {s.weights if s.weights in ('embedded', 'torchvision') else Path(s.weights).name}",
        f"seed {s.seed}",
    ]
    return "   ·   ".join(["impasto", *parts])


def _aspect(image: Tensor) -> float:
    return image.shape[-1] / image.shape[-2]


def _pixels(image: Tensor) -> str:
    return f"{image.shape[-1]}×{image.shape[-2]} px"


def _loggable(value: float) -> float:
    return value if value > 0 and math.isfinite(value) else math.nan


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.0f} %".replace("-0 ", "0 ").replace("-", "−")


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "—"
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{round(seconds)} s" if seconds < 600 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
