"""The charts of a run's figure: loss curves, style distance by layer, and the table of measures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from impasto.network.layers import ORDER
from impasto.report.metrics import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

INK, GREY, RULE = "#1b1f2a", "#7b818c", "#d5d8de"
STRONG, PALE = "#1f4e8c", "#a9c3e0"
CURVE_COLOURS = {"content": ("Oranges", 0.45, 0.8), "style": ("viridis", 0.9, 0.0), "tv": ("Greys", 0.5, 0.5)}
LEAST_SHOWN = 1e-4  # of the greatest loss: a part that begins at 0, as the content's does, has no place below
WEIGHTS = {False: "normal", True: "bold"}
FONT = "DejaVu Sans"  # matplotlib brings it along, so that a figure looks the same everywhere


def draw_curves(axes: Axes, steps: Sequence[Step], last: float, inches: float) -> None:
    """Loss and parts at the canvas that each step began with, and the result's loss, which is the `last`.

    What isn't above zero has no place on a log scale and is left out.
    """
    from matplotlib.ticker import MaxNLocator

    _frame(axes, "Loss", "before each step, with its weighted parts, and of the result", shift=-0.4)
    x = [step.step for step in steps]
    curves = {"total": [_loggable(step.loss) for step in steps]}
    axes.plot(x, curves["total"], color=INK, linewidth=2.2, label="total", zorder=3)
    for kind in CURVE_COLOURS:
        names = {name for step in steps for name in step.parts if name.split("/")[0] == kind}
        layers = sorted(names, key=lambda name: ORDER.get(name.split("/")[-1], 0))
        for name, colour in zip(layers, _shades(kind, len(layers)), strict=True):
            curves[name] = [_loggable(step.parts.get(name, 0.0)) for step in steps]
            axes.plot(x, curves[name], color=colour, linewidth=1.2, label=name.replace("/", " "))
    end = x[-1] + 1 if x else 1
    way = [*curves["total"][-1:], _loggable(last)]
    style = {"linestyle": ":", "marker": "o", "markevery": [-1], "markersize": 5}
    axes.plot([*x[-1:], end], way, color=INK, linewidth=1.4, label="result", zorder=4, **style)
    every = chain(*curves.values(), [_loggable(last)])
    values = [value for value in every if not math.isnan(value)] or [1.0]
    highest, lowest = 1.2 * max(values), max(min(values), LEAST_SHOWN * max(values)) / 1.2
    axes.set_yscale("log")
    axes.set_ylim(lowest, highest * (highest / lowest) ** 0.08)  # room for the sizes above the curves
    axes.set_xlim(x[0] - 0.5 if x else 0.5, end + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color=RULE, linewidth=0.5)
    _write(axes, "step", (0.5, 0), (0, -28), color=GREY, size=8.5, ha="center")
    for _, group in groupby(steps, key=lambda step: step.scale):
        scale = list(group)
        start = scale[0].step - 0.5
        if scale[0] is not steps[0]:
            axes.axvline(start, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        if inches * len(scale) / len(steps) > 0.5:
            _write(
                axes, f"{max(scale[0].size)} px", (start, 1), (4, -9), ("data", "axes fraction"), color=GREY, size=7.5
            )
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, labelcolor=INK, handlelength=1.3,
        prop={"family": FONT, "size": 8 if len(curves) < 14 else 6}, borderaxespad=0,
    )  # fmt: skip


def draw_bars(axes: Axes, layers: dict[str, dict[str, Any]]) -> None:
    """The share of the style distance closed at each layer, those the run didn't optimise in a paler shade."""
    _frame(axes, "Style distance closed", "", shift=-0.65)
    values = [100 * (layer["closed"] or 0.0) for layer in layers.values()]
    low = max(-100.0, min(0.0, *values)) if values else 0.0
    colours = [STRONG if layer["optimised"] else PALE for layer in layers.values()]
    axes.barh(range(len(values)), [max(value, low) for value in values], height=0.68, color=colours, zorder=2)
    for y, (layer, value) in enumerate(zip(layers.values(), values, strict=True)):
        _write(axes, percent(layer["closed"]), (max(value, 0.0), y), (4, 0), "data", va="center")
    axes.set_xlim(low, 125)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_yticks(range(len(values)), layers)
    axes.set_xticks([tick for tick in (-100, -50, 0, 50, 100) if tick >= low])
    axes.xaxis.set_major_formatter("{x:.0f} %")
    axes.tick_params(axis="y", length=0, pad=5)
    axes.grid(axis="x", color=RULE, linewidth=0.5)
    for x, colour, label in ((0.0, STRONG, "optimised"), (0.48, PALE, "not optimised")):
        _write(axes, "■", (x, 0), (0, -34), color=colour, size=9)
        _write(axes, label, (x, 0), (11, -33.5))


