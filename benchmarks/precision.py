"""What does bfloat16 in the native engine gain in a step, and does it end in the same picture?

A step's network, forwards and back, in both precisions in turns; then runs of pairs of a photo and a painting in both,
whose last canvas is evaluated in float32.

python benchmarks/precision.py [--what steps pairs] [--size N] [--pairs N] [--losses NAME …] [--keep FOLDER] [--quick]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import pictures
import record
import strength

SIZES = ((192, 256), (384, 512))
PRECISIONS = ("float32", "bfloat16")
STEPS = {"default": {}, "gram": {"style_loss": "gram"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="+", choices=("steps", "pairs"), default=["steps", "pairs"])
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--losses", nargs="+", choices=STEPS, default=[*STEPS])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="a folder for the pictures")
    parser.add_argument("--quick", action="store_true", help="one pair, tiny, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    units = kernels()
    if "steps" in chosen.what:
        sizes, rounds = (((32, 48),), 1) if chosen.quick else (SIZES, chosen.rounds)
        rows = [step(size, rounds) for size in sizes]
        facts = {"question": "Processor seconds of a pass forwards and back, one thread", "bfloat16 by": units}
        record.report("precision_step", facts, rows, chosen.results)
    if "pairs" in chosen.what:
        shorter = {"epochs": 1, "steps_per_epoch": 3} if chosen.quick else {}
        size, count = (48, 1) if chosen.quick else (chosen.size, chosen.pairs)
        losses = ["gram"] if chosen.quick else chosen.losses
        rows = []
        for name in losses:
            for photo, painting in pairs()[:count]:
                rows.append(pair(photo, painting, {"size": size} | STEPS[name] | shorter, name, chosen.keep))
                print(json.dumps(rows[-1]), flush=True)
        worst = max(abs(row["bfloat16 to float32"] - 1) for row in rows)
        facts = {"question": f"Loss at the end in float32, {size} px", "bfloat16 by": units, "worst": worst}
        record.report("precision", facts, rows, chosen.results)
        print(f"at worst {worst:.2%} apart")


def kernels() -> list[str]:
    """What multiplies bfloat16 here, the one taken last; without any it is compared with torch's."""
    from impasto.network.engines.native_library import BF16_NAMES, bf16_kernels

    return [BF16_NAMES[kernel] for kernel in bf16_kernels()]


def pairs() -> list[tuple[str, str]]:
    """Photos with a painting each, then all of them with the next painting."""
    paintings = [painting for _, painting in strength.PAIRS[:3]]
    after = dict(zip(paintings, [*paintings[1:], paintings[0]], strict=True))
    return [*strength.PAIRS, *((photo, after[painting]) for photo, painting in strength.PAIRS)]


def step(size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Processor seconds of one thread for an image (h, w)."""
    import torch

    from impasto.network import weights
    from impasto.network.engines.choice import make_engine
    from impasto.settings.settings import Settings
    from impasto.storage.pool import POOL

    torch.set_num_threads(1)
    loaded, image = weights.load(), torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    chosen = {precision: Settings(device="cpu", precision=precision) for precision in PRECISIONS}
    passes: list[Callable[[], object]] = []
    for settings in chosen.values():
        engine = make_engine(settings, loaded)

        def forwards_and_back(engine=engine, settings=settings) -> None:
            leaf = image.clone().requires_grad_()
            found = list(engine.features(leaf, settings.layers).values())
            torch.autograd.grad(found, leaf, [torch.ones_like(f) for f in found])

        passes.append(forwards_and_back)
    with POOL.kept():  # as in a run
        taken = [[seconds(one) for one in passes] for _ in range(rounds + 1)][1:]
    float32, bfloat16 = zip(*taken, strict=True)
    return {
        "size": f"{size[1]}×{size[0]}",
        "float32": str(harness.spread(float32)),
        "bfloat16": str(harness.spread(bfloat16)),
        "float32 ÷ bfloat16": str(harness.ratios(float32, bfloat16)),
    }


def seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def pair(photo: str, painting: str, knobs: dict[str, Any], loss: str, keep: Path | None) -> dict[str, Any]:
    """The last canvas's loss of a run in each precision, both measured by the same objective in float32."""
    from impasto.images import writing
    from impasto.jobs.stylization import Stylization
    from impasto.objective.stylization import StylizationProblem
    from impasto.settings.settings import Settings

    style = strength.PAINTINGS / f"{painting}.jpg"
    sources = pictures.packaged(photo), style if style.is_file() else pictures.SWATCH
    found, measure = {}, None
    for precision in PRECISIONS:  # the first of them measures
        job = Stylization(str(sources[0]), [str(sources[1])], Settings(**knobs, precision=precision, device="cpu"))
        *_, last = job.events()
        canvas = last.picture
        if measure is None:
            problem = StylizationProblem(job.inputs.tensors(), job.settings, job.network.engine, job.plan.size)
            at_end = problem.at(job.plan.size)
            measure = at_end.transform.wrap(at_end.objective.evaluate)
        found[precision] = measure(canvas).loss
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            writing.save(keep / f"{Path(photo).stem}_{painting}_{loss}_{precision}.png", canvas, overwrite=True)
    return {
        "pair": f"{Path(photo).stem}, {painting}",
        "losses": loss,
        **found,
        "bfloat16 to float32": found["bfloat16"] / found["float32"],
    }


if __name__ == "__main__":
    main()
