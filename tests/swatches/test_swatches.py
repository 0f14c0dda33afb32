from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from PIL import Image

from impasto.errors import SettingsError
from impasto.swatches import catalogue as swatches
from impasto.swatches.registry import SWATCHES

A_FEW = [
    name if name in ("flow", "dots", "gold", "knife") else pytest.param(name, marks=pytest.mark.slow)
    for name in swatches.names()
]
"""All of them, of which the fast tier takes a few."""


@functools.cache
def painted(name):
    """A swatch at 192×192, which is painted once."""
    return swatches.paint(name, (192, 192))


def grey(picture):
    return picture.astype(float).mean(-1) / 255


def shrunk(picture, side):
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX))


def fingerprint(picture):
    """Share of each of 64 colours, and of gradient energy by direction and scale: what a style is made of."""
    bins = (picture // 64).reshape(-1, 3).astype(int) @ (16, 4, 1)
    colour = np.bincount(bins, minlength=64) / bins.size
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(grey(picture) - grey(picture).mean()))) ** 2
    side = len(spectrum)
    y, x = np.mgrid[:side, :side] - side // 2
    octave = np.log2(np.hypot(x, y) + 1).astype(int)
    sector = (np.mod(np.arctan2(y, x), np.pi) / np.pi * 6).astype(int) % 6
    energy = np.bincount((octave * 6 + sector).ravel(), weights=np.log1p(spectrum).ravel())
    return colour, energy / energy.sum()


def test_there_are_at_least_eight_and_each_says_what_it_shows():
    assert len(swatches.names()) >= 8
    for name, swatch in SWATCHES.items():
        assert name == swatch.name == name.lower()
        assert swatch.title.endswith(".")


@pytest.mark.parametrize("name", A_FEW)
def test_the_same_bytes_every_time(name):
    assert painted(name).dtype == np.uint8
    assert swatches.paint(name, (192, 192)).tobytes() == painted(name).tobytes()


@pytest.mark.thin(3)
@pytest.mark.parametrize(("name", "size"), [("knife", (33, 47)), ("gold", (1, 5)), ("dots", (90, 16))])
def test_odd_and_extreme_sizes(name, size):
    assert swatches.paint(name, size).shape == (size[1], size[0], 3)


def test_a_huge_one_is_painted_smaller_and_enlarged(monkeypatch):
    monkeypatch.setattr(swatches, "MOST_PAINTED", 10_000)
    assert swatches.paint("flow", (1600, 1536)).shape == (1536, 1600, 3)


@pytest.mark.parametrize("name", swatches.names())
def test_lights_and_darks_and_texture_at_every_scale(name):
    picture = grey(painted(name))
    low, high = np.percentile(picture, (2, 98))
    assert low < 0.32
    assert high > 0.62
    for step in (1, 2, 4, 8, 16):
        coarse = picture[: 192 // step * step, : 192 // step * step]
        coarse = coarse.reshape(192 // step, step, 192 // step, step).mean((1, 3))
        assert np.abs(np.diff(coarse, axis=0)).mean() > 0.015, step
        assert np.abs(np.diff(coarse, axis=1)).mean() > 0.015, step


def test_no_two_are_alike():
    prints = {name: fingerprint(painted(name)) for name in swatches.names()}
    for (one, (colour, energy)), (two, (other_colour, other_energy)) in itertools.combinations(prints.items(), 2):
        apart = np.abs(colour - other_colour).sum() / 2 + np.abs(energy - other_energy).sum() / 2
        assert apart > 0.25, (one, two)


@pytest.mark.parametrize("name", A_FEW)
def test_the_same_composition_at_another_size(name):
    large = swatches.paint(name, (300, 300))
    alike = np.corrcoef(grey(shrunk(large, 96)).ravel(), grey(shrunk(painted(name), 96)).ravel())[0, 1]
    assert alike > 0.9


def test_a_wrong_name_suggests_the_near_one():
    with pytest.raises(SettingsError, match="did you mean 'mosaic'"):
        swatches.paint("mosiac")
    with pytest.raises(SettingsError, match="choose from flow"):
        swatches.paint("xyzzy")


@pytest.mark.parametrize("size", [(0, 16), (16, -1), (16, 100_000)])
def test_a_size_that_cannot_be_painted_is_refused(size):
    with pytest.raises(SettingsError, match="use sides from 1 to"):
        swatches.paint("flow", size)


def test_sheet_holds_every_swatch(monkeypatch):
    seen = []
    monkeypatch.setattr(swatches, "paint", lambda name, size: seen.append(name) or np.zeros((*size, 3), np.uint8))
    page = swatches.sheet(64)
    assert page.dtype == np.uint8
    assert seen == list(swatches.names())
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 3  # paper, pictures and lettering
