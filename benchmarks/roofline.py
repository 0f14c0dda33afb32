"""Which share of the direct-convolution bound does each engine reach at 512×384?

The bound is the multiply-adds of the convolutions, forwards and back to the pixels, at the rate at which this machine
multiplies matrices, measured in the same rounds. Winograd's algorithms need fewer multiplications, so they may pass 1.

python benchmarks/roofline.py [--isa avx2] [--rounds N] [--quick]
"""

import argparse
import tempfile
from pathlib import Path

import contestants
import harness
import pictures
import record

SIDE = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", choices=("all", "avx2"), default="all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=["pastiche", *contestants.ENGINES])
    parser.add_argument("--quick", action="store_true", help="a tiny size, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    parser.add_argument("--sgemm", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.sgemm:
        harness.serve(multiply)
        return
    size = (32, 48) if chosen.quick else (384, 512)
    work = 2 * sum(multiply_adds(size).values())
    with tempfile.TemporaryDirectory() as folder:
        arguments = (*map(str, size), *map(str, pictures.prepared(Path(folder), size)))
        commands = {name: (str(record.HERE / "contestants.py"), name, *arguments) for name in chosen.only}
        commands = {"sgemm": (__file__, "--sgemm"), **commands}
        environment = harness.AVX2_ONLY if chosen.isa == "avx2" else {}
        taken = harness.in_turns(commands, 1 if chosen.quick else chosen.rounds, environment)
    rows = [row(name, work, samples, taken["sgemm"]) for name, samples in taken.items() if name != "sgemm"]
    rate = harness.spread([REPEATS * 2 * SIDE**3 / sample.seconds / 1e9 for sample in taken["sgemm"]])
    facts = {"question": "Share of the direct-convolution bound", "size": size, "gmac": work / 1e9}
    facts |= {"sgemm_gflops": rate, "samples": taken}
    record.report("roofline" if chosen.isa == "all" else "roofline_avx2", facts, rows, chosen.results)
    print(f"{work / 1e9:.4g} GMAC a step at {size[1]}×{size[0]}; sgemm {rate} GFLOP/s")


def multiply_adds(size: tuple[int, int]) -> dict[str, float]:
    """Multiply-adds of conv1_1 … conv5_1 on a picture of `size` (h, w), one way, in the direct algorithm."""
    height, width = size
    channels = {1: (3, 64), 2: (64, 128), 3: (128, 256), 4: (256, 512), 5: (512, 512)}
    counts = {1: 2, 2: 2, 3: 4, 4: 4, 5: 1}
    return {
        f"conv{block}_{i}": 9.0 * (channels[block][0] if i == 1 else channels[block][1]) * channels[block][1]
        * (height >> block - 1) * (width >> block - 1)
        for block in counts
        for i in range(1, counts[block] + 1)
    }  # fmt: skip


REPEATS = 20
"""Products in one piece of work: about as long as a step."""


def multiply():
    import torch

    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    return lambda: [a @ b for _ in range(REPEATS)]


def row(name: str, work: float, samples: list[harness.Sample], products: list[harness.Sample]) -> dict[str, object]:
    """How fast the convolutions would have to be done directly, and that as a share of sgemm in the same round."""
    bound = [2 * work / (REPEATS * 2 * SIDE**3 / product.seconds) for product in products]
    cpu_bound = [2 * work / (REPEATS * 2 * SIDE**3 / product.cpu) for product in products]
    return {
        "who": name,
        "seconds": str(harness.spread([sample.seconds for sample in samples])),
        "direct GFLOP/s": str(harness.spread([2 * work / sample.seconds / 1e9 for sample in samples])),
        "share of the bound": str(harness.ratios(bound, [sample.seconds for sample in samples])),
        "share by CPU s": str(harness.ratios(cpu_bound, [sample.cpu for sample in samples])),
    }


if __name__ == "__main__":
    main()
