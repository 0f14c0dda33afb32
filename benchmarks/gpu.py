"""What does a GPU do: is it right, how fast beside others, what memory does it take, how often is it waited for?

python benchmarks/gpu.py [--device cuda] [--seconds N] [--quick]

For one session with a GPU, in less than 8 minutes. Each part runs in a process of its own, and one that fails is
recorded with its error while the others go on. --quick rehearses all of it on the CPU, whose figures say nothing.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gpu_steps
import record

PARTS = ("agreement", "resume", "waits", "captured", "steps", "memory", "streamed", "compiled")
MOST = {"steps": 200, "memory": 120, "streamed": 120, "compiled": 120}
"""Seconds that a part may take, 60 where none are named."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="cuda, cuda:N or mps; with --quick the CPU if there is none")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seconds", type=float, default=470, help="begin no part after so many")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, a rehearsal for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    device = chosen.device or found_device()
    if device == "cpu" and not chosen.quick:
        raise SystemExit("Here is no GPU to be measured: --quick rehearses on the CPU.")
    began, rows, parts = time.perf_counter(), [], {}
    for name in chosen.only:
        left = math.inf if chosen.quick else chosen.seconds - (time.perf_counter() - began)
        most = 600 if chosen.quick else min(MOST.get(name, 60), left)
        found = parts[name] = run(name, device, most, quick=chosen.quick) if left > 0 else failed("no time was left")
        error = str(found.get("error", "told nothing"))
        rows += found.get("rows") or [row(name, "", f"FAILED: {error.splitlines()[-1][:200]}", "", holds=False)]
    about = {
        "question": "A GPU beside the CPU and beside others"
        + (" (A REHEARSAL ON TINY PICTURES)" if chosen.quick else ""),
        "rehearsal": chosen.quick or device == "cpu",
        "gpu": run("about", device, 60, quick=chosen.quick),
        "seconds": round(time.perf_counter() - began, 1),
        "parts": parts,
    }
    record.report("gpu", about, rows, chosen.results)


def found_device() -> str:
    """The GPU that there is, or the CPU; asked of a process of its own, so that this one holds no memory of it."""
    code = "import torch; print(torch.cuda.is_available(), torch.backends.mps.is_available())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {"True True": "cuda", "True False": "cuda", "False True": "mps"}.get(done.stdout.strip(), "cpu")


def run(name: str, device: str, most: float, *, quick: bool) -> dict[str, Any]:
    """What a part found, or its error."""
    if name in ("steps", "compiled"):
        try:
            return gpu_steps.measure(device, time.perf_counter() + most, compiled=name == "compiled", quick=quick)
        except Exception as error:  # whatever it is, the other parts go on
            return failed(repr(error))
    script = str(record.HERE / "gpu_parts.py")
    command = [sys.executable, "-W", "ignore", script, name, device, *(["--quick"] if quick else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=most, check=False)
    except subprocess.TimeoutExpired:
        return failed(f"took more than {most:.0f} s")
    last = done.stdout.splitlines()[-1:] or [""]
    if done.returncode or not last[0].startswith("{"):
        return failed(done.stderr.strip() or f"ended with code {done.returncode}")
    return json.loads(last[0])


def failed(error: str) -> dict[str, Any]:
    """A part that has nothing to show but its error."""
    return {"error": error[-4000:]}


def row(part: str, what: str, found: str, asked: str, *, holds: bool | None) -> dict[str, str]:
    """A row of the table."""
    return {
        "part": part,
        "what": what,
        "found": found,
        "asked for": asked,
        "holds": "" if holds is None else "yes" if holds else "NO",
    }


if __name__ == "__main__":
    main()
