"""Nearest neighbours: where columns are, what is matched with what, and what a place is pulled towards."""

import numpy as np
import pytest
import torch

from helpers import objective_of, smooth_image
from impasto.network.layers import feature_size, poolings_before
from impasto.objective import neighbours
from impasto.objective.neighbours import Grid, Neighbours, bytes_of_columns, extract_columns
from impasto.objective.targets import Comparison, measure_targets
from impasto.objective.weights import LossWeights
from impasto.settings.choices import StyleLossName

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
CONTENT, STYLE, OTHER = smooth_image(45, 66, seed=1), smooth_image(64, 50, seed=2), 1 - smooth_image(40, 40, seed=3)
LEFT = torch.zeros(1, 1, 45, 66, dtype=torch.float64)
LEFT[..., :32] = 1


def measured(engine, styles=(STYLE,), shares=(), layers=LAYERS, **compared) -> Neighbours:
    comparison = Comparison(layers, style_loss=StyleLossName.NNST, **compared)
    found = measure_targets(engine, comparison, CONTENT, styles, shares).neighbours
    assert found is not None
    return found


def whole_columns(engine, image) -> np.ndarray:
    """(h, w, d): what each layer shows in squares of 4 pixels, written out square by square."""
    features = {layer: f[0].numpy() for layer, f in engine.features(image, LAYERS).items()}
    h, w = (-(-length // 4) for length in image.shape[2:])
    squares = np.empty((h, w), dtype=object)
    for y in range(h):
        for x in range(w):
            parts = []
            for layer in LAYERS:
                k, (rows, columns) = poolings_before(layer), feature_size(layer, image.shape[2:])
                side = max(1, 4 >> k)
                top, left = (min(4 * at >> k, length - 1) for at, length in ((y, rows), (x, columns)))
                top, left = top // side * side, left // side * side
                parts.append(features[layer][:, top : top + side, left : left + side].mean(axis=(1, 2)))
            squares[y, x] = parts
    return squares


def test_columns_are_the_means_of_squares_of_four_pixels_in_tiles_too(tiny):
    expected = whole_columns(tiny, CONTENT)
    grid = Grid(LAYERS, (45, 66))
    places = grid.places()
    assert len(places) == expected.size == 12 * 17
    for tile in (None, 32):
        columns = extract_columns(tiny, CONTENT, LAYERS, tile=tile)
        for number, layer in enumerate(LAYERS):
            found = grid.rows(layer, columns, places).numpy()
            theirs = np.stack([parts[number] for parts in expected.flatten()])
            np.testing.assert_allclose(found, theirs, rtol=1e-9, atol=1e-12)
    assert sum(c.numel() for c in columns.values()) < bytes_of_columns(LAYERS, (45, 66)) / 4


def test_every_place_is_matched_with_the_column_of_the_painting_nearest_to_it_in_numpy(tiny):
    found = measured(tiny)
    (match,) = found.match()
    style, content = (whole_columns(tiny, image).flatten() for image in (STYLE, CONTENT))
    spread = [np.stack([parts[n] for parts in style]).var(axis=0).sum() ** 0.5 for n in range(len(LAYERS))]
    x, y = (
        np.stack([np.concatenate([part / s for part, s in zip(parts, spread, strict=True)]) for parts in columns])
        for columns in (content, style)
    )
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    similarity = (x / np.linalg.norm(x, axis=1)[:, None]) @ (y / np.linalg.norm(y, axis=1)[:, None]).T
    assert match.shape == (12, 17)
    assert (match.flatten().numpy() == similarity.argmax(axis=1)).all()


def test_a_canvas_is_matched_by_what_it_shows_and_by_the_content_as_far_as_that_is_mixed_in(tiny):
    found, canvas = measured(tiny), extract_columns(tiny, STYLE[..., :45, :].repeat(1, 1, 1, 2)[..., :66], LAYERS)
    (of_content,), (of_canvas,) = found.match(), found.match(canvas, 0.0)
    assert torch.equal(found.match(canvas, 1.0)[0], of_content)
    assert not torch.equal(of_canvas, of_content)
    alike = (of_canvas[:9, :9] == torch.arange(9)[:, None] * 13 + torch.arange(9)).double().mean()
    assert alike > 0.9  # a piece of the painting is matched with itself


def test_no_more_columns_of_a_painting_are_searched_than_there_may_be(tiny, monkeypatch):
    monkeypatch.setattr(neighbours, "MOST", 100)
    (region,) = measured(tiny).regions
    assert {len(rows) for rows in region.rows.values()} == {100}
    torch.testing.assert_close(region.rows["relu4_1"], measured(tiny).regions[0].rows["relu4_1"], rtol=0, atol=0)


def test_a_flat_style_is_what_it_shows_within_and_not_what_its_border_does(tiny):
    """Around their mean columns that are alike have no direction, and zeros beyond the border would be its motifs."""
    green = torch.tensor([0.1, 0.8, 0.2], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 128, 112)
    (region,) = measured(tiny, [green]).regions
    assert all(len(rows) == (32 - 16) * (28 - 16) for rows in region.rows.values())
    assert all(torch.allclose(rows, rows[:1]) for rows in region.rows.values())
    goal = objective_of(
        tiny, LossWeights(0, 1, {}, dict.fromkeys(LAYERS, 1.0)), CONTENT, [green], style_loss=StyleLossName.NNST
    )
    photo, painted = (goal.evaluate(canvas) for canvas in (CONTENT, 0 * CONTENT + green[..., :1, :1]))
    assert painted.loss < 0.7 * photo.loss
    assert painted.parts["style/relu1_1"] < 0.1 * photo.parts["style/relu1_1"]


def test_a_part_of_a_flat_style_at_its_border_is_searched_all_the_same(tiny):
    corner = torch.zeros(1, 1, 128, 112)
    corner[..., :16, :16] = 1
    (region,) = measured(tiny, [torch.full((1, 3, 128, 112), 0.3, dtype=torch.float64)], style_masks=[corner]).regions
    assert len(region.rows["relu1_1"]) == 16


def test_a_lively_style_is_searched_all_over_however_few_columns_dont_see_its_border(tiny):
    noise = torch.rand(1, 3, 68, 68, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (region,) = measured(tiny, [noise]).regions
    assert len(region.rows["relu1_1"]) == 17 * 17


@pytest.mark.parametrize(("shares", "part"), [((1.0, 1.0), 0.5), ((3.0, 1.0), 0.75), ((0.0, 1.0), 0.0)])
def test_of_several_paintings_each_has_its_share_of_the_places(tiny, shares, part):
    found = measured(tiny, (STYLE, OTHER), shares)
    (match,), first = found.match(), found.regions[0].counts[0]
    assert (match < first).double().mean().item() == pytest.approx(part, abs=0.01)


def test_each_region_is_matched_within_its_own_painting_and_its_white_part(tiny):
    where = torch.zeros(1, 1, 64, 50, dtype=torch.float64)
    where[..., :32, :] = 1
    one, other = measured(tiny, (STYLE, OTHER), masks=[LEFT, 1 - LEFT], style_masks=[where, None]).regions
    whole = measured(tiny).regions[0].rows["relu1_1"]
    torch.testing.assert_close(one.rows["relu1_1"], whole[: 8 * 13])
    assert other.counts == [100]


def test_a_place_outside_a_region_isnt_pulled_at_by_it(tiny):
    w = LossWeights(0.0, 1.0, {}, {"relu1_1": 1.0})
    goal = objective_of(tiny, w, CONTENT, [STYLE], normalized=True, style_loss=StyleLossName.NNST, masks=[LEFT])
    gradient = goal.evaluate(CONTENT).gradient
    assert gradient[..., 34:].abs().max() == 0
    assert gradient[..., :32].abs().amax(dim=1).min() > 0


def test_the_loss_is_the_mean_distance_to_the_targets_relative_to_the_contents_own_in_numpy(tiny):
    layer, canvas = "relu2_1", smooth_image(45, 66, seed=4)
    w = LossWeights(0.0, 1.0, {}, {layer: 1.0}, fraction=0.6)
    goal = objective_of(tiny, w, CONTENT, [STYLE], normalized=True, style_loss=StyleLossName.NNST)
    found = measured(tiny, layers=(layer,))
    grid, (match,) = Grid((layer,), (45, 66)), found.match()
    places = grid.places()

    def columns(image):
        rows = grid.rows(layer, extract_columns(tiny, image, (layer,)), places).numpy()
        return rows.reshape(*match.shape, -1)[:22, :33]

    rows = found.regions[0].rows[layer].numpy()

    def unit(x):
        return (x - rows.mean(axis=0)) / np.linalg.norm(x - rows.mean(axis=0), axis=-1, keepdims=True)

    def cosine(x, y):
        return (unit(x) * y / np.linalg.norm(y, axis=-1, keepdims=True)).sum(axis=-1).mean()

    style = unit(rows)[match.numpy()][:22, :33]
    target = 0.4 * unit(columns(CONTENT)) + 0.6 * style
    distances = [1 - cosine(columns(x), y) for x, y in ((canvas, target), (CONTENT, style))]
    assert goal.evaluate(canvas).loss == pytest.approx(distances[0] / distances[1], rel=1e-5)


def test_every_pixel_counts_those_too_that_are_too_few_for_a_square(tiny):
    w = LossWeights(0.0, 1.0, {}, {"relu1_1": 0.5, "relu3_1": 0.5})
    goal = objective_of(tiny, w, CONTENT[..., :43, :], [STYLE], normalized=True, style_loss=StyleLossName.NNST)
    gradient = goal.without(["relu3_1"]).evaluate(smooth_image(43, 66, seed=4)).gradient
    assert gradient.abs().amax(dim=1).min() > 0


def test_the_gradient_of_the_objective_equals_finite_differences(tiny):
    w = LossWeights(0.0, 1.0, {}, dict.fromkeys(LAYERS, 0.25), fraction=0.7)
    goal = objective_of(tiny, w, CONTENT, [STYLE], normalized=True, style_loss=StyleLossName.NNST)
    canvas, way = (
        smooth_image(45, 66, seed=4),
        torch.randn(CONTENT.shape, generator=torch.Generator().manual_seed(0)).double(),
    )
    slope = (goal.evaluate(canvas).gradient * way).sum().item()
    ahead, behind = (goal.evaluate(canvas + step * way).loss for step in (1e-6, -1e-6))
    assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-4)
