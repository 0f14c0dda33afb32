"""The losses of Gatys, Ecker & Bethge 2015 ('A Neural Algorithm of Artistic Style'), one short function an equation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.size import Size, size_of
from impasto.losses import native_moments
from impasto.storage.pool import POOL


def content_loss(f: Tensor, p: Tensor) -> Tensor:
    """½ Σ (F − P)², the squared error of features (n, c, h, w) against the content's. Gatys et al. 2015, eq. 1.

    Its derivative to the convolution's output is (F − P) where F > 0 and 0 where F < 0 (eq. 2).
    """
    return _ContentLoss.apply(f, p)  # pyright: ignore[reportReturnType]


def gram(features: Tensor) -> Tensor:
    """Channel correlations summed over positions, G = F Fᵀ: (n, c, h, w) -> (n, c, c). Gatys et al. 2015, eq. 3."""
    return _Gram.apply(features.flatten(2))  # pyright: ignore[reportReturnType]


def style_layer_loss(g: Tensor, a: Tensor, m: int, m_style: int | None = None) -> Tensor:
    """E = 1/(4 N² M²) Σ (G − A)² of Gram matrices (n, c, c), with N = c. Gatys et al. 2015, eq. 4.

    `m` is the number of positions that G was summed over; where A was summed over another number, `m_style`, each
    Gram matrix is divided by its own. The paper has one M, for which this is the same. The derivative to the
    convolution's output is 1/(N² M²) (Fᵀ (G − A))ᵀ where F > 0 and 0 where F < 0 (eq. 6).
    """
    n = g.shape[-1]
    return (g / m - a / (m if m_style is None else m_style)).square().sum() / (4 * n**2)


def weighted_sum(losses: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Σ w_l E_l: the style loss over its layers (Gatys et al. 2015, eq. 5), and the content loss over its own."""
    return sum((w * loss for w, loss in zip(weights, losses, strict=True)), start=torch.zeros(()))


def total_loss(content: Tensor, style: Tensor, alpha: float, beta: float) -> Tensor:
    """α L_content + β L_style. Gatys et al. 2015, eq. 7."""
    return alpha * content + beta * style


def total_variation(image: Tensor, interior: Size | None = None, weights: Tensor | None = None) -> Tensor:
    """½ Σ ((x[i+1,j] − x[i,j])² + (x[i,j+1] − x[i,j])²) of an image (n, c, h, w).

    Mahendran & Vedaldi 2015, eq. 3 with β = 2, which has a gradient everywhere. With `interior` only the differences
    that begin in the first (h, w) rows and columns count, so that tiles add up. `weights` (n, 1, h, w) are the pixels'
    that differences begin at.
    """
    h, w = size_of(image) if interior is None else interior
    down = image[..., 1:, :w] - image[..., :-1, :w]
    right = image[..., :h, 1:] - image[..., :h, :-1]
    if weights is None:
        return (down.square().sum() + right.square().sum()) / 2
    to_next = weights[..., : down.shape[2], :] * down.square(), weights[..., : right.shape[3]] * right.square()
    return (to_next[0].sum() + to_next[1].sum()) / 2


class _ContentLoss(torch.autograd.Function):
    """½ Σ (F − P)² and its gradient F − P, in pooled memory: autograd by itself allocates fresh memory five times.

    At large sizes that came to a tenth of a step.
    """

    @staticmethod
    def forward(ctx: Any, f: Tensor, p: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(f, p)
        return torch.sub(f, p, out=POOL.beside(f)).square_().sum() / 2

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        f, p = ctx.saved_tensors
        once = not torch.is_grad_enabled()  # nobody will ask for the gradient's own gradient
        gradient = torch.sub(f, p, out=POOL.beside(f)).mul_(d) if once else (f - p) * d
        to_f, to_p = ctx.needs_input_grad
        return gradient if to_f else None, -gradient if to_p else None


class _Gram(torch.autograd.Function):
    """F Fᵀ, whose gradient (D + Dᵀ) F is one product for any D; autograd by itself makes it two."""

    @staticmethod
    def forward(ctx: Any, f: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(f)
        return native_moments.sums(f)[:, :-1, :-1].to(f.dtype) if native_moments.fits(f) else f @ f.mT

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (f,) = ctx.saved_tensors
        if native_moments.fits(f) and not torch.is_grad_enabled():
            return native_moments.gradient(f, F.pad(d, (0, 1, 0, 1)))
        symmetric = d + d.mT
        if f.stride(1) == 1:  # (h, w, c) in memory: the gradient comes out likewise, and needs no reordering
            return _product(f.mT, symmetric).mT
        return _product(symmetric, f)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product (n, i, j), in pooled memory where nobody asks for its own gradient."""
    if torch.is_grad_enabled():
        return a @ b
    return torch.bmm(a, b, out=POOL.like(a, a.shape[0], a.shape[1], b.shape[2]))
