"""Colours after the fact: the content's chroma in the styles' range of colours, laid over what was painted.

Kolkin et al. 2022, 'Neural Neighbor Style Transfer', section 3, whose last step this is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.images.colour import oklab, to_gamut
from impasto.images.size import Size, fit, resize, size_of
from impasto.losses.linalg import symmetric_powers
from impasto.losses.moments import mean_and_covariance, mixture
from impasto.objective.colour_matching import GRAIN, colour_statistics
from impasto.objective.inputs import Inputs
from impasto.objective.regions import resized_mask
from impasto.storage.scratch import MEMORY, Scratch, resample

LONGEST = 1024
"""Longest side at which the filter's coefficients are found; a larger picture gets them enlarged (He & Sun 2015)."""

RADIUS = 1 / 64
"""Radius of the filter's windows, of the picture's longest side: every size looks the same."""

EDGE = 0.05
"""Standard deviation of lightness in a window from which on it counts as an edge, √ε."""


@dataclass(frozen=True)
class ChromaMap:
    """c ← A (c − μ) + ν: a chroma (a, b) in Oklab moved from the content's moments to a style's."""

    matrix: Tensor
    mean: Tensor
    wanted: Tensor

    def __call__(self, chroma: Tensor) -> Tensor:
        """The chroma (1, 2, h, w) that it makes of one."""
        moved = torch.einsum("ij,njhw->nihw", self.matrix.to(chroma), chroma - self.mean.to(chroma).view(1, 2, 1, 1))
        return moved + self.wanted.to(chroma).view(1, 2, 1, 1)


def chroma_map(content: Tensor, style: Tensor) -> ChromaMap:
    """The map between the chroma of two `colour_statistics` (1, 4, 4) that moves colours least.

    A = Σ_C^−½ (Σ_C^½ Σ_S Σ_C^½)^½ Σ_C^−½ (Monge–Kantorovich; Pitié & Kokaram 2007, eq. 9) is symmetric: it turns no
    colour wheel. A direction in which the content varies by less than `GRAIN` is scaled as if it varied by that.
    """
    (mean, covariance), (wanted, wanted_covariance) = mean_and_covariance(content), mean_and_covariance(style)
    least = GRAIN**2
    (root,) = symmetric_powers(covariance[0, 1:, 1:], 0.5, least=least)
    (inverse,) = symmetric_powers(covariance[0, 1:, 1:], -0.5, least=least)
    (middle,) = symmetric_powers(root @ wanted_covariance[0, 1:, 1:] @ root, 0.5)
    return ChromaMap(inverse @ middle @ inverse, mean[0, 1:], wanted[0, 1:])


