"""What does each style loss cost beside the network, forwards and back to its features? Processor milliseconds.

python benchmarks/losses.py [--size N] [--quick]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import record
import torch

from impasto.losses.catalogue import hypercolumn_loss, layer_loss
from impasto.losses.hypercolumns import hypercolumns, jittered_grid
from impasto.network.layers import CHANNELS, feature_size
from impasto.settings.choices import ContentLossName, StyleLossName
from impasto.storage.pool import POOL

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of the square picture")
    parser.add_argument("--quick", action="store_true", help="a tiny picture and one round, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    size, rounds = (32, 1) if chosen.quick else (chosen.size, 3)
    canvas, painting = ({layer: _features(layer, size, seed) for layer in LAYERS} for seed in (0, 1))
    rows = [
        {"loss": str(name)}
        | {layer: alone(name, canvas[layer], painting[layer], rounds) for layer in LAYERS}
        | {"all": ""}
        for name in StyleLossName
        if not name.joint and not name.local
    ]
    for name in (*(name for name in StyleLossName if name.joint), ContentLossName.SELF_SIMILARITY):
        together = joint(name, list(canvas.values()), list(painting.values()), rounds)
        rows.append({"loss": str(name)} | dict.fromkeys(LAYERS, "") | {"all": together})
    for row in rows:
        row["all"] = row["all"] or sum(row[layer] for layer in LAYERS)
    record.report(
        "losses", {"question": f"Processor ms of a loss and its gradient, {size}×{size} px"}, rows, chosen.results
    )


def alone(name: StyleLossName, canvas: torch.Tensor, painting: torch.Tensor, rounds: int) -> float:
    loss = layer_loss(name, canvas.shape[1], torch.Generator().manual_seed(0))
    target = loss.prepare(loss.measure(painting, None))
    leaf = canvas.requires_grad_()
    return least(lambda: torch.autograd.grad(loss.compare(loss.measure(leaf, None), target), leaf), rounds)


def joint(
    name: StyleLossName | ContentLossName, canvas: list[torch.Tensor], painting: list[torch.Tensor], rounds: int
) -> float:
    loss, generator = hypercolumn_loss(name), torch.Generator().manual_seed(0)
    places = jittered_grid(1024, (1, 1), generator)
    target = loss.prepare(hypercolumns(painting, places), [1.0] * len(painting))
    leaves = [f.requires_grad_() for f in canvas]
    return least(lambda: torch.autograd.grad(loss.compare(hypercolumns(leaves, places), target), leaves), rounds)


def least(work: Callable[[], object], rounds: int) -> float:
    """Processor milliseconds of the quickest round; the first isn't counted. Memory is kept, as by a run."""
    taken = []
    with POOL.kept():
        for _ in range(rounds + 1):
            began = time.process_time()
            work()
            taken.append(1e3 * (time.process_time() - began))
    return round(min(taken[1:]), 1)


def _features(layer: str, size: int, seed: int) -> torch.Tensor:
    """Something like what a ReLU lets through, in the native engine's layout."""
    shape = (1, CHANNELS[layer], *feature_size(layer, (size, size)))
    normal = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return (100 * normal).relu().contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
