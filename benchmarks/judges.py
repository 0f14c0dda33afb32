"""Measures of a painted picture that no optimiser minimised: manner, content, palette, and artefacts that eyes find.

All take pictures of (1, 3, h, w) sRGB in [0, 1] at one longest side; `Judged` has them for one picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import critic
import numpy as np
import PIL.Image
import torch
from torch import Tensor

CONTENT_LAYER = "relu4_2"
GRID = 8
"""Pixels between the borders of what pooling takes together, three levels deep."""


@dataclass(frozen=True)
class Judged:
    """How far a picture is from its painting and its photo; lower is better, but for the last four, where 1 is good.

    `style`, `style_close`: distance to the painting by the critic's network, of the whole and of parts at their own
    size. `others`: share of the Gram distance that is left on layers that nobody optimised. `content`: how far the
    features of relu4_2 moved, as a share of their length. `edges`: 1 − the correlation of edge strengths. `palette`:
    distance of the colours' Gaussians, black to white being 1. `grid`, `checkers`: mean differences at the borders of
    pooling's cells by those elsewhere, and of diagonal neighbours by those of the painting. `sharpness`: edge strength
    by the painting's. `faces`: share of the photo's faces that a detector finds in the picture too, None without any.
    """

    style: float
    style_close: float | None
    others: float
    content: float
    edges: float
    palette: float
    grid: float
    checkers: float
    sharpness: float
    faces: float | None


@torch.no_grad()
def judge(picture: PIL.Image.Image, photo: PIL.Image.Image, painting: PIL.Image.Image) -> Judged:
    """The measures of a picture; the photo is fitted to it, and the painting to its longest side."""
    from impasto.report.metrics import edge_correlation, edge_strength, measure_pictures
    from impasto.settings.settings import Settings

    photo = photo.resize(picture.size, PIL.Image.Resampling.LANCZOS)
    painting = fitted(painting, max(picture.size))
    result, content, style = (tensor(image) for image in (picture, photo, painting))
    found = measure_pictures(engine(), Settings(), content, [style], result)
    before, after = (engine().features(image, [CONTENT_LAYER])[CONTENT_LAYER] for image in (content, result))
    whole = critic.euclidean(*(embedded(image, "whole") for image in (picture, painting)))
    parts = [embedded(image, "close") for image in (picture, painting)]
    return Judged(
        whole,
        None if any(part is None for part in parts) else critic.euclidean(*parts),
        1 - found["style"]["mean_others"],
        ((after - before).norm() / before.norm()).item(),
        1 - (edge_correlation(result, content) or 0.0),
        found["colour"]["result_to_painting"],
        at_grid(result),
        checkers(result) / checkers(style),
        (edge_strength(result).mean() / edge_strength(style).mean()).item(),
        faces_kept(content, result),
    )


def faces_kept(photo: Tensor, picture: Tensor) -> float | None:
    """Share of a photo's faces in whose place a face is found in the picture (half of both boxes together), or None."""
    from impasto.images.faces import find_faces

    before, after = find_faces(photo), find_faces(picture)
    kept = [any(overlap(face, other) >= 0.5 for other in after) for face in before]
    return sum(kept) / len(kept) if kept else None


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """What two boxes (left, top, width, height) share, as a part of all that they cover."""
    sides = [max(0.0, min(one[i] + one[i + 2], other[i] + other[i + 2]) - max(one[i], other[i])) for i in (0, 1)]
    shared = sides[0] * sides[1]
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def at_grid(image: Tensor) -> float:
    """Mean difference of neighbours on either side of the grid's lines by that of all others: 1 where nothing shows."""
    ratios = []
    for dim in (2, 3):
        differences = image.diff(dim=dim).abs().mean(dim=(0, 1, 5 - dim))
        on = (torch.arange(1, len(differences) + 1) % GRID) == 0
        ratios.append((differences[on].mean() / differences[~on].mean()).item())
    return sum(ratios) / 2


def checkers(image: Tensor) -> float:
    """Mean of |a − b − c + d| over squares of four pixels: twice the contrast of a checkerboard, 0 on smooth areas."""
    return image.diff(dim=2).diff(dim=3).abs().mean().item()


def fitted(image: PIL.Image.Image, longest: int) -> PIL.Image.Image:
    """The image, its longest side made so many pixels."""
    scale = longest / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), PIL.Image.Resampling.LANCZOS)


def tensor(image: PIL.Image.Image) -> Tensor:
    """(1, 3, h, w) in [0, 1]."""
    return torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)[None].contiguous()


def embedded(image: PIL.Image.Image, view: str) -> np.ndarray | None:
    """The critic's numbers of an image, by one of its views; None where it is too small for it."""
    cuts = critic.VIEWS[view](image)
    return np.mean([_critic()(pixels) for pixels in cuts], axis=0) if cuts else None


@cache
def _critic() -> critic.Embed:
    return critic.network()


@cache
def engine():
    """The network with its default settings, made once."""
    from impasto.jobs.network import load_network
    from impasto.settings.settings import Settings

    return load_network(Settings()).engine
