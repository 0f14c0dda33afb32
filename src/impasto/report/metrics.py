"""How far a result went from the content towards the style, and how much of the content it kept, in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.size import Size, fit, resize, size_of
from impasto.losses.gatys import style_layer_loss
from impasto.losses.gaussian import squared_wasserstein
from impasto.losses.linalg import symmetric_powers
from impasto.losses.moments import averaged, mean_and_covariance, mixture
from impasto.network.engine import Engine
from impasto.network.layers import ORDER, smallest_side
from impasto.objective.colour_matching import colour_statistics
from impasto.objective.colour_mode import colour_mode
from impasto.objective.statistics import extract_statistics, in_order
from impasto.objective.targets import Comparison, measure_targets
from impasto.settings.settings import Settings

CONTROL_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_4", "relu5_4")
"""Style is also measured here, one layer a block: where a run doesn't optimise them, they show what carries over."""

STRUCTURE_LAYERS = ("relu3_2", "relu4_2")
"""Where the content's features are compared with the result's: before and at the layer that usually holds content."""

MEASURED = 2048
"""Longest side in pixels at which a result is measured: a larger one is made smaller first."""


def share_closed(now: float, start: float, floor: float = 0.0) -> float | None:
    """1 − now/start: 0 where nothing was gained, 1 where no distance is left, below 0 where it grew.

    None where `start` isn't above `floor`: there was no distance to close.
    """
    return None if start <= floor else 1 - now / start


def style_closed(now: Tensor, start: Tensor, target: Tensor) -> float | None:
    """Share of E_l (Gatys et al. 2015, eq. 4) that is closed, from Gram matrices (1, c, c) divided by their positions.

    E_l is a squared distance: half the way closes three quarters of it.
    """
    size = style_layer_loss(torch.zeros_like(target), target, m=1).item()
    left, distance = (style_layer_loss(g, target, m=1).item() for g in (now, start))
    return share_closed(left, distance, floor=1e-9 * size)  # what rounding leaves between two equal images


def feature_correlation(f: Tensor, p: Tensor) -> float | None:
    """Pearson's r of features (1, c, h, w), each channel around its own mean; None where one of them is flat.

    The means are taken off since they belong to the style (Huang & Belongie 2017): what is left says what is where.
    """
    return _cosine(f - f.mean(dim=(2, 3), keepdim=True), p - p.mean(dim=(2, 3), keepdim=True))


def edge_correlation(image: Tensor, content: Tensor) -> float | None:
    """Pearson's r of the edge strengths of two images (1, 3, h, w) in [0, 1]; None where one of them has no edges."""
    return feature_correlation(edge_strength(image), edge_strength(content))


