"""How much of a run's time does saving its state take, at the default interval?

Whole runs with the default settings in one process each size; what `Checkpointer` spent is taken by its own clock, so
that a noisy machine slows both parts of the ratio alike.

python benchmarks/checkpoints.py [--sizes 128 512] [--every SECONDS] [--quick]
"""

import argparse
import tempfile
import time
from pathlib import Path

import pictures
import record

SIZES = (64, 256, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--every", type=float, help="seconds between saves instead of the default")
    parser.add_argument("--quick", action="store_true", help="a tiny size, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    sizes, steps = ((48,), 1) if chosen.quick else (chosen.sizes, 20)
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(run(Path(folder), size, steps, chosen.every))
    record.report("checkpoints", {"question": "Share of a run's time that saving takes"}, rows, chosen.results)


def run(folder: Path, size: int, steps: int, every: float | None) -> dict[str, object]:
    """One run from Started to Finished."""
    from impasto import Settings, Stylization
    from impasto.jobs.checkpointer import STATE, Checkpointer
    from impasto.report.record import Recorder

    photo, style = pictures.prepared(folder, (size * 3 // 4, size))
    painting = Stylization(photo, [style], Settings(size=size, steps_per_epoch=steps))
    recorder = Recorder(
        painting.content.pixels, [painting.styles[0].pixels], settings=painting.settings, network=painting.network
    )
    checkpointer = Checkpointer(
        folder / "run", painting.recipe(), record=recorder.state, shell={}, every=every, warn=print
    )
    saves, megabytes, spent = 0, 0.0, 0.0
    with checkpointer:
        began = time.perf_counter()
        for event in painting.events():
            recorder.observe(event)
            checkpointer.observe(event)
            if checkpointer.spent > spent:
                saves, spent = saves + 1, checkpointer.spent
                megabytes = max(megabytes, (folder / "run" / STATE).stat().st_size / 1e6)
        seconds = time.perf_counter() - began
        checkpointer.discard()
    return {
        "size": f"{size}×{size * 3 // 4}",
        "run, s": round(seconds, 1),
        "saves": saves,
        "largest, MB": round(megabytes, 1),
        "saving, s": round(spent, 3),
        "share": f"{100 * spent / seconds:.2f} %",
    }


if __name__ == "__main__":
    main()
