import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from impasto.errors import SettingsError
from impasto.losses.hypercolumns import cells, hypercolumns, jittered_grid, places_within, sample, sample_mixture


def features(channels: int = 3, height: int = 6, width: int = 9, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, channels, height, width), generator=generator, dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_sample_is_bilinear_in_numpy():
    f, at = features(), torch.tensor([[0.0, 0.0], [2.25, 7.5], [5.0, 8.0], [4.5, 3.0]])
    found = sample(f, at)
    for row, (y, x) in zip(found.numpy(), at.numpy(), strict=True):
        i, j = int(y), int(x)
        below, beside = min(i + 1, 5), min(j + 1, 8)
        v, u = y - i, x - j
        g = f.numpy()[0]
        expected = (1 - v) * ((1 - u) * g[:, i, j] + u * g[:, i, beside]) + v * (
            (1 - u) * g[:, below, j] + u * g[:, below, beside]
        )
        np.testing.assert_allclose(row, expected, rtol=1e-6)


def test_samples_of_tiles_sum_to_the_whole_images():
    f, at = features(), cells(jittered_grid(40, (6, 9), seeded()), (6, 9))
    tiles = [
        (slice(0, 4), slice(0, 5)),
        (slice(0, 4), slice(5, 9)),
        (slice(4, 6), slice(0, 5)),
        (slice(4, 6), slice(5, 9)),
    ]
    parts = [sample(f[:, :, rows, columns], at - torch.tensor([rows.start, columns.start])) for rows, columns in tiles]
    torch.testing.assert_close(torch.stack(parts).sum(dim=0), sample(f, at), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_samples_equals_finite_differences():
    at = torch.tensor([[0.0, 0.0], [2.25, 7.5], [5.0, 8.0], [-0.5, 3.0], [5.5, 8.7]])
    pull = features(channels=5, height=1, width=3)[0, :, 0]
    assert gradcheck(lambda f: (sample(f, at) * pull).sum(), features().requires_grad_())


def test_all_layers_are_looked_at_in_the_same_place():
    """An image whose value is its place, in two layers of which one is pooled to a quarter of the side."""
    rows = (torch.arange(32, dtype=torch.float64) + 0.5) / 32
    fine = torch.stack(torch.meshgrid(rows, rows, indexing="ij"))[None]
    coarse = torch.nn.functional.avg_pool2d(fine, 4)
    places = 0.125 + 0.75 * torch.rand((50, 2), generator=seeded())
    for found in hypercolumns([fine, coarse], places):
        torch.testing.assert_close(found, places.double(), rtol=1e-5, atol=1e-6)


def test_places_at_the_border_see_the_outermost_features():
    f = features()
    found = sample(f, cells(torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), (6, 9)))
    expected = torch.stack([f[0, :, 0, 0], f[0, :, -1, -1], f[0, :, 0, -1]])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("count", "size"), [(1024, (384, 512)), (100, (64, 64)), (7, (1000, 10)), (1, (5, 5))])
def test_a_jittered_grid_has_one_place_in_every_square(count, size):
    places = jittered_grid(count, size, seeded())
    assert abs(len(places) - count) <= max(size) / min(size) * count**0.5
    assert places.min() >= 0
    assert places.max() < 1
    down = min(count, max(1, round((count * size[0] / size[1]) ** 0.5)))
    across = len(places) // down
    squares = {(int(y * down), int(x * across)) for y, x in places.tolist()}
    assert len(squares) == len(places)
    assert len(places[:, 0].unique()) > 0.9 * len(places)  # jittered, not on lines


def test_the_generator_decides_where():
    for draw in (lambda g: jittered_grid(50, (9, 9), g), lambda g: places_within(torch.ones(1, 1, 9, 9), 50, g)):
        torch.testing.assert_close(draw(seeded(1)), draw(seeded(1)))
        assert (draw(seeded(1)) != draw(seeded(2))).any()


def test_places_within_a_mask_are_where_it_is_white_and_half_as_dense_where_it_is_grey():
    mask = torch.zeros(1, 1, 40, 60)
    mask[..., 5:25, 10:30] = 1
    mask[..., 5:25, 40:60] = 0.5
    places = places_within(mask, 600, seeded())
    row, column = (places * torch.tensor([40, 60])).long().unbind(dim=1)
    assert (mask[0, 0, row, column] > 0).all()
    assert (mask[0, 0, row, column] == 1).sum().item() == pytest.approx(400, abs=15)
    # Spread out: every 5×5 block of the white square has about its share of 25.
    white = places[mask[0, 0, row, column] == 1] * torch.tensor([40, 60]) - torch.tensor([5, 10])
    blocks = torch.histogramdd(white, bins=[4, 4], range=[0, 20, 0, 20]).hist
    assert blocks.min() >= 15
    assert blocks.max() <= 35


@pytest.mark.parametrize(("size", "count"), [((64, 64), 256), ((24, 64), 96)])
def test_places_within_a_white_mask_are_one_in_each_square(size, count):
    places = places_within(torch.ones(1, 1, *size), count, seeded())
    squares = (places * torch.tensor(size) / 4).long()
    assert len(squares.unique(dim=0)) == len(squares) == count


def test_more_places_than_white_pixels_share_them():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 3, 4] = 1
    places = places_within(mask, 20, seeded())
    assert ((places * 8).long() == torch.tensor([3, 4])).all()
    assert len(places.unique(dim=0)) == 20


def test_a_black_mask_is_refused():
    with pytest.raises(SettingsError, match="black all over"):
        places_within(torch.zeros(1, 1, 8, 8), 20, seeded())


def test_mixed_rows_are_in_the_shares_asked_for():
    a, b = torch.zeros(100, 3), torch.ones(40, 3)
    assert sample_mixture([a, b], [1, 1]).mean() == pytest.approx(0.5)
    assert sample_mixture([a, b], [0.75, 0.25]).mean() == pytest.approx(0.25, abs=0.01)
    torch.testing.assert_close(sample_mixture([a, b], [0, 5]), b)
    assert len(sample_mixture([a, b], [1, 1])) == 80
    assert sample_mixture([a, b], [1, 1e-9]).sum() == 3