def edge_strength(image: Tensor) -> Tensor:
    """Magnitude of Sobel's gradient of the luma (Sobel & Feldman 1968), (1, 3, h, w) -> (1, 1, h, w)."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(image) / 8
    kernels = torch.stack([across, across.T]).unsqueeze(1)
    gradient = F.conv2d(F.pad(luma(image), (1, 1, 1, 1), mode="replicate"), kernels)
    return gradient.square().sum(dim=1, keepdim=True).sqrt()


def contrast_structure(image: Tensor, content: Tensor) -> float:
    """Mean of (2σ_xy + C₂)/(σ_x² + σ_y² + C₂) over the luma of two images (1, 3, h, w) in [0, 1].

    SSIM without its luminance term (Wang et al. 2004, eq. 9 and 10 with C₃ = C₂/2), which a change of colours would
    dominate. Gaussian window of 11 px with σ = 1.5, K₂ = 0.03, L = 1; a side below 11 px shortens the window.
    """
    x, y = luma(image), luma(content)
    mean_x, mean_y, xx, yy, xy = (_smoothed(z) for z in (x, y, x * x, y * y, x * y))
    var_x, var_y, cov = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    c2 = 0.03**2
    return ((2 * cov + c2) / (var_x + var_y + c2)).mean().item()


def luma(image: Tensor) -> Tensor:
    """Rec. ITU-R BT.601 luma of sRGB as it is coded, (1, 3, h, w) -> (1, 1, h, w)."""
    return (image * torch.tensor([0.299, 0.587, 0.114]).to(image).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def colour_distance(a: Tensor, b: Tensor) -> float:
    """The 2-Wasserstein distance between the Gaussians of two `colour_statistics` (1, 4, 4): black to white is 1."""
    (mean, covariance), (mean_b, covariance_b) = mean_and_covariance(a), mean_and_covariance(b)
    (root_b,) = symmetric_powers(covariance_b, 0.5)
    return squared_wasserstein(mean, covariance, mean_b, root_b).clamp(min=0).sqrt().item()


@torch.no_grad()
def measure_pictures(
    engine: Engine, settings: Settings, content: Tensor, styles: Sequence[Tensor], result: Tensor
) -> dict[str, Any]:
    """Style, structure and colour of a result (1, 3, h, w) in [0, 1] between its content and styles, of any sizes.

    Everything is measured at the result's size, or `MEASURED` pixels where it is larger, and in the run's tiles;
    styles at the same longest side; style and structure on what `Settings.color` lets the network see, colour on
    the images themselves. Layers that an image is too small for are left out. The styles' own structure,
    stretched to that size, says what mere chance would keep.
    """
    full = size_of(result)
    size = fit(full, min(max(full), MEASURED))
    tile = settings.tile if isinstance(settings.tile, int) and settings.tile else None
    result, content, styles = resize(result, size), resize(content.to(result), size), [s.to(result) for s in styles]
    fitted = [resize(style, fit(size_of(style), max(size))) for style in styles]
    least = min(side for image in (result, *fitted) for side in size_of(image))
    style_layers = _fitting({*settings.style_layers, *CONTROL_LAYERS}, least)
    structure_layers = _fitting(STRUCTURE_LAYERS, min(size))

    mode = colour_mode(settings.color, content, fitted)
    comparison = Comparison(tuple(style_layers), tuple(structure_layers))
    targets = measure_targets(engine, comparison, mode.content, mode.styles, settings.style_weights, tile=tile)
    (target,) = targets.styles
    grams = in_order(target.statistics.values())
    statistics, features = extract_statistics(engine, mode.image(result), grams, structure_layers, tile=tile)

    def closed(layer: str) -> float | None:
        three = (statistics[target.statistics[layer]], target.of_content[layer], target.of_styles[layer])
        return style_closed(*(averaged(sums)[:, :-1, :-1] for sums in three))

    def kept(image: Tensor, found: dict[str, Tensor]) -> dict[str, float | None]:
        return {
            **{name: feature_correlation(found[name], targets.content.features[name]) for name in structure_layers},
            "edges": edge_correlation(image, content),
            "contrast_structure": contrast_structure(image, content),
        }

    stretched = [mode.image(resize(style, size)) for style in styles]
    chance = [kept(image, extract_statistics(engine, image, (), structure_layers, tile=tile)[1]) for image in stretched]
    return {
        "size": {"width": full[1], "height": full[0]},
        "measured_at": {"width": size[1], "height": size[0]},
        "style": _style_measures({layer: closed(layer) for layer in style_layers}, settings.style_layers),
        "structure": {
            "result": kept(result, features),
            "painting": {name: mean_of(one[name] for one in chance) for name in chance[0]},
        },
        "colour": _colour_measures(content, fitted, settings.style_weights, result),
    }


def _style_measures(closed: Mapping[str, float | None], optimised: Sequence[str]) -> dict[str, Any]:
    return {
        "layers": {name: {"closed": share, "optimised": name in optimised} for name, share in closed.items()},
        "mean_optimised": mean_of(share for name, share in closed.items() if name in optimised),
        "mean_others": mean_of(share for name, share in closed.items() if name not in optimised),
    }


def _colour_measures(
    content: Tensor, styles: Sequence[Tensor], shares: Sequence[float], result: Tensor
) -> dict[str, Any]:
    target = mixture([colour_statistics(style) for style in styles], shares or [1.0] * len(styles))
    before, after = (colour_distance(colour_statistics(image), target) for image in (content, result))
    return {
        "photo_to_painting": before,
        "result_to_painting": after,
        "closed": share_closed(after, before, floor=1e-3),  # a twentieth of what an eye can tell
    }


class Step(NamedTuple):
    """What is kept of an event `Stepped`: all but its picture, since that holds on to a canvas."""

    step: int
    scale: int
    size: Size
    loss: float
    parts: Mapping[str, float]
    seconds: float


def measure_time(steps: Sequence[Step], seconds: float) -> dict[str, Any]:
    """How long the steps of a run took, in seconds; a scale's first step includes measuring its targets."""
    stamps = [0.0, *(step.seconds for step in steps)]
    lasted = [after - before for before, after in pairwise(stamps)]
    megapixels = sum(step.size[0] * step.size[1] for step in steps) / 1e6
    scales: dict[int, list[float]] = {}
    sizes = {step.scale: step.size for step in steps}
    for step, duration in zip(steps, lasted, strict=True):
        scales.setdefault(step.scale, []).append(duration)
    return {
        "steps": len(steps),
        "seconds": seconds,
        "seconds_per_step": median(lasted) if lasted else None,
        "seconds_per_megapixel_step": seconds / megapixels if megapixels else None,
        "scales": [
            {"width": sizes[n][1], "height": sizes[n][0], "steps": len(d), "seconds_per_step": median(d)}
            for n, d in scales.items()
        ],
    }


def mean_of(values: Iterable[float | None]) -> float | None:
    """The mean of those that could be measured, None where there is none."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _cosine(a: Tensor, b: Tensor) -> float | None:
    norms = a.norm() * b.norm()
    return None if norms == 0 else ((a * b).sum() / norms).clamp(-1, 1).item()


def _smoothed(image: Tensor) -> Tensor:
    for dim in (-2, -1):
        x = torch.arange(n := min(11, image.shape[dim])).to(image) - (n - 1) / 2
        window = torch.exp(-(x**2) / (2 * 1.5**2))
        image = F.conv2d(image, (window / window.sum()).view(1, 1, *((n, 1) if dim == -2 else (1, n))))
    return image


def _fitting(layers: Iterable[str], side: int) -> list[str]:
    return sorted((name for name in layers if smallest_side([name]) <= side), key=ORDER.__getitem__)
