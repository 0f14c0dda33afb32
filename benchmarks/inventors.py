"""How many steps and seconds to the losses that the notebook of Gatys' own implementation prints?

It prints ten, after 50 to 500 iterations of L-BFGS on its own pair at a shorter side of 512 px. Neither that pair nor
its file of weights is here, so the printed losses can't be reached or missed. What the notebook does is done here on a
pair of ours, by torch's L-BFGS on a canvas that may leave 0–255; impasto, whose canvas is always a picture, has to
reach the losses that it gets to, and those of its canvas once that is a picture too.

python benchmarks/inventors.py [--shorter 512] [--content FILE] [--style FILE] [--quick]
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import pictures
import record
import time_to_loss
import tutorial

PRINTED = (
    *(1388532.5, 707860.8, 538045.4, 469374.9, 433804.6),
    *(411657.6, 395248.3, 383885.3, 375128.8, 368493.8),
)
"""Their losses after 50, 100, … 500 iterations."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", type=Path)
    parser.add_argument("--style", type=Path)
    parser.add_argument("--shorter", type=int, default=512, help="of the picture's sides, 2:3, in pixels")
    parser.add_argument("--quick", action="store_true", help="tiny and short, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    shorter, every = (48, 2) if chosen.quick else (chosen.shorter, 50)
    size = (shorter, shorter * 3 // 2)
    with tempfile.TemporaryDirectory() as name:
        content, style = map(str, pictures.prepared(Path(name), size, chosen.content, chosen.style))
        theirs = run_theirs(content, style, every)
        ours = run_ours(content, style, size, every, theirs["marks"][-1]["loss"])
    time_to_loss.agree(ours["losses"][0], theirs["losses"][0])
    question = f"Steps and seconds to the losses of Gatys' notebook, on another pair at {size[1]}×{size[0]}"
    facts = {"question": question, "printed": PRINTED, "theirs": theirs, "ours": ours}
    record.report("inventors", facts, table(theirs, ours), chosen.results)


def run_theirs(content: str, style: str, every: int) -> dict[str, Any]:
    """What the notebook does: torch's L-BFGS, an evaluation an iteration, on a canvas without bounds."""
    began, marks, losses = time.perf_counter(), [], []
    loop = tutorial.Loop(tutorial.with_torch(), content, style, alpha=1, beta=1e3)
    for number in range(every * len(PRINTED)):
        losses.append(loop.step())
        if (number + 1) % every == 0:
            seconds = time.perf_counter() - began
            marks.append({"iterations": number + 1, "loss": loop.loss(), "as a picture": loop.loss_of_picture()})
            marks[-1]["seconds"] = seconds
            began += time.perf_counter() - began - seconds  # what only looks on isn't counted
    return {"losses": losses, "marks": marks}


def run_ours(content: str, style: str, size: tuple[int, int], every: int, goal: float) -> dict[str, list[float]]:
    """Impasto with the preset, its loss and the seconds since the start at each step, until it gets to the goal.

    It may take twice as many steps.
    """
    from impasto.jobs.stylization import Stylization
    from impasto.run.events import Stepped
    from impasto.settings import presets
    from impasto.settings.settings import Settings

    knobs = {"size": max(size), "epochs": 2 * len(PRINTED), "steps_per_epoch": every}
    began, losses, seconds = time.perf_counter(), [], []
    settings = Settings(**{**presets.load("gatys-notebook").knobs, **knobs, "device": "cpu"})
    for event in Stylization(content, [style], settings).events():
        if isinstance(event, Stepped):
            losses.append(event.loss)
            seconds.append(time.perf_counter() - began)
            if event.loss <= goal:
                break
    return {"losses": losses, "seconds": seconds}


def table(theirs: dict[str, Any], ours: dict[str, list[float]]) -> list[dict[str, object]]:
    """A row for each printed loss."""
    rows = []
    for printed, mark in zip(PRINTED, theirs["marks"], strict=True):
        row = {"iterations": mark["iterations"], "printed": str(printed), "to its first": printed / PRINTED[0]}
        row |= {"here": mark["loss"], "to its first, here": mark["loss"] / theirs["marks"][0]["loss"]}
        row |= {"torch, s": mark["seconds"]} | _reached(ours, mark["loss"])
        row |= {"clamped": mark["as a picture"]} | _reached(ours, mark["as a picture"], " to that")
        rows.append(row)
    return rows


def _reached(ours: dict[str, list[float]], goal: float, which: str = "") -> dict[str, object]:
    """Steps and seconds until impasto's loss was at most `goal`; a step tells the loss that it began with."""
    number = next((number for number, loss in enumerate(ours["losses"]) if loss <= goal), None)
    seconds = None if number is None else ours["seconds"][number]
    return {f"impasto, steps{which}": "–" if number is None else number, f"s{which}": seconds or "–"}


if __name__ == "__main__":
    main()
