"""Whether the native engine is the faster in bfloat16 on this machine: a short trial, once in a process."""

from __future__ import annotations

import time
from functools import cache

import torch

from impasto.network.engines.native import NativeEngine
from impasto.network.engines.native_bf16 import Bf16Engine
from impasto.network.layers import CONVOLUTIONS
from impasto.network.weights import Convention, Weights

CLEARLY = 1.15
"""bfloat16 has to be so many times as fast: what is coarser should win by more than noise."""

SIDE, LAYERS, ROUNDS = 96, ("relu1_1", "relu3_1"), 3
"""Of the trial: an image's side, the layers up to which it goes forwards and back, and the turns of each engine."""


@cache
def bfloat16_wins() -> bool:
    """Whether bfloat16 is clearly the faster; raises `Unavailable`."""
    return speed_of_bfloat16() >= CLEARLY


def speed_of_bfloat16() -> float:
    """Time in float32 to that in bfloat16 of a pass forwards and back, by the best of a few turns each.

    One thread's processor time is taken, to which other busy programs matter least. The weights are all alike, which
    matters to no speed. Raises `Unavailable`.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        engines = [kind(_even_weights()) for kind in (NativeEngine, Bf16Engine)]
        for engine in engines:
            seconds_of_a_pass(engine)  # arranges kernels
        turns = [[seconds_of_a_pass(engine) for engine in engines] for _ in range(ROUNDS)]
    finally:
        torch.set_num_threads(threads)
    float32, bfloat16 = (min(seconds) for seconds in zip(*turns, strict=True))
    return float32 / bfloat16


def seconds_of_a_pass(engine: NativeEngine) -> float:
    """Seconds of this thread for an image forwards and back."""
    image = torch.full((1, 3, SIDE, SIDE), 0.5, requires_grad=True)
    began = time.thread_time()
    with torch.enable_grad():
        found = engine.features(image, LAYERS)
    torch.autograd.grad(list(found.values()), image, [torch.ones_like(f) for f in found.values()])
    return time.thread_time() - began


def _even_weights() -> Weights:
    tensors: dict[str, torch.Tensor] = {}
    for name, (before, after) in CONVOLUTIONS.items():
        tensors[f"{name}.weight"] = torch.full((), 0.01).expand(after, before, 3, 3)
        tensors[f"{name}.bias"] = torch.zeros(after)
    return Weights(tensors, Convention((0.5, 0.5, 0.5), (0.2, 0.2, 0.2)), "a trial", "")
