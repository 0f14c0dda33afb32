"""A tiled evaluation is the whole image's: loss, parts and gradient, with halos from the network's geometry."""

import math

import numpy as np
import pytest
import torch

from helpers import objective_of, smooth_image, tiny_weights
from impasto.errors import SettingsError
from impasto.network.engine import EngineCost, PassCost
from impasto.network.layers import CHANNELS, multiply_adds, poolings_before
from impasto.network.tiled_network import (
    Stage,
    evaluation_pixels,
    kept_bytes,
    number_kept,
    pass_bytes,
    split_into_stages,
)
from impasto.network.tiles import Tile, halo, split_into_tiles
from impasto.network.vgg import VGG19
from impasto.objective.statistics import extract_statistics
from impasto.objective.style import make_style_loss
from impasto.objective.weights import LossWeights
from impasto.settings.choices import ContentLossName, Padding, Pooling, StyleLossName

GATYS = dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 0.2)


def engine(pooling: str = "max", padding: str = "zero") -> VGG19:
    return VGG19(tiny_weights(), pooling=Pooling(pooling), padding=Padding(padding)).double()


def weights(**changes) -> LossWeights:
    return LossWeights(
        **{"alpha": 0.05, "beta": 1.0, "content": {"relu4_2": 1.0}, "style": GATYS, "tv": 0.1, **changes}
    )


def objectives(network, size, tile, **changes):
    content, style = smooth_image(*size, seed=1), smooth_image(200, 150, seed=2)
    return [
        objective_of(network, weights(**changes), content, [style], normalized=True, tile=side) for side in (None, tile)
    ]


@pytest.mark.parametrize(("pooling", "padding"), [("max", "replicate"), ("average", "zero")])
@pytest.mark.parametrize(("size", "tile"), [((200, 200), 64), ((203, 330), 96), ((50, 301), 48), ((177, 90), 100)])
def test_tiled_loss_parts_and_gradient_equal_the_whole_images(pooling, padding, size, tile):
    whole, tiled = objectives(engine(pooling, padding), size, tile)
    canvas = smooth_image(*size, seed=3)
    assert len(split_into_tiles(size, tiled.layers, tile)) > 1
    expected, found = whole.evaluate(canvas), tiled.evaluate(canvas)
    assert found.loss == pytest.approx(expected.loss, rel=1e-10)
    assert found.parts == pytest.approx(expected.parts, rel=1e-9)
    assert list(found.parts) == list(expected.parts)
    scale = expected.gradient.abs().max()
    assert (found.gradient - expected.gradient).abs().max() < 1e-9 * scale


@pytest.mark.parametrize(
    ("style", "content", "masked"),
    [
        (style, content, (i + j) % 2 == 0)
        for i, style in enumerate(name for name in StyleLossName if name.additive)
        for j, content in enumerate(ContentLossName)
    ],
)
def test_every_additive_loss_is_exact_in_tiles_with_regions_or_without(style, content, masked):
    network, size = engine(), (100, 150)
    w = LossWeights(0.05, 1.0, {"relu4_2": 0.6, "relu3_1": 0.4}, GATYS, fraction=0.7)
    image, styles = smooth_image(*size, seed=1), [smooth_image(100, 90, seed=2), smooth_image(64, 90, seed=5)]
    soft = smooth_image(30, 40, seed=7).mean(dim=1, keepdim=True)
    masks = {"masks": [soft, 1 - soft], "style_masks": [None, soft], "erode": False} if masked else {}
    compared = {"style_loss": style, "content_loss": content, **masks}
    found = [
        objective_of(network, w, image, styles, normalized=True, tile=side, **compared).evaluate(
            smooth_image(*size, seed=3)
        )
        for side in (None, 64)
    ]
    expected, tiled = found
    assert tiled.loss == pytest.approx(expected.loss, rel=1e-8)
    assert tiled.parts == pytest.approx(expected.parts, rel=1e-8)
    scale = expected.gradient.abs().max()
    assert (tiled.gradient - expected.gradient).abs().max() < 1e-8 * scale


class Counting(VGG19):
    """Counts its passes."""

    passes = 0

    def features(self, image, layers, *, below=None):
        self.passes += 1
        return super().features(image, layers, below=below)


