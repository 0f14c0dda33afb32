"""What a strength map makes of a run's loss weights at each place of the canvas."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.images.size import size_of
from impasto.objective.regions import resized_mask
from impasto.objective.weights import alpha_factor, target_fraction


@dataclass(frozen=True)
class LocalWeights:
    """Weights of a canvas's pixels (1, 1, h, w), relative to the run's own.

    `fraction` multiplies the target fraction and the weight of total variation, `alpha` multiplies α.
    """

    fraction: Tensor
    alpha: Tensor

    @property
    def counting(self) -> Tensor | None:
        """How much each pixel counts in the style's statistics, 1 at most: its fraction; None where all count alike."""
        most = self.fraction.max()
        return None if self.fraction.min() == most else self.fraction / most

    def of_region(self, mask: Tensor | None) -> tuple[float, float]:
        """How much of a region counts, and its mean target fraction relative to the run's, over what counts.

        The first is the effective size of a weighted sample (Σ w)² / Σ w² (Kish 1965) over the region's area: 1 where
        all weights are alike, and the area that is left where some are 0.
        """
        w = self.fraction
        counted = w if mask is None else w * resized_mask(mask, size_of(w)).to(w)
        area = float(w.numel()) if mask is None else _total(resized_mask(mask, size_of(w)))
        first, second = _total(counted), _total(counted * w)
        return (first**2 / (area * second), second / first) if second > 0 else (0.0, 1.0)


def local_weights(strength_map: Tensor, strength: float) -> LocalWeights:
    """The weights of a canvas whose pixels have these shares (1, 1, h, w) of a strength above 0."""
    local = strength * strength_map
    fraction = target_fraction(local) / target_fraction(strength)
    return LocalWeights(fraction, alpha_factor(local) / alpha_factor(strength))


def _total(values: Tensor) -> float:
    return values.sum(dtype=torch.float64).item() if values.device.type != "mps" else values.sum().item()
