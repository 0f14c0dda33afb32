"""How large a style is measured, for a canvas of some size."""

import pytest
import torch

from helpers import smooth_image
from impasto.images.size import resize
from impasto.objective.inputs import style_at
from impasto.settings.settings import Settings
from impasto.storage.scratch import MEMORY

STYLE = smooth_image(60, 40)


def sized(size: tuple[int, int], style: torch.Tensor = STYLE, **knobs) -> torch.Tensor:
    return style_at(size, style, Settings(**knobs), MEMORY)


def test_a_style_keeps_its_size_relative_to_the_canvas():
    assert sized((48, 36)).shape == (1, 3, 48, 32)
    assert sized((48, 36), style_scale=0.5).shape == (1, 3, 24, 16)


@pytest.mark.parametrize(
    ("loss", "whole"), [("gram", True), ("w2", True), ("swd", False), ("remd", True), ("histogram", False)]
)
def test_of_a_style_larger_than_the_canvas_losses_that_do_not_add_up_see_the_middle(loss, whole):
    larger = resize(STYLE, (96, 64), MEMORY)
    found = sized((48, 36), style_scale=2.0, style_loss=loss)
    assert torch.equal(found, larger if whole else larger[..., 24:72, 8:56])


def test_no_style_is_made_too_small_for_its_layers():
    assert sized((48, 36), style_scale=0.25, style_layers=("relu5_1",)).shape == (1, 3, 24, 16)
    assert sized((23, 23), STYLE[..., :38], style_layers=("relu5_1",)).shape == (1, 3, 26, 16)


def test_one_that_is_just_large_enough_is_left_as_it_is():
    style = smooth_image(50, 37)
    assert sized((21, 21), style, style_layers=("relu5_1",)).shape == (1, 3, 21, 16)
