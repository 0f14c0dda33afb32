"""Weighted losses with fixed targets: what a canvas should become, and how far it is from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.losses import content_loss, style_layer_loss, total_loss, total_variation, weighted_sum
from impasto.moments import gram
from impasto.optimizers import Evaluation
from impasto.scratch import MEMORY, Scratch
from impasto.tiles import Tile, Window, cropped, positions, split
from impasto.vgg import Engine, feature_size


@dataclass(frozen=True)
class Weighting:
    """α, β, the weight of total variation, and each layer's share of the content and the style loss."""

    alpha: float
    beta: float
    content: Mapping[str, float]
    style: Mapping[str, float]
    tv: float = 0.0

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that some loss needs, each once."""
        return tuple({**self.content, **self.style})


@dataclass(frozen=True)
class Targets:
    """What the photo and the paintings ask for, by layer; and where the photo stands, to measure distances from.

    `content` are the photo's features (1, c, h, w); `style` the paintings' mean Gram matrices (1, c, c) and
    `start` the photo's own.
    """

    content: Mapping[str, Tensor]
    style: Mapping[str, Tensor]
    start: Mapping[str, Tensor]
    start_variation: float


@dataclass(frozen=True)
class Score:
    """The total loss and its weighted parts, scalars that sum to it: 'content/relu4_2', 'style/relu1_1', …, 'tv'."""

    total: Tensor
    parts: Mapping[str, Tensor]


@torch.no_grad()
def measure_targets(
    engine: Engine,
    weighting: Weighting,
    content: Tensor,
    styles: Iterable[Tensor],
    shares: Sequence[float] = (),
    *,
    tile: int | None = None,
    scratch: Scratch = MEMORY,
) -> Targets:
    """The targets set by a photo and paintings, images (1, 3, h, w) in [0, 1] of any sizes, seen in tiles if asked to.

    `scratch` is where the photo's features are kept. Paintings are taken one at a time.

    Several styles are blended by their mean Gram matrices: for shares s_i that sum to 1, Σ s_i |G − A_i|² and
    |G − Σ s_i A_i|² differ by a constant, so the gradient is that of the weighted sum of losses.
    """
    if not shares:
        styles = list(styles)
        shares = [1.0] * len(styles)
    blend: dict[str, Tensor] = {}
    for share, style in zip(shares, styles, strict=True):
        grams, _ = survey(engine, style, weighting.style, tile=tile, scratch=scratch)
        blend = _added(blend, {name: matrix * (share / sum(shares)) for name, matrix in grams.items()})
    start, features = survey(engine, content, weighting.style, weighting.content, tile=tile, scratch=scratch)
    return Targets(features, blend, start, _variation(content, scratch))


@torch.no_grad()
def survey(
    engine: Engine,
    image: Tensor,
    style: Iterable[str],
    content: Iterable[str] = (),
    *,
    tile: int | None = None,
    scratch: Scratch = MEMORY,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What an image (1, 3, h, w) shows: Gram matrices (1, c, c) at the layers `style`, features at `content`.

    Each Gram matrix is divided by its number of positions. The image is seen in tiles of about `tile` pixels a side.
    """
    size = (image.shape[-2], image.shape[-1])
    style, content = tuple(style), tuple(content)
    sums: dict[str, Tensor] = {}
    whole: dict[str, Tensor] = {}
    tiles = split(size, (*style, *content), tile)
    for part in tiles:
        features = cropped(part, engine.features(scratch.take(part.seen.of(image)), {*style, *content}))
        sums = _added(sums, {name: gram(features[name]) for name in style})
        for name in content:
            if name not in whole:
                whole[name] = _empty_features(features[name], feature_size(name, size), scratch, tiled=len(tiles) > 1)
            scratch.put(part.place(name, whole[name]), features[name])
    return {name: total / positions(name, size) for name, total in sums.items()}, whole


def _empty_features(like: Tensor, size: tuple[int, int], scratch: Scratch, *, tiled: bool) -> Tensor:
    """Room for the features (1, c, *size) of a whole picture, of which `like` is a tile's."""
    n, c = like.shape[:2]
    if tiled or like.stride(1) == 1:  # a position's channels side by side: a tile is then few pieces of a file
        return scratch.empty((n, *size, c), like).permute(0, 3, 1, 2)
    return scratch.empty((n, c, *size), like)


