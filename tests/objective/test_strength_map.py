"""A strength map: grey is the share of `strength` at a place, whatever the losses, regions, colours and tiles are."""

import functools

import pytest
import torch
from torch import Tensor

from helpers import PlannedRun, smooth_image, tiny_weights
from impasto.images.size import resize
from impasto.network.vgg import VGG19
from impasto.objective.local_weights import local_weights
from impasto.run.events import Finished
from impasto.settings.choices import ContentLossName, Padding, StyleLossName
from impasto.settings.schedule import ScheduledChange
from impasto.settings.settings import Settings

SIZE = (48, 64)
CONTENT, STYLE = smooth_image(*SIZE, seed=1, dtype=torch.float32), smooth_image(70, 50, seed=2, dtype=torch.float32)
CANVAS = smooth_image(*SIZE, seed=3, dtype=torch.float32)
RAMP = torch.linspace(0, 1, 32).expand(1, 1, 24, 32)
LEFT = torch.zeros(1, 1, 6, 8)
LEFT[..., :4] = 1
GREY = torch.full((1, 1, 5, 7), 0.5)


def settings(**changes) -> Settings:
    return Settings(**{"size": 64, "epochs": 4, "steps_per_epoch": 3, "scales": 2, "device": "cpu", **changes})


def run(strength_map: Tensor | None, schedule=(), styles=(STYLE,), masks=(), measured=None, **changes) -> PlannedRun:
    network = VGG19(tiny_weights(dtype=torch.float32), padding=Padding.REPLICATE)
    knobs = settings(**changes)
    return PlannedRun(
        knobs, network, CONTENT, styles, masks=masks, schedule=schedule, measured=measured, strength_map=strength_map
    )


def painted(strength_map: Tensor | None, **changes) -> Tensor:
    *_, last = run(strength_map, **changes).events()
    assert isinstance(last, Finished)
    return last.picture


@functools.cache
def usual() -> Tensor:
    return painted(None)


def evaluated(planned: PlannedRun, start: Tensor | None = None):
    """Loss, parts and gradient of a canvas at the last scale."""
    scale = planned.problem.at(SIZE, start)
    return scale.transform.wrap(scale.objective.evaluate)(CANVAS)


def away(picture: Tensor) -> Tensor:
    """How far a picture is from the photo, column by column."""
    return (picture - resize(CONTENT, SIZE)).abs().mean(dim=(0, 1, 2))


def test_a_white_map_is_none_to_the_bit():
    assert torch.equal(painted(torch.ones(1, 1, 9, 5)), usual())


@pytest.mark.parametrize("content_loss", ContentLossName)
@pytest.mark.parametrize("style_loss", StyleLossName)
def test_an_even_grey_is_that_share_of_the_strength(style_loss, content_loss):
    """Loss, parts and gradient are those of the strength, but for rounding; a neighbour is sought anew too."""
    knobs = {"style_loss": style_loss, "content_loss": content_loss}
    grey = evaluated(run(GREY, strength=0.8, **knobs), CANVAS)
    share = evaluated(run(None, strength=0.4, **knobs), CANVAS)
    assert grey.parts == pytest.approx(share.parts, rel=1e-4)
    assert (grey.gradient - share.gradient).norm() < 1e-3 * share.gradient.norm()


def test_the_details_given_back_are_those_of_the_strength_at_each_place():
    coarse = resize(CANVAS, (24, 32))
    grey = run(GREY, strength=0.8).problem.enlarged(coarse, SIZE)
    torch.testing.assert_close(grey, run(None, strength=0.4).problem.enlarged(coarse, SIZE))


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"init": "noise"},
        {"color": "keep"},
        {"color": "match"},
        {"size": 96, "tile": 64},
        {"optimizer": "adam"},
        {"tv_weight": 1.0},
        *({"style_loss": name} for name in StyleLossName),
        {"content_loss": "self-similarity"},
        {"styles": (STYLE, STYLE.flip(1))},
        {"styles": (STYLE, STYLE.flip(1)), "masks": (LEFT.flip(2).mT.contiguous(), 1 - LEFT.flip(2).mT)},
    ],
    ids=lambda change: ", ".join(change) if "style_loss" not in change else str(change["style_loss"]),
)
def test_where_the_map_is_black_the_photo_stays_to_the_bit_and_elsewhere_it_is_painted(change):
    picture = painted(LEFT, **change)
    content = resize(CONTENT, (picture.shape[-2], picture.shape[-1]))
    half, edge = picture.shape[-1] // 2, picture.shape[-1] // 8
    kept = (picture - content)[..., half + edge :].abs().max()
    assert kept == 0 if change.get("color") != "keep" else kept < 1e-5
    assert (picture - content)[..., :half].abs().mean() > 0.01