@dataclass(frozen=True)
class Tint:
    """The content (1, 3, h, w) and how its chroma is moved: everywhere, or in each of the `masks` (1, 1, h, w)."""

    content: Tensor
    maps: tuple[ChromaMap, ...]
    masks: Sequence[Tensor] = ()

    def chroma(self, size: Size) -> Tensor:
        """The chroma (1, 2, h', w') that pictures of `size` get, at most `LONGEST` px; the content's outside masks."""
        small = fit(size, min(max(size), LONGEST))
        own = oklab(resize(self.content.cpu(), small).double())[:, 1:]
        if not self.masks:
            return self.maps[0](own)
        masks = [resized_mask(mask.cpu(), small).to(own) for mask in self.masks]
        total = torch.stack(masks).sum(dim=0)
        chroma = (1 - total.clamp(max=1)) * own
        for mask, move in zip(masks, self.maps, strict=True):
            chroma = chroma + mask / total.clamp(min=1) * move(own)
        return chroma

    def picture(
        self, painted: Tensor, chroma: Tensor, scratch: Scratch = MEMORY, share: float | Tensor = 1.0
    ) -> Tensor:
        """The lightness of a picture (1, 3, h, w) in [0, 1] with `chroma` of its size, smoothed along its own edges.

        It gets a `share` of that, everywhere or at each pixel (1, 1, h, w), and keeps the rest of its own chroma. What
        sRGB hasn't got loses chroma, not lightness or hue.
        """
        if isinstance(share, float | int) and share == 0:
            return painted
        small = size_of(chroma)
        lightness = oklab(resize(painted, small, scratch).double())[:, :1]
        radius = max(1, round(RADIUS * max(small)))
        coefficients = guided_coefficients(lightness, chroma, radius, EDGE**2).to(painted)
        coefficients = resample(coefficients, size_of(painted), "bilinear", scratch)

        def coloured(image: Tensor, ab: Tensor, part: Tensor) -> Tensor:
            own = oklab(image)
            mixed = torch.lerp(own[:, 1:], ab[:, :2] * own[:, :1] + ab[:, 2:], part)
            return torch.where(part > 0, to_gamut(torch.cat([own[:, :1], mixed], dim=1)), image)

        if isinstance(share, Tensor):
            return scratch.map_rows(coloured, 3, painted, coefficients, share.to(painted))
        everywhere = painted.new_tensor(share)
        return scratch.map_rows(lambda image, ab: coloured(image, ab, everywhere), 3, painted, coefficients)


def make_tint(inputs: Inputs, shares: Sequence[float]) -> Tint:
    """The tint by content and styles: the styles' moments blended by their shares, or with masks each in its region."""
    style_masks = inputs.style_masks or [None] * len(inputs.styles)
    styles = [_statistics(style, mask) for style, mask in zip(inputs.styles, style_masks, strict=True)]
    if not inputs.masks:
        blend = mixture(styles, shares or [1.0] * len(styles))
        return Tint(inputs.content, (chroma_map(colour_statistics(inputs.content), blend),))
    contents = [_statistics(inputs.content, mask) for mask in inputs.masks]
    maps = [chroma_map(content, style) for content, style in zip(contents, styles, strict=True)]
    return Tint(inputs.content, tuple(maps), inputs.masks)


def guided_coefficients(guide: Tensor, image: Tensor, radius: int, epsilon: float) -> Tensor:
    """ā and b̄, one after the other, (1, 2 c, h, w), for which q = ā I + b̄ is the guided filter's image.

    a = cov(I, p)/(var(I) + ε) and b = p̄ − a Ī in windows of 2 r + 1 pixels a side, and means of these in such windows
    (He, Sun & Tang 2010, eq. 5, 6 and 8), for a guide I (1, 1, h, w) and an image p (1, c, h, w).
    """
    mean_guide, mean = box_mean(guide, radius), box_mean(image, radius)
    variance = box_mean(guide * guide, radius) - mean_guide * mean_guide
    a = (box_mean(guide * image, radius) - mean_guide * mean) / (variance.clamp(min=0) + epsilon)
    return box_mean(torch.cat([a, mean - a * mean_guide], dim=1), radius)


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Means over windows of 2 r + 1 pixels a side, cut off at the borders, (n, c, h, w); in double precision.

    By cumulative sums: as fast for wide windows as for narrow ones.
    """
    image = image.double()
    for along in (-2, -1):
        n = image.shape[along]
        places = torch.arange(n, device=image.device)
        first, end = (places - radius).clamp(min=0), (places + radius + 1).clamp(max=n)
        nothing = torch.zeros_like(image.narrow(along, 0, 1))
        sums = torch.cat([nothing, image.cumsum(dim=along)], dim=along)
        counts = (end - first).double().view([-1, 1] if along == -2 else [-1])
        image = (sums.index_select(image.dim() + along, end) - sums.index_select(image.dim() + along, first)) / counts
    return image


def _statistics(image: Tensor, mask: Tensor | None) -> Tensor:
    return colour_statistics(image, None if mask is None else resized_mask(mask.cpu(), size_of(image)))
