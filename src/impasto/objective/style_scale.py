"""The size at which a painting's forms are as large as the photo's: what `style_scale` auto stands for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.images.size import fit, resize, size_of
from impasto.losses.gaussian import gaussian_target, gaussian_w2
from impasto.losses.moments import mixture, moments
from impasto.network.engine import Engine
from impasto.network.layers import smallest_side
from impasto.objective.statistics import Statistic, extract_statistics

CANDIDATES = (0.5, 0.71, 1.0, 1.41, 2.0)
"""Half to double the output's size, in steps of half an octave: further off strokes are dust, or larger than forms."""

LAYER = "relu4_1"
"""The deepest that holds style by default, whose features see 68 px: strokes and small forms."""

LONGEST = 256
"""Pixels of the content's longest side where they are compared: a preview and a print have strokes of one size."""

MOST_ENLARGED = 2.0
"""How many times as large as it is a painting may be made to be compared: beyond, its blur is what is near to fog."""


@torch.no_grad()
def nearest_style_scale(
    engine: Engine, content: Tensor, styles: Sequence[Tensor], shares: Sequence[float] = ()
) -> float:
    """Of `CANDIDATES` that at which the styles' features lie nearest to the content's, as Gaussians (`gaussian_w2`).

    Images are (1, 3, h, w) in [0, 1], of any size; `shares` of the styles are equal by default. Of a painting with few
    pixels the smaller candidates alone count, whatever the output's size.
    """
    target = gaussian_target(_moments(engine, content, LONGEST))
    shares = shares or [1.0] * len(styles)

    def distance(scale: float) -> float:
        measured = [_moments(engine, style, round(scale * LONGEST)) for style in styles]
        return gaussian_w2(mixture(measured, shares), target).item()

    fewest = min(max(size_of(style)) for style in styles)
    sharp = [scale for scale in CANDIDATES if scale * LONGEST <= MOST_ENLARGED * fewest]
    return min(sharp or CANDIDATES[:1], key=distance)


def _moments(engine: Engine, image: Tensor, longest: int) -> Tensor:
    """The `moments` of an image's features where its longest side has so many pixels."""
    size = size_of(image)
    resized = resize(image, fit(size, max(longest, math.ceil(smallest_side([LAYER]) * max(size) / min(size)))))
    statistic = Statistic(LAYER, lambda features, tile: moments(features))
    found, _ = extract_statistics(engine, resized.to(engine.device), [statistic], tile=LONGEST)
    return found[statistic].cpu()
