"""What a run asks of its canvas at one size: the targets, the objective, and the photo's detail that it gets back."""

from __future__ import annotations

import math

from torch import Tensor

from impasto.images.size import fit, resize, size_of
from impasto.network.engine import Engine
from impasto.network.layers import smallest_side
from impasto.objective.inputs import Scene
from impasto.objective.objective import Objective
from impasto.objective.targets import Manner, Targets, measure_targets, normalized
from impasto.objective.weighting import balance, way
from impasto.settings.choices import ObjectiveName
from impasto.settings.settings import Settings


def targets_at(size: tuple[int, int], scene: Scene, settings: Settings, network: Engine) -> Targets:
    """What the photo and the paintings ask for at (h, w) pixels."""
    s, plan, scratch, device = settings, scene.plan, scene.scratch, network.device
    manner = Manner(
        s.style_loss,
        s.content_loss,
        scene.masks_at(size),
        [None if mask is None else mask.to(device) for mask in scene.style_masks],
        s.mask_erosion,
        s.seed,
    )
    return measure_targets(
        network,
        balance(s, size, plan.size),
        resize(scene.photo, size, scratch).to(device),
        (painting_at(size, painting, scene, s).to(device) for painting in scene.paintings),
        s.style_weights or [1.0] * len(scene.paintings),
        manner=manner,
        tile=plan.tile or (max(size) if s.style_scale > 1 and s.style_loss.additive else None),
        scratch=scratch,
    )


def painting_at(size: tuple[int, int], painting: Tensor, scene: Scene, settings: Settings) -> Tensor:
    """A painting for a canvas of (h, w) pixels: strokes keep their size relative to the picture.

    One that is larger than the canvas is seen in tiles, or, by losses that can't be, as far as its middle. None is
    made so small that a layer wouldn't see it.
    """
    whole, full = max(size), size_of(painting)
    longest = max(1, round(settings.style_scale * whole))
    least = smallest_side(settings.style_layers or ["relu1_1"])
    if min(fit(full, longest)) < least:
        longest = math.ceil(least * max(full) / min(full))
    resized = resize(painting, fit(full, longest), scene.scratch)
    if longest <= whole or settings.style_loss.additive:
        return resized
    h, w = resized.shape[-2:]
    top, left = max(0, (h - whole) // 2), max(0, (w - whole) // 2)
    return resized[..., top : top + whole, left : left + whole]


def objective_at(
    size: tuple[int, int], scene: Scene, settings: Settings, network: Engine, targets: Targets
) -> Objective:
    """How far a canvas of (h, w) pixels is from its targets, by the settings' weights."""
    weighting = balance(settings, size, scene.plan.size)
    if settings.objective is ObjectiveName.NORMALIZED:
        weighting = normalized(weighting, targets, scene.scratch)
    return Objective(network, weighting, targets, tile=scene.plan.tile, spare=scene.plan.spare, scratch=scene.scratch)


def detail_at(size: tuple[int, int], scene: Scene, settings: Settings, canvas: Tensor) -> Tensor | None:
    """What a photo shows at (h, w) pixels and not at the canvas's size, as much of it as `Settings.detail` says.

    With all of it, a canvas that is the photo stays the photo: the step up in a Laplacian pyramid (Burt & Adelson
    1983). 'auto' is what the strength leaves of the photo; nothing where the run doesn't start from it.
    """
    share = settings.detail
    if share == "auto":
        from_photo = settings.objective is ObjectiveName.NORMALIZED and settings.init == "content"
        share = 1 - way(settings.strength) if from_photo else 0.0
    if not share:
        return None
    fine, coarse = (resize(scene.photo, at, scene.scratch) for at in (size, size_of(canvas)))
    detail = scene.scratch.map(lambda f, c: share * (f - c), fine, resize(coarse, size, scene.scratch))
    return scene.colours.canvas_of_detail(detail).to(canvas)
