"""How far batches and single pictures scale: a model with the constants of scaling.py and one_picture.py, and its plot.

A batch of n pictures on w workers takes T(w) = max(n h, ⌈n/w⌉ (c + h)) + s: c computing a picture, h handing one over
(the driver does that one after another), s starting.

A step of one picture of P megapixels takes T(w) = max(P c / w, P d, P b / B) + P o: c computing a megapixel's tiles on
one actor, d the driver's own work on one, b the bytes that pass through its network of B bytes a second, o the
optimiser's. Nothing of the last three is shared out, so they bound it.

Measured are c, h, d, b and o, on one machine; the network and more than two workers are not.

python benchmarks/scaling_model.py [--network BYTES] [--target PICTURE]
"""

import argparse
import json
from math import ceil
from pathlib import Path

import matplotlib.pyplot as plt
import record
from rich.console import Console
from rich.table import Table

WORKERS = (1, 2, 8, 64, 512)
PICTURES, PICTURE_SECONDS, START = 10_000, 135.0, 15.0
GIGAPIXEL = 1000.0
TARGET = record.HERE.parent / "docs" / "images" / "scaling.png"


def batch_seconds(workers: int, handing: float, pictures: int = PICTURES, picture: float = PICTURE_SECONDS) -> float:
    """A whole batch."""
    return max(pictures * handing, ceil(pictures / workers) * (picture + handing)) + START


def step_seconds(workers: int, of: dict[str, float], megapixels: float, network: float) -> float:
    """A step of one picture."""
    shared = of["compute"] / workers
    bound = max(shared, of["driver"], of["bytes"] / network)
    return megapixels * (bound + of["optimiser"])


def constants(results: Path) -> tuple[float, dict[str, float]]:
    """Handing over by Ray in seconds, and a megapixel's seconds and bytes."""
    batch, one = (json.loads((results / f"{name}.json").read_text()) for name in ("scaling", "one_picture"))
    (alone,) = (row for row in one["table"] if row["by"] == "one actor")
    width, height = one["question"].split(" at ")[1].split(" px")[0].split("×")
    megapixels = int(width) * int(height) / 1e6
    return number(batch["overhead"]["ray"]) / 1000, {
        "compute": number(alone["seconds"]) / megapixels,
        "driver": number(one["driver"]),
        "optimiser": number(one["optimiser"]),
        "bytes": number(one["bytes"]) * 1e6,
    }


def number(text: str) -> float:
    """What it begins with."""
    return float(text.split(" ")[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=float, default=1.25e9, help="bytes a second of the driver's: 10 Gbit/s")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    parser.add_argument("--target", type=Path, default=TARGET)
    chosen = parser.parse_args()
    handing, of = constants(chosen.results)
    table = Table("workers", "batch, h", "efficiency", "a step of a gigapixel, s", "efficiency")
    for w in WORKERS:
        batch, step = batch_seconds(w, handing), step_seconds(w, of, GIGAPIXEL, chosen.network)
        first = batch_seconds(1, handing), step_seconds(1, of, GIGAPIXEL, chosen.network)
        table.add_row(
            *(str(w), f"{batch / 3600:.2f}", f"{first[0] / batch / w:.2f}"),
            *(f"{step:.0f}", f"{first[1] / step / w:.2f}"),
        )
    Console().print(of, table)
    draw(chosen.results, handing, of, chosen.network, chosen.target)


def draw(results: Path, handing: float, of: dict[str, float], network: float, target: Path) -> None:
    """Times one worker's rate against workers, modelled as lines, measured as points."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    workers = [2**n for n in range(11)]
    alone = batch_seconds(1, handing)
    left.loglog(workers, [alone / batch_seconds(w, handing) for w in workers], label="10,000 pictures, modelled")
    batch = json.loads((results / "scaling.json").read_text())["table"]
    points = [(row["processes"], row["of one process's"]) for row in batch if row["threads each"] == 1]
    left.loglog(*zip(*points, strict=True), "o", color="black", label="measured")
    left.set_title("A batch")
    first = step_seconds(1, of, GIGAPIXEL, network)
    right.loglog(workers, [first / step_seconds(w, of, GIGAPIXEL, network) for w in workers], label="modelled")
    free = of | {"optimiser": of["optimiser"] / 64, "driver": of["driver"] / 64, "bytes": of["bytes"] / 64}
    shared = [first / step_seconds(w, free, GIGAPIXEL, network) for w in workers]
    right.loglog(workers, shared, ":", label="if 64 nodes had a 64th of the driver's part each")
    one = json.loads((results / "one_picture.json").read_text())["table"]
    points = [(w, row["of one actor's rate"]) for w, row in enumerate(one) if w]
    right.loglog(*zip(*points, strict=True), "o", color="black", label="measured")
    right.set_title("One picture: a step of a gigapixel")
    for axis in (left, right):
        axis.loglog(workers, workers, color="grey", linewidth=0.8, label="ideal")
        axis.set_xlabel("workers")
        axis.set_ylabel("times as fast as one")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(target, dpi=100)


if __name__ == "__main__":
    main()
