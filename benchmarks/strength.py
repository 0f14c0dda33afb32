"""Does a strength mean the same on every pair of pictures and at every size?

Six pairs of a photo and a painting. For each the share of the style distance that a run closes, in the mean over the
layers it optimises, at five strengths at the smallest size and at one strength at all sizes.

python benchmarks/strength.py [--sizes 256 512 768] [--steps 60] [--quick]
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import pictures
import record

PAINTINGS = Path("/work/shared/images")
PAIRS = (
    ("skimage/data/astronaut.png", "starry_night"),
    ("skimage/data/coffee.png", "the_scream"),
    ("skimage/data/chelsea.png", "shipwreck"),
    ("skimage/data/rocket.jpg", "starry_night"),
    ("sklearn/datasets/images/china.jpg", "the_scream"),
    ("sklearn/datasets/images/flower.jpg", "shipwreck"),
)
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
MIDDLE = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 768])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="a folder for the pictures")
    parser.add_argument("--quick", action="store_true", help="one pair, tiny, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    sizes, steps, pairs = ([32, 48], 4, PAIRS[1:2]) if chosen.quick else (sorted(chosen.sizes), chosen.steps, PAIRS)
    rows = []
    for photo, painting in pairs:
        row: dict[str, Any] = {"pair": f"{Path(photo).stem}, {painting}"}
        for strength in STRENGTHS:
            row[f"{strength:g}"] = closed(photo, painting, sizes[0], steps, strength, chosen.keep)
        for size in sizes[1:]:
            row[f"{MIDDLE:g} at {size}"] = closed(photo, painting, size, steps, MIDDLE, chosen.keep)
        rows.append(row)
        print(json.dumps(row), flush=True)
    spread = {"pair": "farthest from the mean"} | {
        name: off_mean([row[name] for row in rows]) for name in list(rows[0])[1:]
    }
    at_sizes = [[row[name] for name in row if name == f"{MIDDLE:g}" or " at " in name] for row in rows]
    facts = {
        "question": f"Share of the style distance that {steps} steps close at {sizes[0]} px, by strength",
        "rises": all(a < b for row in rows for a, b in pairwise([row[f"{s:g}"] for s in STRENGTHS])),
        "farthest from a pair's mean over sizes": max(abs(value / mean(v) - 1) for v in at_sizes for value in v),
    }
    record.report("strength", facts, [*rows, spread], chosen.results)
    print({name: value for name, value in facts.items() if name != "question"})


def closed(photo: str, painting: str, size: int, steps: int, strength: float, keep: Path | None) -> float:
    """The mean share closed over the optimised layers; keeps the picture in a folder if there is one."""
    from impasto.images import writing
    from impasto.jobs.stylization import Stylization
    from impasto.report.metrics import measure_pictures
    from impasto.run.events import Finished
    from impasto.settings.settings import Settings

    settings = Settings(size=size, strength=strength, epochs=1, steps_per_epoch=steps)
    file = PAINTINGS / f"{painting}.jpg"
    job = Stylization(str(pictures.packaged(photo)), [str(file) if file.is_file() else "flow"], settings)
    *_, end = job.events()
    assert isinstance(end, Finished)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        writing.save(keep / f"{Path(photo).stem}_{size}_{strength:g}.jpg", end.picture, overwrite=True)
    styles = [style.pixels for style in job.styles]
    found = measure_pictures(job.network.engine, job.settings, job.content.pixels, styles, end.picture)
    return found["style"]["mean_optimised"]


def off_mean(values: list[float]) -> str:
    """The value farthest from the mean of all, as a share of it."""
    middle = mean(values)
    return "–" if abs(middle) < 0.01 else f"{max(abs(value / middle - 1) for value in values):.1%}"


if __name__ == "__main__":
    main()
