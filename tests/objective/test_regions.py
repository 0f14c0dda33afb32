"""Masks taken down to a layer."""

import pytest
import torch

from impasto.network.tiles import halo
from impasto.objective.regions import guide

SIZE = (64, 80)


def rectangle(top: int, left: int, bottom: int, right: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., top:bottom, left:right] = 1
    return mask


def test_a_position_has_the_mean_of_the_pixels_behind_it():
    mask = torch.rand((1, 1, *SIZE), generator=torch.Generator().manual_seed(0))
    by_hand = mask[0, 0].reshape(16, 4, 20, 4).mean(dim=(1, 3))
    torch.testing.assert_close(guide(mask, "relu3_1", SIZE)[0, 0], by_hand)
    torch.testing.assert_close(guide(mask, "relu1_2", SIZE), mask)


@pytest.mark.parametrize("layer", ["relu1_2", "relu2_1"])
def test_an_eroded_mask_is_smaller_by_what_a_position_depends_on_and_no_more(layer):
    reach, step = halo([layer]), {"relu1_2": 1, "relu2_1": 2}[layer]
    within = rectangle(8 + reach, 20 + reach, 40 - reach, 64 - reach)
    eroded = guide(rectangle(8, 20, 40, 64), layer, SIZE, erode=True)
    assert torch.equal(eroded, within[..., ::step, ::step])


def test_a_mask_of_which_erosion_would_leave_nothing_stays():
    narrow = rectangle(8, 20, 11, 64)
    assert torch.equal(guide(narrow, "relu1_2", SIZE, erode=True), narrow)
