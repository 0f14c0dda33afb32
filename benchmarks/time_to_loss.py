"""How long does impasto need, from process start, to the loss that pastiche's 300 steps of L-BFGS reach?

The objective is pastiche's default one and pastiche's own code measures it, on pixels that nobody rounded to 8 bits.
pastiche's canvas may leave [0, 255] and its loss counts as it is; impasto's canvas is always a picture. Both get the
same PNGs, already at their size. The loss of pastiche's canvas within [0, 255], the picture it saves, is a second goal.
Impasto stops when its own loss, which is checked to be pastiche's, gets there, and pastiche's code has the last word.

python benchmarks/time_to_loss.py [--content FILE] [--style FILE] [--set scales=1 …] [--isa avx2] [--rounds N]
    [--quick]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import harness
import pictures
import record

STEPS = 300
KINDS = {"canvas": "pastiche's canvas, which leaves 0–255", "picture": "pastiche's picture, as it is saved"}
SETTINGS = {"scales": 3, "epochs": 1, "history": 50, "detail": 1, "negligible": 0.02}
PLANS: dict[str, dict[str, Any]] = {
    "canvas": {"steps_per_epoch": 270, "step_ratio": 1.4},
    "picture": {"steps_per_epoch": 64, "step_ratio": 0.8},
}
"""Impasto's plan for each goal: steps, and how the scales share them; the run ends as soon as the goal is reached."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", type=Path)
    parser.add_argument("--style", type=Path)
    parser.add_argument("--set", nargs="+", default=[], metavar="KNOB=VALUE", help="for impasto, besides the objective")
    parser.add_argument("--isa", choices=("all", "avx2"), default="all", help="hold everybody to AVX2")
    parser.add_argument("--rounds", type=int, default=1, help="pastiche once and impasto three times in each")
    parser.add_argument("--quick", action="store_true", help="tiny and short, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    if chosen.isa == "avx2":
        os.environ.update(harness.AVX2_ONLY)  # which workers inherit
    size, steps = ((43, 64), 6) if chosen.quick else ((171, 256), STEPS)
    knobs: dict[str, Any] = (
        SETTINGS | ({"scales": 2} if chosen.quick else {}) | dict(pair.split("=", 1) for pair in chosen.set)
    )
    runs: dict[str, list[dict[str, Any]]] = {"pastiche": [], "impasto": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = list(map(str, pictures.prepared(folder, size, chosen.content, chosen.style)))
        for _ in range(chosen.rounds):
            theirs = run(who="pastiche", files=files, steps=steps, picture=str(folder / "theirs"))
            runs["pastiche"].append(theirs)
            for _ in range(3):
                reached: dict[str, Any] = {}
                for kind, plan in PLANS.items():
                    job = {"knobs": plan | knobs, "targets": {kind: theirs["losses"][kind]}}
                    ours = run(who="impasto", files=files, size=size, folder=name, **job)
                    reached |= ours["reached"]
                judged = run(who="judge", files=files, pictures=[str(folder / kind) for kind in KINDS])
                agree(ours["loss_at_photo"], judged["loss_at_photo"])
                losses = dict(zip(KINDS, judged["losses"], strict=True))
                runs["impasto"].append({"reached": reached, "losses": losses})
    facts = {"question": f"Time to pastiche's loss after {steps} steps at {size[1]}×{size[0]}"}
    record.report(
        "time_to_loss" if chosen.isa == "all" else "time_to_loss_avx2",
        facts | {"knobs": knobs, "plans": PLANS, "runs": runs},
        table(runs, steps),
        chosen.results,
    )


def table(runs: dict[str, list[dict[str, Any]]], steps: int) -> list[dict[str, object]]:
    """Two rows for each kind of loss; ratios are to the median of pastiche's runs."""
    rows = []
    theirs = runs["pastiche"]
    whole = {clock: median(run[clock] for run in theirs) for clock in ("seconds", "cpu")}
    for kind, meaning in KINDS.items():
        goal = max(run["losses"][kind] for run in theirs)
        there = [run["reached"].get(kind) for run in runs["impasto"]]
        rows.append({"loss of": meaning, "who": "pastiche", "loss": goal, "steps": str(steps)})
        rows[-1] |= {clock: str(harness.spread([run[clock] for run in theirs])) for clock in whole}
        rows[-1] |= {"faster": "1", "faster by CPU s": "1"}
        if not all(there):
            rows.append(dict.fromkeys(rows[-1], "–") | {"who": "impasto", "steps": "not reached"})
            continue
        loss = max(run["losses"][kind] for run in runs["impasto"])
        if loss > goal:
            raise SystemExit(f"pastiche's code says {loss:g} where {goal:g} was to be reached.")
        rows.append(
            {"loss of": meaning, "who": "impasto", "loss": loss, "steps": "+".join(map(str, there[0]["steps"]))}
        )
        rows[-1] |= {clock: str(harness.spread([run[clock] for run in there])) for clock in whole}
        for clock, title in (("seconds", "faster"), ("cpu", "faster by CPU s")):
            rows[-1][title] = str(harness.spread([whole[clock] / run[clock] for run in there]))
    return rows


def run(**job: Any) -> dict[str, Any]:
    """A worker's answer; `done` and the like, on the wall's clock, become seconds since before it was started."""
    began = time.time()
    command = [sys.executable, "-W", "ignore", str(record.HERE / "duel.py"), json.dumps(job)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer = json.loads(process.stdout.splitlines()[-1])
    for clocks in (answer, *answer.get("reached", {}).values()):
        if "done" in clocks:
            clocks["seconds"] = clocks.pop("done") - began
    return answer


def agree(ours: float, theirs: float) -> None:
    """Stop where impasto's loss of the photo isn't pastiche's: the settings would mean another objective."""
    if abs(ours / theirs - 1) > 1e-4:
        raise SystemExit(f"impasto's loss at the photo is {ours:g}, pastiche's {theirs:g}: not the same objective.")


if __name__ == "__main__":
    main()
