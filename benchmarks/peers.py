"""How long does one optimisation step take, beside pastiche, a tutorial's loop and a naive ncnn wrapper?

python benchmarks/peers.py [--big] [--isa avx2] [--rounds N] [--quick]
"""

import argparse
import tempfile
from importlib.util import find_spec
from pathlib import Path

import harness
import pictures
import record

SIZES = ((192, 256), (384, 512))
BIG = (768, 1024)
NAMES = {
    "pastiche": "pastiche",
    "tutorial": "PyTorch tutorial",
    "ncnn": "ncnn, layer by layer",
    "torch": "impasto, torch engine",
    "native": "impasto, native engine",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--big", action="store_true", help="1024×768 too")
    parser.add_argument("--isa", choices=("all", "avx2"), default="all", help="hold everybody to AVX2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=[n for n in NAMES if n != "ncnn" or find_spec(n)])
    parser.add_argument("--quick", action="store_true", help="a tiny size, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    sizes = ((32, 48),) if chosen.quick else (*SIZES, BIG) if chosen.big else SIZES
    rounds = 1 if chosen.quick else chosen.rounds
    rows, samples = [], {}
    for size in sizes:
        taken = measure(chosen.only, size, rounds, chosen.isa)
        samples[f"{size[1]}×{size[0]}"] = taken
        rows += compare(taken, size)
    name = "peers" if chosen.isa == "all" else f"peers_{chosen.isa}"
    question = "Seconds per optimisation step" + (" (everybody held to AVX2)" if chosen.isa == "avx2" else "")
    record.report(name, {"question": question, "rounds": rounds, "samples": samples}, rows, chosen.results)


def measure(names: list[str], size: tuple[int, int], rounds: int, isa: str) -> dict[str, list[harness.Sample]]:
    """Steps of each contestant, in turns."""
    script = str(record.HERE / "contestants.py")
    with tempfile.TemporaryDirectory() as folder:
        files = map(str, pictures.prepared(Path(folder), size))
        arguments = (*map(str, size), *files)
        commands = {name: (script, name, *arguments) for name in names}
        return harness.in_turns(commands, rounds, harness.AVX2_ONLY if isa == "avx2" else {})


def compare(taken: dict[str, list[harness.Sample]], size: tuple[int, int]) -> list[dict[str, object]]:
    """A row per contestant: seconds, and how many times faster than the first one."""
    first = next(iter(taken.values()))
    rows = []
    for name, samples in taken.items():
        seconds, cpu = [s.seconds for s in samples], [s.cpu for s in samples]
        rows.append(
            {
                "size": f"{size[1]}×{size[0]}",
                "who": NAMES[name],
                "seconds": str(harness.spread(seconds)),
                "CPU s": str(harness.spread(cpu)),
                "faster": str(harness.ratios([s.seconds for s in first], seconds)),
                "faster by CPU s": str(harness.ratios([s.cpu for s in first], cpu)),
                "peak MB": round(max(s.peak for s in samples)),
            }
        )
    return rows


if __name__ == "__main__":
    main()
