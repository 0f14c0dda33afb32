"""Which share of the direct-convolution bound does each engine reach at 512×384?

The bound is the multiply-adds of the convolutions, forwards and back to the pixels, at the rate at which this machine
multiplies matrices, measured in the same rounds. Winograd's algorithms need fewer multiplications, so they may pass 1.
Then each layer of the native engine alone, one thread, in float32 and in bfloat16 where the processor multiplies that:
against torch's product of matrices in the same precision.

python benchmarks/roofline.py [--isa avx2] [--rounds N] [--layers] [--quick]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
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
    parser.add_argument("--layers", action="store_true", help="the layers alone")
    parser.add_argument("--sgemm", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.sgemm:
        harness.serve(multiply)
        return
    size = (32, 48) if chosen.quick else (384, 512)
    if chosen.isa == "all":
        layers(size, 1 if chosen.quick else chosen.rounds, chosen.results)
    if chosen.layers:
        return
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


def multiply(precision: str = "float32", repeats: int = REPEATS):
    import torch

    a, b = (torch.randn(SIDE, SIDE).to(getattr(torch, precision)) for _ in range(2))
    return lambda: [a @ b for _ in range(repeats)]


def layers(size: tuple[int, int], rounds: int, results: Path) -> None:
    """Each layer's rate as a direct convolution, forwards and back, and its share of the product's rate."""
    import torch

    from impasto.network import weights
    from impasto.network.engines.native import NativeEngine
    from impasto.network.engines.native_bf16 import Bf16Engine
    from impasto.network.engines.native_library import BF16_NAMES, bf16_kernels

    torch.set_num_threads(1)
    loaded = weights.load()
    kinds = {"float32": NativeEngine} | ({"bfloat16": Bf16Engine} if bf16_kernels() else {})
    engines = {name: kind(loaded) for name, kind in kinds.items()}
    rows, rates = [], {name: [] for name in kinds}
    for layer, work in list(multiply_adds(size).items())[1:]:
        scale = int(layer[4]) - 1
        shape = size[0] >> scale, size[1] >> scale
        found: dict[str, object] = {"layer": layer, "GMAC": work / 1e9}
        for name, engine in engines.items():
            convolution = engine.convolutions[layer]
            x, y = (allocated(engine, (*shape, channels)) for channels in (convolution.c, convolution.k))
            mask = torch.empty(*shape, convolution.k, dtype=torch.uint8)
            one_way = partial(engine.convolve, layer, x, y, bias=convolution.bias, mask=mask)
            other = partial(engine.convolve, layer, y, x, back=True)
            turns = [(seconds(multiply(name, 1)), seconds(one_way), seconds(other)) for _ in range(rounds + 1)][1:]
            product = [SIDE**3 / turn[0] / 1e9 for turn in turns]
            rates[name] += product
            for way, at in (("forwards", 1), ("back", 2)):
                rate = [work / turn[at] / 1e9 for turn in turns]
                found[f"{name} {way} GMAC/s"] = harness.spread(rate).median
                found[f"{name} {way}, share"] = harness.ratios(rate, product).median
        rows.append(found)
    facts = {"question": f"Each layer's share of the rate of a product, {size[1]}×{size[0]} px, one thread"}
    facts |= {"product GMAC/s": {name: harness.spread(rate) for name, rate in rates.items()}}
    facts |= {"bfloat16 by": [BF16_NAMES[kernel] for kernel in bf16_kernels()]}
    record.report("roofline_layers", facts, rows, results)
    print({name: str(rate) for name, rate in facts["product GMAC/s"].items()}, *facts["bfloat16 by"])


def allocated(engine, shape: tuple[int, int, int]):
    """Random features as the engine lays them out."""
    import torch

    x = torch.randn(*shape)
    if not hasattr(engine, "bordered"):
        return x
    packed = engine.bordered(*shape)
    engine.call("impasto_pack_bf16", x, packed, *shape)
    return packed


def seconds(work: Callable[[], object]) -> float:
    """Processor time of this thread."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


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
