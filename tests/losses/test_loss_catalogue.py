"""What the catalogue and the names promise of every loss: tiles, masks, strength, blends and units."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from helpers import TINY_CHANNELS, smooth_image
from impasto.losses.catalogue import HypercolumnLoss, LayerLoss, hypercolumn_loss, layer_loss
from impasto.losses.hypercolumns import cells, hypercolumns, jittered_grid, sample
from impasto.network.layers import feature_size, poolings_before
from impasto.network.tiles import Tile, cropped, split_into_tiles
from impasto.settings.choices import ContentLossName, StyleLossName

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
SIZE = (96, 112)
BY_LAYER = [name for name in StyleLossName if not name.joint and not name.local]
ADDITIVE = [name for name in BY_LAYER if name.additive]
JOINT = [*(name for name in StyleLossName if name.joint), ContentLossName.SELF_SIMILARITY]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def losses(name: StyleLossName) -> dict[str, LayerLoss]:
    return {layer: layer_loss(name, TINY_CHANNELS[layer[4]], seeded()) for layer in LAYERS}


def features(seed: int, height: int = 8, width: int = 9, channels: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, channels, height, width), generator=generator, dtype=torch.float64).mul(1 + seed).relu()


def columns(seed: int, count: int = 40, widths: tuple[int, ...] = (4, 6)) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn((count, c), generator=generator, dtype=torch.float64).relu() + 0.1 for c in widths]


Measure = Callable[[str, torch.Tensor, Tile], torch.Tensor]


def in_two_passes(
    network, image: torch.Tensor, side: int | None, measure: Measure, compare: Callable[[dict], torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and gradient as a tiled objective computes them: sums of all tiles, then ⟨P, sums of a tile⟩ back."""
    tiles = split_into_tiles((image.shape[2], image.shape[3]), LAYERS, side)
    assert side is None or len(tiles) > 3

    def measured(tile: Tile) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        pixels = tile.padded.crop(image).clone().requires_grad_()
        inner = cropped(tile, network.features(pixels, LAYERS))
        return pixels, {layer: measure(layer, inner[layer], tile) for layer in LAYERS}

    found = [measured(tile) for tile in tiles]
    statistics = {layer: sum(part[layer].detach() for _, part in found).requires_grad_() for layer in LAYERS}
    loss = compare(statistics)
    pull = dict(zip(LAYERS, torch.autograd.grad(loss, list(statistics.values())), strict=True))
    gradient = torch.zeros_like(image)
    for tile, (pixels, part) in zip(tiles, found, strict=True):
        pulled = sum((pull[layer] * part[layer]).sum() for layer in LAYERS)
        tile.padded.crop(gradient).add_(torch.autograd.grad(pulled, pixels)[0])
    return loss.detach(), gradient


def assert_tiles_are_exact(network, measure: Measure, compare: Callable[[dict], torch.Tensor]) -> None:
    canvas = smooth_image(*SIZE, seed=3)
    whole, gradient = in_two_passes(network, canvas, None, measure, compare)
    tiled, in_tiles = in_two_passes(network, canvas, 48, measure, compare)
    assert tiled.item() == pytest.approx(whole.item(), rel=1e-6)
    assert gradient.abs().max() > 0
    assert (in_tiles - gradient).abs().max() < 1e-5 * gradient.abs().max()


