"""Powers of symmetric matrices, by their eigenvalues."""

from __future__ import annotations

import torch
from torch import Tensor


def eigen(matrix: Tensor, *, least: float = 0.0, relative: float = 0.0) -> tuple[Tensor, Tensor]:
    """Eigenvalues (…, c), ascending, and eigenvectors (…, c, c) in columns, of symmetric matrices (…, c, c).

    An eigenvalue counts as at least `least`, and as at least this share of the largest one: below it lies rounding.
    """
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp(min=least)
    return (values.maximum(values[..., -1:] * relative) if relative else values), vectors


def symmetric_powers(
    matrix: Tensor, *exponents: float, least: float = 0.0, relative: float = 0.0
) -> tuple[Tensor, ...]:
    """A symmetric matrix (…, c, c), positive but for rounding, to each exponent; for the bounds see `eigen`."""
    values, vectors = eigen(matrix, least=least, relative=relative)
    return tuple((vectors * values.pow(exponent)[..., None, :]) @ vectors.mT for exponent in exponents)