def draw_table(axes: Axes, measures: dict[str, Any]) -> None:
    """What was measured, in rows under three headings, for content, result and style."""
    axes.set_axis_off()
    caption(axes, "Measures", "", size=10.5)
    rows = list(_rows(measures))
    for i, (label, values, heading) in enumerate(rows):
        y = 1 - (i + 0.55) / len(rows)
        _write(axes, label, (0, y), (0 if heading else 9, 0), size=8.5, va="center", weight=WEIGHTS[heading])
        for x, value, bold in zip((0.66, 0.82, 1.0), values, (False, not heading, False), strict=True):
            colour = INK if bold else GREY
            _write(axes, value, (x, y), color=colour, size=8.5, va="center", ha="right", weight=WEIGHTS[bold])
        if heading:
            axes.axhline(y - 0.5 / len(rows), color=RULE, linewidth=0.8)
    axes.set_ylim(0, 1)


def _rows(measures: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str, str], bool]]:
    """Label, values for content, result and style, and whether it is a heading."""
    style, colour, time = measures["style"], measures["colour"], measures["time"]
    result, chance = measures["structure"]["result"], measures["structure"]["painting"]
    yield "Distance to the painting closed", ("photo", "result", "painting"), True
    yield "style, layers optimised", ("0 %", percent(style["mean_optimised"]), "100 %"), False
    yield "style, layers not optimised", ("0 %", percent(style["mean_others"]), "100 %"), False
    yield "colours (W₂ in Oklab)", ("0 %", percent(colour["closed"]), "100 %"), False
    yield "Structure of the photo kept", ("photo", "result", "painting"), True
    names = {"edges": "edges (Sobel)", "contrast_structure": "contrast · structure (SSIM)"}
    for key, value in result.items():
        yield names.get(key, f"features at {key}"), ("1.00", _number(value), _number(chance[key])), False
    yield "Time", ("", "", ""), True
    yield "whole run", ("", duration(time["seconds"]), ""), False
    for scale in time["scales"][-1:]:
        label = f"step at {scale['width']}×{scale['height']} px, median"
        yield label, ("", duration(scale["seconds_per_step"]), ""), False
    yield "step, per megapixel", ("", duration(time["seconds_per_megapixel_step"]), ""), False


def _write(
    axes: Axes, text: str, at: tuple[float, float], shift: tuple[float, float] = (0, 0),
    coordinates: Any = "axes fraction", *, size: float = 8, color: str = INK, **style: Any,
) -> Annotation:  # fmt: skip
    return axes.annotate(
        text, at, shift, coordinates, "offset points", fontsize=size, color=color, family=FONT, **style
    )


def caption(axes: Axes, name: str, detail: str, size: float = 9.5, shift: float = 0) -> None:
    """A bold name above the axes, `shift` inches to the right, with something in grey after it."""
    title = _write(axes, name, (0, 1), (72 * shift, 5), size=size, weight="bold")
    _write(axes, detail, (1, 0), (7, 0), title, size=size - 1, color=GREY, va="bottom")


def _frame(axes: Axes, name: str, detail: str, shift: float) -> None:
    caption(axes, name, detail, 10.5, shift)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(which="both", color=RULE, labelcolor=INK, labelsize=8, labelfontfamily=FONT)


def _shades(kind: str, count: int) -> Any:
    """Colours for the curves of a kind of loss, from the shallowest layer to the deepest."""
    from matplotlib import colormaps

    name, first, last = CURVE_COLOURS[kind]
    return colormaps[name]([first + (last - first) * (i + 0.5) / count for i in range(count)])


def _loggable(value: float) -> float:
    return value if value > 0 and math.isfinite(value) else math.nan


def percent(share: float | None) -> str:
    """'93 %', or a dash for what could not be measured."""
    return "—" if share is None else f"{round(100 * share)} %".replace("-", "−")


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:z.2f}".replace("-", "−")


def duration(seconds: float | None) -> str:
    """'250 ms', '2.0 s', '15 min' or '2.5 h', or a dash for what could not be measured."""
    if seconds is None:
        return "—"
    if seconds < 600:
        return (
            f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"
        )
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
