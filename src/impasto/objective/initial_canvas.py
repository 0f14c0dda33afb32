"""What a run starts from: the content, noise of several kinds, an image, or one of them mixed with white noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from impasto.images.size import resize, size_of
from impasto.losses.moments import mean_and_covariance_of_rows
from impasto.settings.settings import Settings
from impasto.storage.scratch import MEMORY, Scratch

NOISE = 0.2
"""Standard deviation of white noise."""


def initial_canvas(
    settings: Settings, content: Tensor, style: Tensor, image: Tensor | None = None, scratch: Scratch = MEMORY
) -> Tensor:
    """The canvas that a run starts from, like `content` (1, 3, h, w), in [0, 1], by `Settings.init` and `init_noise`.

    A file's name as `init` means `image`, resized.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.init_is_image:
        assert image is not None, "the caller loads the image that Settings.init names"
        start = resize(image, size_of(content), scratch).to(content)
    else:
        start = STARTS[settings.init](content, style, generator, scratch)
    if settings.init_noise == 0:
        return start
    share, noise = settings.init_noise, _white(content, style, generator, scratch)
    return scratch.map(lambda x, z: (1 - share) * x + share * z, start, noise)


def _content(content: Tensor, style: Tensor, generator: torch.Generator, scratch: Scratch) -> Tensor:
    return scratch.map(torch.clone, content)


def _white(content: Tensor, style: Tensor, generator: torch.Generator, scratch: Scratch) -> Tensor:
    """White noise around mid grey."""
    return scratch.map(lambda z: (0.5 + NOISE * z).clamp(0, 1), _normal(content, generator, scratch))


def _in_the_styles_colours(content: Tensor, style: Tensor, generator: torch.Generator, scratch: Scratch) -> Tensor:
    """Noise with the mean and covariance of the style's colours."""
    noise = _normal(content, generator, scratch)
    mean, covariance = mean_and_covariance_of_rows(style.flatten(2)[0].T, unbiased=True)
    root = torch.linalg.cholesky(covariance + 1e-6 * torch.eye(3).to(covariance)).to(content)
    mean = mean.view(1, 3, 1, 1).to(content)
    for rows in scratch.windows(content.shape[-2], content[..., 0, :].numel() * content.element_size()):
        mixed = torch.einsum("ij,njhw->nihw", root, noise[..., rows, :])
        noise[..., rows, :] = (mean + mixed).clamp(0, 1)
    return noise


def _shuffled(content: Tensor, style: Tensor, generator: torch.Generator, scratch: Scratch) -> Tensor:
    """Noise with exactly the content's colours: its pixels, shuffled within each row and then within each column.

    So a pixel ends up anywhere with equal chance, and no list of all pixels' places is needed.
    """
    noise = scratch.map(torch.clone, content)
    for along in (-1, -2):
        lines = noise.shape[-3 - along]  # rows, then columns
        for some in scratch.windows(lines, noise[0, 0].numel() // lines * BYTES_TO_SHUFFLE):
            view = noise[..., some, :] if along == -1 else noise[..., some]
            order = torch.rand(view.shape[-2:], generator=generator).argsort(dim=along).to(view.device)
            scratch.write(view, scratch.read(view).gather(along, order.expand_as(view)))
    return noise


BYTES_TO_SHUFFLE = 3 * 4 * 2 + 4 + 8
"""Bytes of a pixel that is shuffled: its colours before and after, a random number and a place."""


def _normal(content: Tensor, generator: torch.Generator, scratch: Scratch) -> Tensor:
    """Normally distributed numbers in the shape of the content."""
    noise = scratch.empty(content.shape, content)
    for (piece,) in scratch.pieces(noise):
        piece.copy_(torch.randn(piece.shape, generator=generator))
    return noise


STARTS: dict[str, Callable[[Tensor, Tensor, torch.Generator, Scratch], Tensor]] = {
    "content": _content,
    "noise": _white,
    "style": _in_the_styles_colours,
    "histogram": _shuffled,
}
"""The starts by name, from a content and a style: those in `impasto.settings.settings.INITS`."""
