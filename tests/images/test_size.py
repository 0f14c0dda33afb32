from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.images.size import enlarge, fit, resize


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_fit_keeps_the_aspect_and_meets_the_longest_side(height, width, longest):
    h, w = fit((height, width), longest)
    assert max(h, w) == longest
    assert min(h, w) >= 1
    scale = longest / max(height, width)
    assert abs(h - height * scale) <= 0.5 or h == 1
    assert abs(w - width * scale) <= 0.5 or w == 1


def test_resize_is_antialiased_clamped_and_free_where_it_fits():
    checks = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float().expand(1, 3, 64, 64)
    assert resize(checks, (64, 64)) is checks
    assert (resize(checks, (8, 8)) - 0.5).abs().max() < 0.02  # nearest or plain bicubic would give 0 or 1
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    larger = resize(edge, (30, 31))
    assert larger.shape == (1, 1, 30, 31)
    assert (larger.min(), larger.max()) == (0, 1)


def test_enlarging_is_lanczos_interpolation_written_out_with_the_border_going_on():
    pixels = torch.rand(1, 1, 3, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 2 + 0.25
    found = enlarge(pixels, (3, 15))
    row = pixels[0, 0, 1].tolist()
    for place in range(15):
        at, total, weights = (place + 0.5) * 9 / 15 - 0.5, 0.0, 0.0
        for k in range(-9, 18):
            if 0 < abs(at - k) < 4:
                weight = 4 * math.sin(math.pi * (at - k)) * math.sin(math.pi * (at - k) / 4) / (math.pi * (at - k)) ** 2
            else:
                weight = float(at == k)
            total, weights = total + weight * row[min(max(k, 0), 8)], weights + weight
        assert found[0, 0, 1, place].item() == pytest.approx(total / weights, abs=1e-12)


def test_an_enlarged_canvas_shows_no_lattice_of_the_coarser_ones_pixels():
    noise = 0.5 + 0.2 * torch.randn(1, 3, 97, 97, generator=torch.Generator().manual_seed(0))
    strokes = torch.nn.functional.avg_pool2d(noise, 2, stride=1)  # of more than a pixel, as painted ones are

    def lattice(image: torch.Tensor) -> float:
        """Differences between the copies of two pixels by those within the copies of one, each way."""
        ratios = []
        for along in (2, 3):
            differences = image.diff(dim=along).abs().mean(dim=(0, 1, 5 - along))
            ratios.append((differences[1::2].mean() / differences[::2].mean()).item())
        return sum(ratios) / 2

    assert lattice(enlarge(strokes, (192, 192))) == pytest.approx(1, abs=0.05)
    assert lattice(resize(strokes, (192, 192))) > 1.3  # bicubic


def test_what_is_enlarged_stays_a_picture_and_is_free_where_it_fits():
    edge = torch.zeros(1, 1, 8, 8)
    edge[..., 4:] = 1
    assert enlarge(edge, (8, 8)) is edge
    larger = enlarge(edge, (16, 31))
    assert larger.shape == (1, 1, 16, 31)
    assert (larger.min(), larger.max()) == (0, 1)
    torch.testing.assert_close(enlarge(torch.full((1, 1, 5, 7), 0.3), (9, 14)), torch.full((1, 1, 9, 14), 0.3))
