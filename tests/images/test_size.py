from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.images.size import fit, resize


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