def _variation(image: Tensor, scratch: Scratch) -> float:
    """Total variation, summed over bands of rows."""
    h, w = image.shape[-2:]
    bands = scratch.windows(h, 3 * w * image.element_size())
    return sum((total_variation(image[..., b.start : b.stop + 1, :], (b.stop - b.start, w)).item() for b in bands), 0.0)


def _variance(features: Tensor, scratch: Scratch) -> tuple[float, float]:
    """½ Σ (P − mean)² and ½ Σ P² of features (1, c, h, w), the mean being each channel's."""
    row = features[:, :, 0].numel() * features.element_size()

    def added(part: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.stack([part(features[:, :, rows]) for rows in scratch.windows(features.shape[2], row)]).sum(dim=0)

    mean = added(lambda p: p.sum(dim=(2, 3), keepdim=True)) / features[0, 0].numel()
    return added(lambda p: content_loss(p, mean)).item(), added(lambda p: content_loss(p, torch.zeros_like(p))).item()


def normalized(weighting: Weighting, targets: Targets, scratch: Scratch = MEMORY) -> Weighting:
    """Each weight divided by what its loss measures on this pair, so that it means the same on every pair and size.

    A style layer's loss becomes the share of the photo's distance to the painting that is left, the content
    loss the share of the photo's feature variance that is lost, total variation a multiple of the photo's own.
    Floors keep a weight finite where the photo is flat or the same as the painting.
    """
    content, style = {}, {}
    for name, weight in weighting.content.items():
        lost, all_of_it = _variance(targets.content[name], scratch)
        content[name] = weight / max(lost, 1e-3 * all_of_it, TINY)
    for name, weight in weighting.style.items():
        a = targets.style[name]
        distance = style_layer_loss(targets.start[name], a, m=1).item()
        style[name] = weight / max(distance, 1e-2 * style_layer_loss(torch.zeros_like(a), a, m=1).item(), TINY)
    tv = weighting.tv / max(targets.start_variation, TINY)
    return replace(weighting, content=content, style=style, tv=tv)


TINY = 1e-12
"""Least measure that a weight is divided by, for pictures in which a layer sees nothing at all."""


class Objective:
    """α L_content + β L_style (+ total variation) of a canvas, and its gradient to the pixels.

    With `tile`, no more than about a tile of that many pixels a side is in the network at a time, and loss and gradient
    are still those of the whole canvas: the style loss is a function of sums over positions, so a first pass adds the
    sums up, P = ∂L_style/∂sums, and a second pass back-propagates ⟨P, sums of a tile⟩ and the tile's own terms.
    """

    def __init__(
        self,
        engine: Engine,
        weighting: Weighting,
        targets: Targets,
        *,
        tile: int | None = None,
        scratch: Scratch = MEMORY,
    ) -> None:
        self.engine = engine
        self.weighting = weighting
        self.targets = targets
        self.tile = tile
        self.scratch = scratch

    def reweighted(self, weighting: Weighting) -> Objective:
        """The same targets under other weights, for layers that the targets have: steering costs nothing."""
        return Objective(self.engine, weighting, self.targets, tile=self.tile, scratch=self.scratch)

    def score(self, canvas: Tensor) -> Score:
        """The loss of a canvas (1, 3, h, w) in [0, 1], seen whole, differentiable to its pixels."""
        (whole,) = split((canvas.shape[-2], canvas.shape[-1]), ())
        features = self.engine.features(canvas, self.weighting.layers)
        style = self._style_losses(self._measure(features), whole.core)
        return self._weigh(style | self._local_losses(features, canvas, whole, whole.core))

    def evaluate(self, canvas: Tensor) -> Evaluation:
        """The loss, its parts and its gradient at a canvas (1, 3, h, w)."""
        *others, last = split((canvas.shape[-2], canvas.shape[-1]), self.weighting.layers, self.tile)
        sums: dict[str, Tensor] = {}
        for tile in others:
            with torch.no_grad():
                sums = _added(sums, self._measure(self._look(canvas, tile)[1]))
        # The tile that the first pass saw last is still at hand: the second pass begins with it.
        pixels, features = self._look(canvas, last)
        measured = self._measure(features)
        sums = {name: total.detach().requires_grad_() for name, total in _added(sums, measured).items()}
        everything = Window(0, 0, canvas.shape[-2], canvas.shape[-1])
        style = self._weigh(self._style_losses(sums, everything))
        pull = dict(zip(sums, torch.autograd.grad(style.total, list(sums.values())), strict=True)) if sums else {}

        parts = {name: part.item() for name, part in style.parts.items()}
        gradient = self.scratch.zeros(canvas.shape, canvas)
        for tile in (last, *reversed(others)):
            if tile is not last:
                pixels, features = self._look(canvas, tile)
                measured = self._measure(features)
            local = self._weigh(self._local_losses(features, pixels, tile, everything))
            pulled = sum(((pull[name] * measured[name]).sum() for name in pull), start=local.total)
            (part,) = torch.autograd.grad(pulled, pixels)
            self.scratch.put(tile.seen.of(gradient), part, add=True)
            for name, loss in local.parts.items():
                parts[name] = parts.get(name, 0.0) + loss.item()
        parts = {name: parts[name] for name in self._names()}
        return Evaluation(sum(parts.values()), parts, gradient)

    def _look(self, canvas: Tensor, tile: Tile) -> tuple[Tensor, dict[str, Tensor]]:
        """What the tile is shown, as a leaf, and the features of its core."""
        seen = self.scratch.take(tile.seen.of(canvas))
        pixels = seen.detach().requires_grad_(torch.is_grad_enabled())
        return pixels, cropped(tile, self.engine.features(pixels, self.weighting.layers))

    def _measure(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The sums over positions that the style loss is a function of."""
        return {name: gram(features[name]) for name in self.weighting.style}

    def _style_losses(self, sums: Mapping[str, Tensor], canvas: Window) -> dict[str, Tensor]:
        size = (canvas.bottom, canvas.right)
        return {
            f"style/{name}": style_layer_loss(g, self.targets.style[name], positions(name, size), 1)
            for name, g in sums.items()
        }

    def _local_losses(
        self, features: Mapping[str, Tensor], pixels: Tensor, tile: Tile, canvas: Window
    ) -> dict[str, Tensor]:
        """The losses that are sums over places; the tile's share of them."""
        photo = self.targets.content
        losses = {
            f"content/{name}": content_loss(features[name], self.scratch.take(tile.place(name, photo[name])))
            for name in self.weighting.content
        }
        if self.weighting.tv:
            core = tile.core
            next_too = Window(
                core.top, core.left, min(core.bottom + 1, canvas.bottom), min(core.right + 1, canvas.right)
            )
            losses["tv"] = total_variation(
                next_too.within(tile.seen).of(pixels), (core.bottom - core.top, core.right - core.left)
            )
        return losses

    def _names(self) -> list[str]:
        w = self.weighting
        return [
            *(f"content/{name}" for name in w.content),
            *(f"style/{name}" for name in w.style),
            *["tv"] * bool(w.tv),
        ]

    def _weigh(self, losses: Mapping[str, Tensor]) -> Score:
        """The total of these losses, which may be some of all, and each with its weight."""
        w = self.weighting
        content = {name: weight for name, weight in w.content.items() if f"content/{name}" in losses}
        style = {name: weight for name, weight in w.style.items() if f"style/{name}" in losses}
        total = total_loss(
            weighted_sum([losses[f"content/{name}"] for name in content], list(content.values())),
            weighted_sum([losses[f"style/{name}"] for name in style], list(style.values())),
            w.alpha,
            w.beta,
        )
        factors = {f"content/{name}": w.alpha * weight for name, weight in content.items()}
        factors |= {f"style/{name}": w.beta * weight for name, weight in style.items()}
        if "tv" in losses:
            factors["tv"] = w.tv
            total = total + w.tv * losses["tv"]
        return Score(total, {name: factor * losses[name] for name, factor in factors.items()})


def _added(sums: Mapping[str, Tensor], more: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: sums[name] + part if name in sums else part for name, part in more.items()}
