"""Powers of symmetric matrices, by their eigenvalues."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NoEigenvalues = torch.linalg.LinAlgError  # pyright: ignore[reportPrivateImportUsage]
"""What torch raises where a decomposition isn't found: of NaN, for instance."""


def eigen(matrix: Tensor, *, least: float = 0.0, relative: float = 0.0) -> tuple[Tensor, Tensor]:
    """Eigenvalues (…, c), ascending, and eigenvectors (…, c, c) in columns, of symmetric matrices (…, c, c).

    An eigenvalue counts as at least `least`, and as at least this share of the largest one: below it lies rounding.
    A matrix that has none, since it isn't finite, has NaN for all of them.
    """
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except NoEigenvalues:
        return torch.full_like(matrix[..., 0], math.nan), torch.full_like(matrix, math.nan)
    values = values.clamp(min=least)
    return (values.maximum(values[..., -1:] * relative) if relative else values), vectors


def symmetric_powers(
    matrix: Tensor, *exponents: float, least: float = 0.0, relative: float = 0.0
) -> tuple[Tensor, ...]:
    """A symmetric matrix (…, c, c), positive but for rounding, to each exponent; for the bounds see `eigen`."""
    values, vectors = eigen(matrix, least=least, relative=relative)
    return tuple((vectors * values.pow(exponent)[..., None, :]) @ vectors.mT for exponent in exponents)


def orthogonal_factor(matrix: Tensor) -> Tensor:
    """U of the polar decomposition U P of square matrices (…, c, c), P being symmetric and positive; see `eigen`."""
    try:
        left, _, right = torch.linalg.svd(matrix)
    except NoEigenvalues:
        return torch.full_like(matrix, math.nan)
    return left @ right
