"""At which size of the painting its forms are as large as the photo's."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F

from impasto.images.reading import load
from impasto.network.engines.choice import make_engine
from impasto.network.weights import load as load_weights
from impasto.objective import style_scale
from impasto.settings.settings import Settings
from impasto.swatches import catalogue as swatches


@cache
def engine():
    return make_engine(Settings(device="cpu"), load_weights())


@pytest.fixture(scope="module")
def content() -> torch.Tensor:
    return load(swatches.paint("mosaic", (256, 256))).pixels


@pytest.mark.slow
def test_auto_finds_the_size_at_which_a_paintings_forms_are_as_large_as_the_contents(content, monkeypatch):
    monkeypatch.setattr(style_scale, "LONGEST", 64)  # quick

    def found(*styles: torch.Tensor, shares: tuple[float, ...] = ()) -> float:
        return style_scale.nearest_style_scale(engine(), content, styles, shares)

    part = content[..., 64:192, 64:192]  # filling the canvas, its forms would be twice as large
    small = F.interpolate(content, scale_factor=0.5, mode="area").repeat(1, 1, 2, 2)
    assert found(part) < 1 == found(content)
    assert found(part, small, shares=(1.0, 0.0)) < 1 < found(part, small, shares=(0.0, 3.0))


def test_auto_does_not_blow_up_a_painting_that_has_few_pixels(monkeypatch):
    monkeypatch.setattr(style_scale, "LONGEST", 64)
    fog = F.interpolate(torch.rand((1, 3, 4, 4), generator=torch.Generator().manual_seed(0)), (64, 64), mode="bicubic")
    small = load(swatches.paint("mosaic", (256, 256))).pixels[..., 100:116, 100:116]
    blurred = F.interpolate(small, (256, 256), mode="bicubic").clamp(0, 1)  # the same, in a file with many pixels
    assert style_scale.nearest_style_scale(engine(), fog.clamp(0, 1), [blurred]) > 0.5
    assert style_scale.nearest_style_scale(engine(), fog.clamp(0, 1), [small]) == 0.5
