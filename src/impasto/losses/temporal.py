"""What holds a frame of a film to those before it."""

from __future__ import annotations

from torch import Tensor


def temporal_loss(image: Tensor, warped: Tensor, certainty: Tensor, dimension: int) -> Tensor:
    """1/D Σ_k c_k (x_k − ω_k)², a scalar: Ruder, Dosovitskiy & Brox 2016, 'Artistic style transfer for videos', eq. 7.

    `image` x and `warped` ω, an earlier result moved to where its parts are now, are (1, 3, h, w) in [0, 1];
    `certainty` c (1, 1, h, w), in [0, 1], tells where the movement is known. They may be a tile's part of an image that
    has `dimension` D numbers. The long-term loss, eq. 11, is a sum of such terms, whose c leaves out what a nearer
    frame holds already, see `long_term_certainties`.
    """
    return (certainty * (image - warped).square()).sum() / dimension


def long_term_certainties(certainties: list[Tensor]) -> list[Tensor]:
    """max(c_j − Σ_{nearer k} c_k, 0) for frames from the nearest to the farthest. Ruder et al. 2016, eq. 12."""
    found: list[Tensor] = []
    for number, certainty in enumerate(certainties):
        nearer = sum(certainties[1:number], start=certainties[0]) if number else None
        found.append(certainty if nearer is None else (certainty - nearer).clamp(min=0))
    return found
