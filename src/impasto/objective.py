"""Weighted losses with fixed targets: what a canvas should become, and how far it is from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.losses import content_loss, style_layer_loss, total_loss, total_variation, weighted_sum
from impasto.moments import gram
from impasto.optimizers import Evaluation
from impasto.storeys import Look, Walk, room_for, storeys
from impasto.tiles import Window, positions
from impasto.vgg import Engine


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
    styles: Sequence[Tensor],
    shares: Sequence[float] = (),
    *,
    tile: int | None = None,
) -> Targets:
    """The targets set by a photo and paintings, images (1, 3, h, w) in [0, 1] of any sizes, seen in tiles if asked to.

    Several styles are blended by their mean Gram matrices: for shares s_i that sum to 1, Σ s_i |G − A_i|² and
    |G − Σ s_i A_i|² differ by a constant, so the gradient is that of the weighted sum of losses.
    """
    shares = shares or [1.0] * len(styles)
    blend: dict[str, Tensor] = {}
    for share, style in zip(shares, styles, strict=True):
        grams, _ = survey(engine, style, weighting.style, tile=tile)
        blend = _added(blend, {name: matrix * (share / sum(shares)) for name, matrix in grams.items()})
    start, features = survey(engine, content, weighting.style, weighting.content, tile=tile)
    return Targets(features, blend, start, total_variation(content).item())


@torch.no_grad()
def survey(
    engine: Engine, image: Tensor, style: Iterable[str], content: Iterable[str] = (), *, tile: int | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What an image (1, 3, h, w) shows: Gram matrices (1, c, c) at the layers `style`, features at `content`.

    Each Gram matrix is divided by its number of positions. The image is seen in tiles of about `tile` pixels a side.
    """
    size = _size(image)
    style, content = tuple(style), tuple(content)
    sums: dict[str, Tensor] = {}
    whole: dict[str, Tensor] = {}
    for look in Walk(engine, storeys(size, (*style, *content), tile), image).up():
        here = look.storey.layers
        sums = _added(sums, {name: gram(look.features[name]) for name in here if name in style})
        for name in (name for name in here if name in content):
            if name not in whole:
                whole[name] = room_for(name, look.features[name], size)
            look.tile.place(name, whole[name]).copy_(look.features[name])
    return {name: total / positions(name, size) for name, total in sums.items()}, whole


def normalized(weighting: Weighting, targets: Targets) -> Weighting:
    """Each weight divided by what its loss measures on this pair, so that it means the same on every pair and size.

    A style layer's loss becomes the share of the photo's distance to the painting that is left, the content
    loss the share of the photo's feature variance that is lost, total variation a multiple of the photo's own.
    Floors keep a weight finite where the photo is flat or the same as the painting.
    """
    content, style = {}, {}
    for name, weight in weighting.content.items():
        p = targets.content[name]
        lost = content_loss(p, p.mean(dim=(2, 3), keepdim=True)).item()
        content[name] = weight / max(lost, 1e-3 * content_loss(p, torch.zeros_like(p)).item(), TINY)
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

    def __init__(self, engine: Engine, weighting: Weighting, targets: Targets, *, tile: int | None = None) -> None:
        self.engine = engine
        self.weighting = weighting
        self.targets = targets
        self.tile = tile

    def reweighted(self, weighting: Weighting) -> Objective:
        """The same targets under other weights, for layers that the targets have: steering costs nothing."""
        return Objective(self.engine, weighting, self.targets, tile=self.tile)

    def score(self, canvas: Tensor) -> Score:
        """The loss of a canvas (1, 3, h, w) in [0, 1], seen whole, differentiable to its pixels."""
        (storey,) = storeys(_size(canvas), self.weighting.layers)
        look = Look(storey, storey.tiles[0], canvas, self.engine.features(canvas, self.weighting.layers))
        style = self._style_losses(self._measure(look), _size(canvas))
        return self._weigh(style | self._local_losses(look, _size(canvas)))

    def evaluate(self, canvas: Tensor) -> Evaluation:
        """The loss, its parts and its gradient at a canvas (1, 3, h, w)."""
        size = _size(canvas)
        walk = Walk(self.engine, storeys(size, self.weighting.layers, self.tile), canvas)
        sums: dict[str, Tensor] = {}
        for look in walk.up(keep_last=True):
            look.sums = self._measure(look)
            sums = _added(sums, {name: measured.detach() for name, measured in look.sums.items()})
            del look  # the network needs the memory for the next tile
        sums = {name: total.requires_grad_() for name, total in sums.items()}
        style = self._weigh(self._style_losses(sums, size))
        pull = dict(zip(sums, torch.autograd.grad(style.total, list(sums.values())), strict=True)) if sums else {}

        parts = {name: part.item() for name, part in style.parts.items()}

        def share(look: Look) -> Tensor:
            local = self._weigh(self._local_losses(look, size))
            for name, loss in local.parts.items():
                parts[name] = parts.get(name, 0.0) + loss.item()
            measured = look.sums or self._measure(look)
            return sum(((pull[name] * measured[name]).sum() for name in measured), start=local.total)

        gradient = walk.down(share)
        return Evaluation(sum(parts.values()), {name: parts[name] for name in self._names()}, gradient)

    def _measure(self, look: Look) -> dict[str, Tensor]:
        """The sums over a tile's positions that the style loss is a function of."""
        return {name: gram(look.features[name]) for name in look.storey.layers if name in self.weighting.style}

    def _style_losses(self, sums: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        return {
            f"style/{name}": style_layer_loss(g, self.targets.style[name], positions(name, size), 1)
            for name, g in sums.items()
        }

    def _local_losses(self, look: Look, size: tuple[int, int]) -> dict[str, Tensor]:
        """The losses that are sums over places; a tile's share of them, for a canvas of `size` (h, w)."""
        losses = {
            f"content/{name}": content_loss(look.features[name], look.tile.place(name, self.targets.content[name]))
            for name in look.storey.layers
            if name in self.weighting.content
        }
        if self.weighting.tv and look.storey.below is None:
            core, seen = look.tile.core, look.tile.seen
            next_too = Window(core.top, core.left, min(core.bottom + 1, size[0]), min(core.right + 1, size[1]))
            losses["tv"] = total_variation(
                next_too.within(seen).of(look.shown), (core.bottom - core.top, core.right - core.left)
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
    return {**sums, **{name: sums[name] + part if name in sums else part for name, part in more.items()}}


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]
