"""Draws the figures of benchmarks/results/*.json into one picture, docs/images/benchmarks.png.

python benchmarks/plots.py
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import record
from matplotlib.axes import Axes

TARGET = record.HERE.parent / "docs" / "images" / "benchmarks.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    parser.add_argument("--target", type=Path, default=TARGET)
    chosen = parser.parse_args()
    found = {name: chosen.results / f"{name}.json" for name in PANELS}
    there = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in found.items() if path.is_file()}
    if not there:
        raise SystemExit(f"{chosen.results} holds no results: run python benchmarks first.")
    figure, axes = plt.subplots(2, -(-len(there) // 2), figsize=(4.2 * -(-len(there) // 2), 7), squeeze=False)
    for axis, (name, result) in zip(axes.flat, there.items(), strict=False):
        PANELS[name](axis, result["table"])
    for axis in list(axes.flat)[len(there) :]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(chosen.target, dpi=100)


def steps(axis: Axes, table: list[dict[str, Any]]) -> None:
    """How many times faster than pastiche each contestant's step is, by size."""
    names = list(dict.fromkeys(row["who"] for row in table))
    sizes = list(dict.fromkeys(row["size"] for row in table))
    for at, size in enumerate(sizes):
        faster = [_number(row["faster"]) for row in table if row["size"] == size]
        places = [y + 0.4 * at - 0.2 for y in range(len(faster))]
        axis.barh(places, faster, height=0.38, label=f"{size} px")
    axis.set_yticks(range(len(names)), names)
    axis.axvline(1, color="grey", linewidth=0.8)
    axis.legend()
    axis.set_title("A step: times as fast as pastiche")


def bound(axis: Axes, table: list[dict[str, Any]]) -> None:
    """Share of the bound of direct convolution."""
    axis.bar([row["who"] for row in table], [_number(row["share of the bound"]) for row in table])
    axis.axhline(1, color="grey", linewidth=0.8)
    axis.set_title("Share of the direct-convolution bound")


def losses(axis: Axes, table: list[dict[str, Any]]) -> None:
    """Seconds to a loss, pastiche and impasto."""
    goals = list(dict.fromkeys(row["loss of"] for row in table))
    for at, who in enumerate(("pastiche", "impasto")):
        seconds = [_number(row["seconds"]) for row in table if row["who"] == who]
        axis.bar([x + 0.4 * at - 0.2 for x in range(len(seconds))], seconds, width=0.38, label=who)
    axis.set_xticks(range(len(goals)), [goal.split(",")[0].removeprefix("pastiche's ") for goal in goals])
    axis.legend(loc="center right")
    axis.set_title("Seconds to pastiche's loss")


def memory(axis: Axes, table: list[dict[str, Any]]) -> None:
    """Peak memory against pixels."""
    for who in dict.fromkeys(row["who"] for row in table):
        rows = [row for row in table if row["who"] == who]
        axis.plot([_megapixels(row["size"]) for row in rows], [row["peak MB"] for row in rows], "o-", label=who)
    axis.set_xlabel("megapixels")
    axis.legend()
    axis.set_title("Peak memory of two steps, MB")


def growth(axis: Axes, table: list[dict[str, Any]]) -> None:
    """Seconds of a step against pixels, with the line through the middle and ±15 %."""
    pixels = [row["megapixels"] for row in table]
    rates = [row["CPU s a megapixel"] for row in table]
    middle = (min(rates) + max(rates)) / 2
    axis.loglog(pixels, [rate * p for rate, p in zip(rates, pixels, strict=True)], "o", label="measured")
    axis.loglog(pixels, [middle * p for p in pixels], color="grey", label=f"{middle:.2f} s a megapixel")
    axis.fill_between(pixels, [0.85 * middle * p for p in pixels], [1.15 * middle * p for p in pixels], alpha=0.2)
    axis.set_xlabel("megapixels")
    axis.legend()
    axis.set_title("Processor seconds of a step; band ±15 %")


def planned(axis: Axes, table: list[dict[str, Any]]) -> None:
    """Memory that was planned and that was taken."""
    sizes = [row["size"] for row in table]
    for at, key in enumerate(("planned", "peak MB")):
        axis.bar([x + 0.4 * at - 0.2 for x in range(len(sizes))], [row[key] for row in table], width=0.38, label=key)
    axis.set_xticks(range(len(sizes)), sizes, rotation=20)
    axis.legend()
    axis.set_title("Memory planned and taken, MB")


def _number(text: object) -> float:
    """The median in a cell like '1.2 (1–1.4)'; 0 for a goal that wasn't reached."""
    head = str(text).split(" ")[0]
    return 0.0 if head == "–" else float(head)


def _megapixels(size: str) -> float:
    width, height = size.split("×")
    return int(width) * int(height) / 1e6


PANELS: dict[str, Callable[[Axes, list[dict[str, Any]]], None]] = {
    "peers": steps,
    "roofline": bound,
    "time_to_loss": losses,
    "memory": memory,
    "growth": growth,
    "growth_3GB": planned,
}

if __name__ == "__main__":
    main()