def test_a_map_that_is_black_in_a_whole_region_leaves_the_photo_there():
    picture = painted(LEFT, styles=(STYLE, STYLE.flip(1)), masks=(LEFT, 1 - LEFT))
    assert torch.equal(picture[..., 40:], CONTENT[..., 40:])
    assert (picture - CONTENT)[..., :32].abs().mean() > 0.01


@pytest.mark.parametrize(
    ("style_loss", "epochs"), [("w2", 8), ("nnst", 16), pytest.param("remd", 10, marks=pytest.mark.slow)]
)
def test_a_ramp_takes_the_photo_further_behind_the_whiter_it_is(style_loss, epochs):
    """Relative to what the full strength does there, in quarters of the picture."""
    share = [
        (ours / all_of_it).item()
        for ours, all_of_it in zip(
            away(painted(RAMP, style_loss=style_loss, epochs=epochs)).view(4, -1).mean(dim=1),
            away(painted(None, style_loss=style_loss, epochs=epochs)).view(4, -1).mean(dim=1),
            strict=True,
        )
    ]
    assert share == sorted(share)
    assert share[0] < 0.5 < share[3]


@pytest.mark.parametrize("style_loss", [name for name in StyleLossName if name.additive])
def test_a_tiled_step_with_a_map_is_the_whole_pictures(style_loss):
    found = []
    for tile in (64, 0):
        scale = run(RAMP, style_loss=style_loss, tile=tile, size=96, tv_weight=1.0).problem.at((72, 96))
        found.append(scale.objective.evaluate(resize(CANVAS, (72, 96))))
    tiled, whole = found
    assert tiled.parts == pytest.approx(whole.parts, rel=1e-4)
    assert (tiled.gradient - whole.gradient).abs().max() < 1e-4 * whole.gradient.abs().max()


def test_the_gradient_is_the_derivative_of_the_weighted_losses():
    planned = run(RAMP, tv_weight=1.0)
    objective = planned.problem.at(SIZE).objective
    canvas = CANVAS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective.score(canvas).total, canvas)
    torch.testing.assert_close(objective.evaluate(CANVAS).gradient, gradient, rtol=1e-3, atol=1e-6)


def test_a_strength_that_changes_on_the_way_is_shared_out_by_the_map_too():
    changed = run(RAMP, strength=0.9)
    changed.problem.at(SIZE)
    changed.problem.change(settings(strength=0.4))
    anew = evaluated(run(RAMP, strength=0.4))
    assert evaluated(changed).parts == anew.parts
    events = run(RAMP, schedule=[ScheduledChange(3, {"strength": 0.9})]).events()
    assert isinstance([*events][-1], Finished)


def test_jobs_that_share_what_was_measured_have_each_their_own_strength():
    measured = {}
    first, second = (evaluated(run(RAMP, strength=s, measured=measured)) for s in (0.9, 0.4))
    assert second.parts == evaluated(run(RAMP, strength=0.4)).parts != first.parts


def test_what_counts_of_a_region_is_its_effective_size():
    half = local_weights(torch.tensor([0.0, 0.0, 1.0, 1.0]).view(1, 1, 2, 2), 0.5)
    assert half.of_region(None) == pytest.approx((0.5, 1.0))
    assert half.of_region(torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 2, 2)) == (0.0, 1.0)
    grey = local_weights(torch.full((1, 1, 3, 3), 0.25), 0.8)
    assert grey.of_region(None) == pytest.approx((1.0, (1 - 0.8**4) / (1 - 0.2**4)))
