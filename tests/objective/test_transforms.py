"""What lies between a canvas and the image for the network is resized once a scale, not once an evaluation."""

from collections import Counter

import pytest
import torch

from helpers import PlannedRun, smooth_image, tiny_weights
from impasto.network.vgg import VGG19
from impasto.objective import colour_mode, regions, transforms
from impasto.run.events import EpochDone, Stepped
from impasto.settings.settings import Settings

CONTENT, STYLE = smooth_image(96, 128, seed=1, dtype=torch.float32), smooth_image(70, 50, seed=2, dtype=torch.float32)
LEFT = torch.zeros(1, 1, 48, 64)
LEFT[..., :32] = 1


@pytest.fixture
def resized(monkeypatch) -> Counter[str]:
    """Counts what is resized, by what it is."""
    counts: Counter[str] = Counter()

    def count(module, name: str, what: str) -> None:
        real = getattr(module, name)

        def counting(image, *given, **named):
            counts[what] += 1
            return real(image, *given, **named)

        monkeypatch.setattr(module, name, counting)

    count(transforms, "resized_mask", "masks")
    count(transforms, "resize", "content")
    count(colour_mode, "resize", "chroma")
    count(colour_mode.colour, "grey", "greys")
    return counts


def run(steps: int, masks, **changes) -> None:
    knobs = {"size": 64, "scales": 1, "epochs": 1, "steps_per_epoch": steps, "device": "cpu", **changes}
    engine = VGG19(tiny_weights(dtype=torch.float32))
    job = PlannedRun(Settings(**knobs), engine, CONTENT, [STYLE] * len(masks), masks=masks)
    for event in job.events():
        if isinstance(event, Stepped | EpochDone) and callable(event.picture):
            event.picture()


@pytest.mark.parametrize("color", ["style", "keep"])
def test_masks_content_and_greys_are_resized_as_often_for_many_evaluations_as_for_few(resized, color):
    masks = [LEFT * 0.5, (1 - LEFT) * 0.5]  # the content shows through both
    run(2, masks, color=color)
    few = dict(resized)
    resized.clear()
    run(12, masks, color=color)
    assert resized == few
    assert resized["masks"] == 2


def test_a_transform_of_another_scale_is_another_one():
    chosen = Settings(size=64, scales=2, device="cpu")
    problem = PlannedRun(chosen, VGG19(tiny_weights(dtype=torch.float32)), CONTENT, [STYLE], masks=[LEFT]).problem
    fine, coarse = problem.transform((48, 64)), problem.transform((24, 32))
    assert [tuple(of.masks[0].shape[-2:]) for of in (fine, coarse)] == [(48, 64), (24, 32)]
    assert problem.transform((24, 32)) is coarse
    canvas = torch.zeros(1, 3, 24, 32)
    shown = coarse.picture(canvas)
    assert shown[..., :14].abs().max() == 0
    assert (shown[..., 18:] > 0).any()


def test_where_regions_overlap_the_canvas_shows_as_it_is():
    masks = [LEFT, LEFT.roll(-8, 3)]
    chosen = Settings(size=64, scales=1, device="cpu")
    engine = VGG19(tiny_weights(dtype=torch.float32))
    problem = PlannedRun(chosen, engine, CONTENT, [STYLE, STYLE], masks=masks).problem
    canvas = torch.full((1, 3, 48, 64), 0.3)
    shown = problem.transform((48, 64)).picture(canvas)
    assert torch.equal(shown[..., :24], canvas[..., :24])


def test_regions_module_resizes_nothing_that_fits():
    assert regions.resized_mask(LEFT, (48, 64)) is LEFT
