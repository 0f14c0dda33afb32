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
        values, vectors = (part.to(matrix) for part in torch.linalg.eigh(_decomposable(matrix)))
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


def _decomposable(matrix: Tensor) -> Tensor:
    """A matrix where it can be decomposed: MPS has no decompositions, and no double precision to make them in."""
    return matrix.cpu().double() if matrix.device.type == "mps" else matrix


def root_and_inverse(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A^½ and A^−½ of symmetric positive matrices (n, c, c), by products of matrices alone.

    The coupled Newton-Schulz iteration (Higham 2008, 6.35) with each step scaled to the interval that eigenvalues may
    lie in (Chen & Chow 2014, 'A stable scaling of Newton-Schulz'). In double precision, eigenvalues below about 1e-14
    of the largest count as more than they are. Unlike a decomposition it makes nobody wait, and can be recorded in a
    graph; NaN gives NaN.
    """
    size = matrix.square().sum(dim=(1, 2), keepdim=True).sqrt().clamp(min=torch.finfo(matrix.dtype).tiny)
    unit = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device).expand_as(matrix)
    root, inverse = matrix / size, unit
    for scale in _SCALES:
        step = scale / 2 * (3 * unit - scale**2 * (inverse @ root))
        root, inverse = root @ step, step @ inverse
    return root * size.sqrt(), inverse * size.rsqrt()


def _scales(least: float) -> list[float]:
    """The factors by which Newton-Schulz takes numbers of [least, 1] to 1 soonest."""
    found: list[float] = []
    while 1 - least > 1e-9:
        found.append(math.sqrt(3 / (1 + least + least**2)))
        least = found[-1] * least * (3 - (found[-1] * least) ** 2) / 2
    return [*found, 1.0]


_SCALES = _scales(1e-7)


def orthogonal_factor(matrix: Tensor) -> Tensor:
    """U of the polar decomposition U P of square matrices (…, c, c), P being symmetric and positive; see `eigen`."""
    try:
        left, _, right = (part.to(matrix) for part in torch.linalg.svd(_decomposable(matrix)))
    except NoEigenvalues:
        return torch.full_like(matrix, math.nan)
    return left @ right
