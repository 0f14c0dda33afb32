"""Weighted losses with fixed targets: what a canvas should become, and how far it is from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.losses import content_loss, style_layer_loss, total_loss, total_variation, weighted_sum
from impasto.moments import gram
from impasto.optimizers import Evaluation
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


def mean_grams(features: Mapping[str, Tensor], layers: Iterable[str]) -> dict[str, Tensor]:
    """Each layer's Gram matrix divided by its number of positions, (1, c, h, w) -> (1, c, c)."""
    return {name: gram(features[name]) / features[name][0, 0].numel() for name in layers}


@torch.no_grad()
def measure_targets(
    engine: Engine,
    weighting: Weighting,
    content: Tensor,
    styles: Sequence[Tensor],
    shares: Sequence[float] = (),
) -> Targets:
    """The targets set by a photo and paintings, images (1, 3, h, w) in [0, 1] of any sizes.

    Several styles are blended by their mean Gram matrices: for shares s_i that sum to 1, Σ s_i |G − A_i|² and
    |G − Σ s_i A_i|² differ by a constant, so the gradient is that of the weighted sum of losses.
    """
    shares = shares or [1.0] * len(styles)
    blend: dict[str, Tensor] = {}
    for share, style in zip(shares, styles, strict=True):
        for name, matrix in mean_grams(engine.features(style, weighting.style), weighting.style).items():
            part = matrix * (share / sum(shares))
            blend[name] = blend[name] + part if name in blend else part
    photo = engine.features(content, weighting.layers)
    return Targets(
        content={name: photo[name] for name in weighting.content},
        style=blend,
        start=mean_grams(photo, weighting.style),
        start_variation=total_variation(content).item(),
    )


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
    """α L_content + β L_style (+ total variation) of a canvas, and its gradient to the pixels."""

    def __init__(self, engine: Engine, weighting: Weighting, targets: Targets) -> None:
        self.engine = engine
        self.weighting = weighting
        self.targets = targets

    def reweighted(self, weighting: Weighting) -> Objective:
        """The same targets under other weights, for layers that the targets have: steering costs nothing."""
        return Objective(self.engine, weighting, self.targets)

    def score(self, canvas: Tensor) -> Score:
        """The loss of a canvas (1, 3, h, w) in [0, 1], differentiable to its pixels."""
        w = self.weighting
        features = self.engine.features(canvas, w.layers)
        content = [content_loss(features[name], self.targets.content[name]) for name in w.content]
        style = [self._style_loss(name, features[name]) for name in w.style]
        smoothness = total_variation(canvas) if w.tv else torch.zeros_like(canvas[0, 0, 0, 0])
        total = total_loss(
            weighted_sum(content, list(w.content.values())),
            weighted_sum(style, list(w.style.values())),
            w.alpha,
            w.beta,
        )
        parts = {
            **{
                f"content/{name}": w.alpha * w.content[name] * loss
                for name, loss in zip(w.content, content, strict=True)
            },
            **{f"style/{name}": w.beta * w.style[name] * loss for name, loss in zip(w.style, style, strict=True)},
        }
        if w.tv:
            parts["tv"] = w.tv * smoothness
        return Score(total + w.tv * smoothness, parts)

    def evaluate(self, canvas: Tensor) -> Evaluation:
        """The loss, its parts and its gradient at a canvas."""
        leaf = canvas.detach().requires_grad_()
        score = self.score(leaf)
        (gradient,) = torch.autograd.grad(score.total, leaf)
        return Evaluation(score.total.item(), {name: part.item() for name, part in score.parts.items()}, gradient)

    def _style_loss(self, name: str, features: Tensor) -> Tensor:
        return style_layer_loss(gram(features), self.targets.style[name], m=features[0, 0].numel(), m_style=1)
