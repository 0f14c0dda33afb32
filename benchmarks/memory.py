"""How much memory does painting take at its peak, against the picture's size?

A process per point, of which the most that was ever resident after two steps is noted; importing torch alone takes
about 250 MB. --max-memory hands that limit to impasto.

python benchmarks/memory.py [--big] [--max-memory 1GB] [--quick]
"""

import argparse
import tempfile
from pathlib import Path

import contestants
import harness
import pictures
import record

SIZES = ((192, 256), (384, 512), (768, 1024))
BIG = ((1536, 2048),)
STEPS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--big", action="store_true", help="2048×1536 too, impasto only")
    parser.add_argument("--max-memory", help="a limit for impasto, as `impasto paint --max-memory` takes it")
    parser.add_argument("--only", nargs="+", default=["pastiche", *contestants.ENGINES])
    parser.add_argument("--quick", action="store_true", help="a tiny size, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    limit = [f"max_memory={chosen.max_memory}"] if chosen.max_memory else []
    rows = []
    for size in ((32, 48),) if chosen.quick else (*SIZES, *BIG) if chosen.big else SIZES:
        names = [name for name in chosen.only if size not in BIG or name in contestants.ENGINES]
        with tempfile.TemporaryDirectory() as folder:
            files = list(map(str, pictures.prepared(Path(folder), size)))
            for name in names:
                rows.append(point(name, size, files, 1 if chosen.quick else STEPS, limit))
    name = f"memory_{chosen.max_memory}" if chosen.max_memory else "memory"
    question = "Peak resident memory in MB" + (f" with --max-memory {chosen.max_memory}" if limit else "")
    record.report(name, {"question": question, "steps": STEPS}, rows, chosen.results)


def point(name: str, size: tuple[int, int], files: list[str], steps: int, limit: list[str]) -> dict[str, object]:
    """One process, from start to the last of `steps`."""
    script = str(record.HERE / "contestants.py")
    with harness.Worker((script, name, *map(str, size), *files, *limit), {}) as worker:
        samples = [worker.work() for _ in range(steps)]
    peak = samples[-1].peak
    return {"size": f"{size[1]}×{size[0]}", "who": name, "peak MB": round(peak), "first step's": round(samples[0].peak)}


if __name__ == "__main__":
    main()