@pytest.mark.parametrize("name", ADDITIVE)
@pytest.mark.parametrize("masked", [False, True])
def test_additive_losses_of_layers_are_exact_in_tiles(tiny, name, masked):
    chosen = losses(name)
    soft = smooth_image(*SIZE, seed=5)[:, :1]
    weights = {
        layer: F.interpolate(soft, feature_size(layer, SIZE), mode="area") if masked else None for layer in LAYERS
    }
    style = tiny.features(smooth_image(64, 80, seed=2), LAYERS)
    targets = {layer: loss.prepare(loss.measure(style[layer], None)) for layer, loss in chosen.items()}

    def measure(layer: str, inner: torch.Tensor, tile: Tile) -> torch.Tensor:
        weight = weights[layer]
        return chosen[layer].measure(inner, None if weight is None else tile.interior_of(layer, weight))

    def compare(statistics: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.stack([chosen[layer].compare(statistics[layer], targets[layer]) for layer in LAYERS]).sum()

    assert_tiles_are_exact(tiny, measure, compare)


@pytest.mark.parametrize("name", JOINT)
def test_losses_of_hypercolumns_are_exact_in_tiles(tiny, name):
    loss = hypercolumn_loss(name)
    places = jittered_grid(60, SIZE, seeded()).double()
    goal = tiny.features(smooth_image(*SIZE, seed=2), LAYERS)
    target = loss.prepare(hypercolumns([goal[layer] for layer in LAYERS], places), [0.25] * 4)

    def measure(layer: str, inner: torch.Tensor, tile: Tile) -> torch.Tensor:
        corner = tile.interior.pooled(poolings_before(layer))
        at = cells(places, feature_size(layer, SIZE)) - torch.tensor([corner.top, corner.left])
        return loss.measure(inner, at)

    assert_tiles_are_exact(tiny, measure, lambda samples: loss.compare([samples[layer] for layer in LAYERS], target))


@pytest.mark.parametrize("name", BY_LAYER)
def test_what_is_declared_additive_is_a_sum_over_positions_and_nothing_else_is(name):
    loss, f = layer_loss(name, 6, seeded()), features(0)
    whole, parts = loss.measure(f, None), [loss.measure(f[:, :, rows], None) for rows in (slice(0, 4), slice(4, 8))]
    adds_up = parts[0].shape == whole.shape and torch.allclose(parts[0] + parts[1], whole)
    assert adds_up is name.additive


@pytest.mark.parametrize("name", BY_LAYER)
def test_what_a_mask_leaves_out_counts_for_nothing_and_is_not_pulled_at(name):
    loss, f = layer_loss(name, 6, seeded()), features(0).requires_grad_()
    mask = torch.zeros(1, 1, 8, 9, dtype=torch.float64)
    mask[..., 2:6, 1:7] = 1
    target = loss.prepare(loss.measure(features(1), None))
    found = loss.compare(loss.measure(f, mask), target)
    alone = loss.compare(loss.measure(f[..., 2:6, 1:7], None), target)
    assert found.item() == pytest.approx(alone.item())
    (gradient,) = torch.autograd.grad(found, f)
    assert (gradient * (1 - mask)).abs().max() == 0
    assert (gradient * mask).abs().max() > 0


@pytest.mark.parametrize("name", BY_LAYER)
def test_between_content_and_style_the_loss_grows_as_the_square_of_the_fraction(name):
    """So a strength means the same on every pair. For `w2` but for the blur, which is the target's at each fraction."""
    loss = layer_loss(name, 6, seeded())
    start, style = loss.measure(features(0), None), loss.measure(features(2, height=5), None)
    whole = loss.compare(start, loss.prepare(style)).item()
    for fraction in (0.0, 0.25, 0.5, 0.75, 1.0):
        interpolated = loss.interpolate(start, style, fraction)
        if name is StyleLossName.GRAM:  # along a curve: what is left of the distance counts
            left = loss.compare(interpolated, loss.prepare(style)).item()
            assert left == pytest.approx((1 - fraction) ** 2 * whole, rel=1e-3, abs=1e-6 * whole)
        else:
            found = loss.compare(start, loss.prepare(interpolated)).item()
            assert found == pytest.approx(fraction**2 * whole, rel=1e-3, abs=1e-9 * whole)


@pytest.mark.parametrize("name", [StyleLossName.MEAN_STD, StyleLossName.W2])
def test_a_mixture_of_content_and_style_is_not_half_way_between_them_but_as_uneven_as_both(name):
    """Why strength doesn't blend raw moments: the spread between two means would become spread of the canvas."""
    loss = layer_loss(name, 6, seeded())
    f = features(0)
    start, style = loss.measure(f, None), loss.measure(f + 9, None)
    middle, mixed = (
        loss.prepare(blend) for blend in (loss.interpolate(start, style, 0.5), loss.blend([start, style], [1, 1]))
    )
    half_way = loss.measure(f + 4.5, None)
    whole = loss.compare(start, loss.prepare(style)).item()
    assert loss.compare(half_way, middle).item() == pytest.approx(0, abs=1e-3 * whole)
    assert loss.compare(half_way, mixed).item() > 0.1 * whole


@pytest.mark.parametrize("name", BY_LAYER)
def test_blending_a_style_with_itself_changes_nothing_and_a_share_of_zero_counts_for_nothing(name):
    loss, f = layer_loss(name, 6, seeded()), features(1)
    one, other = loss.measure(f, None), loss.measure(features(2), None)
    target = loss.prepare(loss.blend([one, one], [0.7, 0.3]))
    assert loss.compare(one, target).item() == pytest.approx(0, abs=1e-9)
    assert loss.compare(one, loss.prepare(loss.blend([one, other], [2, 0]))).item() == pytest.approx(0, abs=1e-9)
    assert loss.compare(one, loss.prepare(loss.blend([one, other], [1, 1]))).item() > 1e-3


@pytest.mark.parametrize("name", BY_LAYER)
def test_an_image_of_nothing_has_a_finite_distance_to_a_style_that_scales_as_the_loss_does(name):
    loss = layer_loss(name, 6, seeded())
    found = []
    for scale in (1.0, 100.0):
        start, target = (loss.measure(scale * features(seed), None) for seed in (0, 1))
        found.append(
            loss.compare(start, loss.prepare(target)) / loss.compare(torch.zeros_like(start), loss.prepare(target))
        )
    assert 0 < found[0].item() < 10
    assert found[1].item() == pytest.approx(found[0].item(), rel=1e-6)


@pytest.mark.parametrize("units", [(255, 0.01), (1e-8, 1e-7)], ids=str)
@pytest.mark.parametrize("name", JOINT)
def test_losses_of_hypercolumns_mean_the_same_in_every_unit_of_a_layer(name, units):
    loss = hypercolumn_loss(name)
    now, goal = columns(0), columns(1)
    expected = loss.compare(now, loss.prepare(goal, [1.0, 2.0]))
    (a, b), (c, d) = now, goal
    one, other = units
    found = loss.compare([one * a, other * b], loss.prepare([one * c, other * d], [1.0, 2.0]))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("name", JOINT)
def test_a_layer_of_weight_zero_is_not_pulled_at(name):
    loss = hypercolumn_loss(name)
    now = [c.requires_grad_() for c in columns(0)]
    ignored, counted = torch.autograd.grad(loss.compare(now, loss.prepare(columns(1), [0.0, 1.0])), now)
    assert ignored.abs().max() == 0
    assert counted.abs().max() > 0


@pytest.mark.parametrize("name", JOINT)
def test_a_layer_in_which_the_goal_shows_nothing_is_left_out(name):
    loss = hypercolumn_loss(name)
    (a, b), (c, d) = columns(0), columns(1)
    target = loss.prepare([c, torch.zeros_like(d)], [1.0, 1.0])
    assert loss.compare([a, b], target).item() == pytest.approx(loss.compare([a, 0 * b], target).item())
    assert loss.compare([a, b], target).item() != pytest.approx(loss.compare([0 * a, b], target).item(), rel=0.01)


@pytest.mark.parametrize("name", [name for name in StyleLossName if name.joint])
def test_the_less_far_a_target_is_from_the_content_the_nearer_the_content_is(name):
    loss = hypercolumn_loss(name)
    content, style = columns(0, 80), [c.flip(1) + 1 for c in columns(1, 60)]
    found = []
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        found.append(loss.compare(content, loss.interpolate(content, style, [1.0, 1.0], strength)).item())
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert found == sorted(found)


def test_every_name_has_a_loss_of_its_kind():
    for name in (name for name in StyleLossName if not name.local):
        kind = hypercolumn_loss(name) if name.joint else layer_loss(name, 3, seeded())
        assert isinstance(kind, HypercolumnLoss if name.joint else LayerLoss)
    assert hypercolumn_loss(ContentLossName.SELF_SIMILARITY).measure is sample


def test_the_generator_draws_the_directions_of_swd_and_those_of_histogram_are_the_channels():
    f = features(0)
    one, again = (layer_loss(StyleLossName.SWD, 6, seeded()).measure(f, None) for _ in range(2))
    torch.testing.assert_close(one, again)
    other = layer_loss(StyleLossName.SWD, 6, torch.Generator().manual_seed(1)).measure(f, None)
    assert (one - other).abs().max() > 0.01
    histogram = layer_loss(StyleLossName.HISTOGRAM, 6, seeded()).measure(f, None)
    torch.testing.assert_close(histogram, f.flatten(2).sort(dim=2).values)