def test_tiles_whose_activations_are_kept_are_computed_once_with_the_same_result_to_the_bit():
    size, tile, canvas = (203, 330), 96, smooth_image(203, 330, seed=3)
    network = Counting(tiny_weights()).double()
    content, style = smooth_image(*size, seed=1), [smooth_image(200, 150, seed=2)]
    layers = tuple({**GATYS, "relu4_2": 1.0})
    stages = split_into_stages(size, layers, tile)
    everything = int(sum(kept_bytes(stage, network.cost) for stage in stages))
    once = sum(len(stage.tiles) for stage in stages)
    found, passes, work = [], [], []
    for spare in (0, everything // 3, everything):
        goal = objective_of(network, weights(), content, style, normalized=True, tile=tile, spare=spare)
        network.passes = 0
        found.append(goal.evaluate(canvas))
        passes.append(network.passes)
        work.append(evaluation_pixels(size, layers, tile, spare, network.cost))
    for other in found[1:]:
        assert (other.loss, other.parts) == (found[0].loss, found[0].parts)
        assert torch.equal(other.gradient, found[0].gradient)
    assert 2 * once - 1 == passes[0] > passes[1] > passes[2] == once
    assert work[0] > work[1] > work[2] > evaluation_pixels(size, layers, None, 0, network.cost)


def test_the_whole_images_evaluation_equals_plain_autograd():
    whole, _ = objectives(engine(), (64, 80), 48)
    canvas = smooth_image(64, 80, seed=3).requires_grad_()
    score = whole.score(canvas)
    (gradient,) = torch.autograd.grad(score.total, canvas)
    found = whole.evaluate(canvas.detach())
    assert found.loss == pytest.approx(score.total.item(), rel=1e-12)
    torch.testing.assert_close(found.gradient, gradient)


@pytest.mark.parametrize("layers", [("relu2_2",), ("relu4_1",), ("pool3", "conv1_2"), ("relu5_1", "pool3")])
def test_targets_measured_in_tiles_equal_the_whole_images(layers):
    network, image = engine(), smooth_image(170, 233)
    statistics = make_style_loss(StyleLossName.GRAM, layers).statistics((170, 233), None)
    sums, features = extract_statistics(network, image, list(statistics.values()), layers)
    tiled_sums, tiled_features = extract_statistics(network, image, list(statistics.values()), layers, tile=64)
    for name in layers:
        whole, tiled = sums[statistics[name]], tiled_sums[statistics[name]]
        torch.testing.assert_close(tiled, whole, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(tiled_features[name], features[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [("relu1_1", 1), ("relu1_2", 2), ("relu2_1", 4), ("relu3_1", 12), ("relu4_1", 32), ("relu5_1", 80)],
)
def test_halos_follow_from_the_geometry_of_the_deepest_layer(layer, expected):
    assert halo([layer, "relu1_1"]) == expected


@pytest.mark.parametrize(
    ("layers", "below", "expected"), [(["pool3"], None, 24), (["relu5_1"], "pool3", 48), (["relu4_2"], "pool3", 16)]
)
def test_a_stage_needs_a_smaller_halo_than_the_whole_network(layers, below, expected):
    assert halo(layers, below) == expected


@pytest.mark.parametrize(("size", "most"), [((2048, 2048), 1.4), ((4096, 4096), 1.6), ((16384, 16384), 1.65)])
def test_tiles_of_1024_px_cost_little_more_than_the_two_passes_themselves(size, most):
    """1.5 evaluations are two forward passes and one backward; a canvas seen whole costs one."""
    assert evaluation_pixels(size, tuple(GATYS), None, 0, VGG19.cost) == pytest.approx(size[0] * size[1])
    assert evaluation_pixels(size, tuple(GATYS), 1024, 0, VGG19.cost) / (size[0] * size[1]) < most


@pytest.mark.parametrize(
    ("factor", "values"),
    [  # channels a pixel: relu1_1 and relu1_2 64, pool1 16, relu2_1 32
        ("activations", 64 + 64 + 16 + 32),
        ("relus", 64 + 64 + 32),
        ("requested", 64 + 32),
        ("largest", 64),
    ],
)
def test_a_pass_takes_what_its_engine_declares_of_the_largest_tile(factor, values):
    whole, cut = (split_into_stages((64, 64), ("relu1_1", "relu2_1"), side)[0] for side in (None, 32))
    cost = EngineCost(0, 0, 0, whole=PassCost(**{factor: 1.0}), tile=PassCost(**{factor: 10.0}))
    assert pass_bytes(whole, cost) == 4 * values * 64 * 64
    assert pass_bytes(cut, cost) == 10 * 4 * values * cut.tiles.most_padded_pixels
    two = split_into_stages((32, 64), ("relu1_1", "relu2_1"), 32)[0]
    assert len(two.tiles) == 2
    assert pass_bytes(two, cost) == 10 * 4 * values * two.tiles.most_padded_pixels


def test_the_work_of_two_stages_is_each_ones_share_of_the_networks():
    layers = ("relu1_1", "relu5_1")
    stages = split_into_stages((512, 512), layers, 128)
    assert len(stages) == 2
    shares = multiply_adds("pool3") / multiply_adds("relu5_1"), 1 - multiply_adds("pool3") / multiply_adds("relu5_1")
    last = stages[-1].tiles[-1].padded.pixels  # the only one whose features are kept
    expected = sum(share * 1.5 * stage.tiles.pixels.padded for share, stage in zip(shares, stages, strict=True))
    found = evaluation_pixels((512, 512), layers, 128, 0, VGG19.cost)
    assert found == pytest.approx(expected - shares[1] * 0.5 * last)


@pytest.mark.parametrize(("side", "stages"), [(128, 1), (127, 2)])
def test_an_image_as_large_as_a_tile_goes_through_all_of_the_network_at_once(side, stages):
    assert len(split_into_stages((100, 128), ("relu1_1", "relu5_1"), side)) == stages


def test_tiles_of_the_second_stage_are_twice_as_large():
    first, second = split_into_stages((1024, 1024), ("relu1_1", "relu5_1"), 128)
    assert first.tiles[0].interior.pixels == 128**2
    assert second.tiles[0].interior.pixels == 256**2


def test_a_network_without_deep_layers_is_not_cut():
    assert len(split_into_stages((300, 300), ["relu1_1", "relu3_1", "pool3"], 96)) == 1
    lower, upper = split_into_stages((300, 300), [*GATYS, "pool3"], 96)
    assert (lower.layers, upper.layers) == (("relu1_1", "relu2_1", "relu3_1", "pool3"), ("relu4_1", "relu5_1"))


def test_the_upper_stage_refuses_layers_below_it():
    with pytest.raises(SettingsError, match="'relu2_1' is not a layer"):
        engine().features(torch.zeros(1, 5, 8, 8, dtype=torch.float64), ["relu2_1"], below="pool3")


@pytest.mark.parametrize("layer", ["relu2_1", "relu3_1", "relu4_1", "relu5_1"])
def test_a_halo_is_large_enough_and_one_stride_less_is_not(layer):
    """Changing every pixel outside the halo leaves the interior's features alone; within the last stride it doesn't."""
    network, size, at = engine("average"), 480, slice(240, 256)
    inner = torch.full((1, 3, size, size), 0.5, dtype=torch.float64)
    stride = {"relu2_1": 2, "relu3_1": 4, "relu4_1": 8, "relu5_1": 16}[layer]

    def interior(margin: int) -> torch.Tensor:
        image = 1 - inner + 0.3
        image[..., 240 - margin : 256 + margin, 240 - margin : 256 + margin] = inner[0, 0, 0, 0]
        features = network.features(image, [layer])[layer]
        return features[..., at.start // stride : at.stop // stride, at.start // stride : at.stop // stride]

    exact = interior(240)
    torch.testing.assert_close(interior(halo([layer])), exact, rtol=0, atol=1e-14)
    assert (interior(halo([layer]) - stride) - exact).abs().max() > 1e-14


@pytest.mark.parametrize(("size", "side"), [((100, 100), 48), ((1, 999), 64), ((513, 77), 100), ((160, 160), 16)])
def test_interiors_cover_every_pixel_once_on_the_pooling_grid(size, side):
    covered = np.zeros(size, int)
    for tile in split_into_tiles(size, GATYS, side):
        c, s = tile.interior, tile.padded
        covered[c.top : c.bottom, c.left : c.right] += 1
        assert c.bottom - c.top <= max(side, 16)
        assert c.right - c.left <= max(side, 16)
        assert all(corner % 16 == 0 for corner in (c.top, c.left, s.top, s.left))
        assert s.top <= c.top
        assert c.right <= s.right
    assert covered.min() == covered.max() == 1


def test_an_image_that_fits_is_one_tile_that_sees_everything():
    (tile,) = split_into_tiles((90, 100), GATYS, 100)
    assert tile.interior == tile.padded
    assert (tile.interior.bottom, tile.interior.right) == (90, 100)


SHAPES = [((100, 100), 48), ((1, 999), 64), ((513, 77), 100), ((160, 160), 16), ((333, 250), 96), ((90, 100), 100)]


@pytest.mark.parametrize(("size", "side"), SHAPES)
def test_a_grids_sums_are_those_of_its_tiles(size, side):
    grid = split_into_tiles(size, GATYS, side)
    tiles = list(grid)
    assert grid.pixels == (size[0] * size[1], sum(tile.padded.pixels for tile in tiles))
    assert grid.most_padded_pixels == max(tile.padded.pixels for tile in tiles)
    for count in range(len(tiles) + 1):
        last = tiles[len(tiles) - count :]
        expected = sum(tile.interior.pixels for tile in last), sum(tile.padded.pixels for tile in last)
        assert grid.pixels_of_last(count) == expected


def test_a_grid_is_a_sequence_of_tiles_row_by_row():
    grid = split_into_tiles((333, 250), GATYS, 96)
    tiles = [grid[i] for i in range(len(grid))]
    corners = [(tile.interior.top, tile.interior.left) for tile in tiles]
    assert len(tiles) == 4 * 3
    assert corners == sorted(corners)
    assert list(grid) == tiles
    assert list(reversed(grid)) == tiles[::-1]
    assert (grid[-1], grid[2:-1:3]) == (tiles[-1], tuple(tiles[2:-1:3]))
    with pytest.raises(IndexError):
        grid[len(grid)]


def kept_of(stage: Stage, tile: Tile) -> float:
    """Bytes of a tile's input, of its interior's features, and of what the engine keeps: counted layer by layer."""
    channels = 3 if stage.below is None else CHANNELS[stage.below] / 4 ** poolings_before(stage.below)
    found = 4 * channels * tile.padded.pixels
    for layer in stage.computed:
        engines = VGG19.cost.kept(layer.kind) * tile.padded.pixels
        features = 4 * tile.interior.pixels if layer.name in stage.requested else 0
        found += (engines + features) * layer.channels / 4 ** poolings_before(layer.name)
    return found


@pytest.mark.parametrize("layers", [tuple(GATYS), ("relu1_1", "relu2_2"), ("relu3_1", "pool5")])
@pytest.mark.parametrize(("size", "side"), SHAPES)
def test_as_many_tiles_are_kept_and_computed_once_as_the_spare_bytes_hold(size, side, layers):
    stages, cost = split_into_stages(size, layers, side), VGG19.cost
    backwards = [(stage, tile) for stage in reversed(stages) for tile in reversed(stage.tiles)]
    assert sum(kept_bytes(stage, cost) for stage in stages) == sum(kept_of(*each) for each in backwards)
    spare, work = 0.0, [evaluation_pixels(size, layers, side, 0, cost)]
    for number, (stage, tile) in enumerate(backwards[1:], 2):
        spare += kept_of(stage, tile)
        assert number_kept(stages, math.ceil(spare) - 1, cost) == number - 1
        assert number_kept(stages, math.ceil(spare), cost) == number
        work.append(evaluation_pixels(size, layers, side, math.ceil(spare), cost))
    assert work == sorted(work, reverse=True)
    assert len(set(work)) == len(backwards)


@pytest.mark.slow
def test_real_weights_in_float32_agree_within_1e_5(real):
    """In the mean, not the maximum: a ReLU or pooling tie may fall the other way in float32."""
    w = LossWeights(0.05, 1.0, {"relu4_2": 1.0}, GATYS)
    content, style, canvas = (smooth_image(112, 144, seed=s, dtype=torch.float32) for s in (1, 2, 3))
    expected, found = (
        objective_of(real, w, content, [style], normalized=True, tile=tile).evaluate(canvas) for tile in (None, 64)
    )
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    difference = (found.gradient - expected.gradient).norm() / expected.gradient.norm()
    assert difference < 1e-5
