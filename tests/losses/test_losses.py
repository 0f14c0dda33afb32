"""Every formula against an independent NumPy computation, finite differences, and the paper's own derivative."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from helpers import smooth_image
from impasto.errors import SettingsError
from impasto.losses import gaussian
from impasto.losses.gatys import content_loss, gram, style_layer_loss, total_loss, total_variation, weighted_sum
from impasto.losses.gaussian import (
    BLUR,
    gaussian_target,
    gaussian_w2,
    interpolate_gaussian,
    interpolate_gram,
    mean_std_loss,
    mean_std_target,
    squared_wasserstein,
)
from impasto.losses.matching import (
    cosine_distances,
    interpolate_rows,
    moment_matching,
    nearest_neighbours,
    relaxed_emd,
    self_similarity,
    self_similarity_loss,
    shared_out,
)
from impasto.losses.moments import (
    averaged,
    channel_moments,
    counted_gram,
    from_mean_and_covariance,
    mean_and_covariance,
    mean_and_covariance_of_rows,
    moments,
)
from impasto.losses.sliced import directions, projected_quantiles, sliced_wasserstein


def features(seed: int, channels: int = 4, height: int = 5, width: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, channels, height, width), generator=generator, dtype=torch.float64)


def test_content_loss_is_half_the_squared_error_in_numpy():
    f, p = features(0), features(1)
    assert content_loss(f, p).item() == pytest.approx(0.5 * np.sum((f.numpy() - p.numpy()) ** 2))


def test_gram_is_f_f_transposed_in_numpy():
    f = features(0)
    flat = f.numpy().reshape(4, 30)
    expected = np.array([[np.sum(flat[i] * flat[j]) for j in range(4)] for i in range(4)])
    np.testing.assert_allclose(gram(f)[0].numpy(), expected)


def test_gram_adds_up_over_tiles():
    f = features(0, height=8)
    torch.testing.assert_close(gram(f[..., :3, :]) + gram(f[..., 3:, :]), gram(f))


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_gram_has_its_second_derivative_too_whatever_the_order_in_memory(order):
    f = features(0, channels=3, height=2, width=3).contiguous(memory_format=order).requires_grad_()
    assert gradgradcheck(lambda x: gram(x).pow(3), f)


def test_style_layer_loss_is_equation_4_in_numpy():
    g, a = gram(features(0)).numpy()[0], gram(features(1)).numpy()[0]
    n, m = 4, 30
    expected = np.sum((g - a) ** 2) / (4 * n**2 * m**2)
    found = style_layer_loss(torch.from_numpy(g)[None], torch.from_numpy(a)[None], m)
    assert found.item() == pytest.approx(expected)


def test_a_style_of_another_size_is_divided_by_its_own_number_of_positions():
    f = features(0)
    twice = torch.cat([f, f], dim=2)
    assert style_layer_loss(gram(f), gram(twice), 30, 60).item() == pytest.approx(0, abs=1e-20)
    assert style_layer_loss(gram(f), gram(twice), 30).item() > 0.01


def test_total_loss_is_alpha_content_plus_beta_style_over_weighted_layers():
    style = weighted_sum([torch.tensor(2.0), torch.tensor(5.0)], [0.5, 0.2])
    assert style.item() == pytest.approx(2.0)
    assert total_loss(torch.tensor(3.0), style, 0.1, 10.0).item() == pytest.approx(20.3)


def test_total_variation_is_the_sum_of_squared_differences_in_numpy():
    x = smooth_image(6, 7).numpy()
    expected = 0.5 * (np.sum(np.diff(x, axis=2) ** 2) + np.sum(np.diff(x, axis=3) ** 2))
    assert total_variation(torch.from_numpy(x)).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "loss",
    [
        lambda f: content_loss(f, features(1)),
        lambda f: style_layer_loss(gram(f), gram(features(1)), 30),
        lambda f: style_layer_loss(gram(f), gram(features(1, height=3)), 30, 18),
        total_variation,
    ],
    ids=["content", "style", "style of another size", "total variation"],
)
def test_gradients_equal_finite_differences(loss):
    f = features(0)
    leaf = f.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    step = 1e-6
    for position in np.ndindex(*f.shape):
        up, down = f.clone(), f.clone()
        up[position] += step
        down[position] -= step
        slope = (loss(up) - loss(down)).item() / (2 * step)
        assert gradient[position].item() == pytest.approx(slope, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("last", [False, True])
def test_the_content_loss_has_both_its_gradients_and_theirs_whatever_the_order_in_memory(last):
    f, p = features(0), features(1)
    if last:
        f = f.contiguous(memory_format=torch.channels_last)
    leaves = f.requires_grad_(), p.requires_grad_()
    assert torch.autograd.gradcheck(content_loss, leaves)
    assert torch.autograd.gradgradcheck(content_loss, leaves)


def test_content_gradient_is_equation_2_at_the_convolutions_output():
    before_relu, p = features(0).requires_grad_(), features(1).clamp(min=0)
    f = before_relu.relu()
    (gradient,) = torch.autograd.grad(content_loss(f, p), before_relu)
    expected = torch.where(before_relu > 0, f - p, 0.0)
    torch.testing.assert_close(gradient, expected.detach())


def test_style_gradient_is_equation_6_at_the_convolutions_output():
    before_relu, a = features(0).requires_grad_(), gram(features(1).relu())
    f = before_relu.relu()
    (gradient,) = torch.autograd.grad(style_layer_loss(gram(f), a, 30), before_relu)
    flat, n, m = f.detach().numpy().reshape(4, 30), 4, 30
    closed_form = (flat.T @ (flat @ flat.T - a.numpy()[0])).T / (n**2 * m**2)
    expected = np.where(before_relu.detach().numpy().reshape(4, 30) > 0, closed_form, 0)
    np.testing.assert_allclose(gradient.numpy().reshape(4, 30), expected, rtol=1e-10, atol=1e-15)


def flat(f: torch.Tensor) -> np.ndarray:
    return f.numpy().reshape(f.shape[1], -1)


def root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values.clip(min=0))) @ vectors.T


def blur_of(f: np.ndarray) -> float:
    return BLUR * f.var(axis=1).mean() + 1e-8 * (f**2).mean() + 1e-12


def test_mean_std_loss_is_the_mean_squared_difference_of_both_in_numpy():
    now, style = features(0), 3 * features(1, height=3) + 2
    a, b = flat(now), flat(style)
    e = blur_of(b)
    expected = np.mean(
        (a.mean(axis=1) - b.mean(axis=1)) ** 2 + (np.sqrt(a.var(axis=1) + e) - np.sqrt(b.var(axis=1) + e)) ** 2
    )
    found = mean_std_loss(channel_moments(now), mean_std_target(channel_moments(style)))
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize(("measure", "prepare"), [(channel_moments, mean_std_target), (moments, gaussian_target)])
def test_the_blur_of_a_flat_style_is_a_ten_thousandth_of_its_root_mean_square_whatever_the_units(measure, prepare):
    flat = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    for unit in (1.0, 100.0):
        root_mean_square = unit * (41 / 3) ** 0.5
        assert prepare(measure(unit * flat)).blur.sqrt().item() == pytest.approx(1e-4 * root_mean_square, rel=1e-3)


@pytest.mark.parametrize(("measure", "prepare"), [(channel_moments, mean_std_target), (moments, gaussian_target)])
def test_each_style_of_a_batch_has_its_own_target(measure, prepare):
    styles = [features(0), 3 * features(1) + 2]
    each = zip(*(prepare(measure(style)) for style in styles), strict=True)
    for found, expected in zip(prepare(measure(torch.cat(styles))), each, strict=True):
        torch.testing.assert_close(found, torch.cat(expected))


def test_gaussian_w2_is_dowson_and_landaus_distance_in_numpy():
    now, style = features(0), 3 * features(1, height=3) + 2
    a, b = flat(now), flat(style)
    extra = blur_of(b) * np.eye(4)
    ca, cb = np.cov(a, bias=True) + extra, np.cov(b, bias=True) + extra
    cross = root(root(cb) @ ca @ root(cb))
    expected = np.sum((a.mean(axis=1) - b.mean(axis=1)) ** 2) + np.trace(ca + cb - 2 * cross)
    found = gaussian_w2(moments(now), gaussian_target(moments(style)))
    assert found.item() == pytest.approx(expected)


def test_w2_of_more_channels_is_the_sum_of_marginal_distances_and_no_more_than_the_whole(monkeypatch):
    """By NumPy: the style's two leading directions together, the four others each by itself."""
    now, style = features(0, channels=6), 3 * features(1, channels=6) + 2
    whole = gaussian_w2(moments(now), gaussian_target(moments(style))).item()
    a, b = flat(now), flat(style)
    extra = blur_of(b) * np.eye(6)
    ca, cb = np.cov(a, bias=True) + extra, np.cov(b, bias=True) + extra
    directions = np.linalg.eigh(cb)[1][:, ::-1]

    def marginal(v: np.ndarray) -> float:
        pa, pb = v.T @ ca @ v, v.T @ cb @ v
        return float(np.trace(pa + pb - 2 * root(root(pb) @ pa @ root(pb))))

    expected = np.sum((a.mean(axis=1) - b.mean(axis=1)) ** 2) + marginal(directions[:, :2])
    expected += sum(marginal(directions[:, [k]]) for k in range(2, 6))
    monkeypatch.setattr(gaussian, "TOGETHER", 2)
    target = gaussian_target(moments(style))
    assert gaussian_w2(moments(now), target).item() == pytest.approx(expected)
    assert expected < 0.999 * whole
    assert gradcheck(lambda f: gaussian_w2(moments(f), target), now.clone().requires_grad_())


@pytest.mark.parametrize("of", ["canvas", "style"])
def test_w2_of_features_that_are_not_finite_is_nan_and_no_error(of):
    """A run that diverges goes back to its best canvas; an error would end it."""
    good, bad = features(0), features(1) * float("nan")
    now, style = (bad, good) if of == "canvas" else (good, bad)
    assert gaussian_w2(moments(now), gaussian_target(moments(style))).isnan()


def test_eigenvalues_that_are_rounding_pull_no_harder_than_rounding_does():
    """Of one position in single precision, which some devices have alone, all but one eigenvalue are rounding."""
    f = features(0, channels=12, height=1, width=1).float().flatten(2)
    covariance, mean = (f @ f.mT).requires_grad_(), torch.zeros(1, 12)
    distance = squared_wasserstein(mean, covariance, mean, torch.eye(12)[None])
    (gradient,) = torch.autograd.grad(distance, covariance)
    assert gradient.abs().max() < 1 / (torch.finfo(torch.float32).eps * f.square().sum().item()) ** 0.5


def test_gaussian_w2_of_independent_channels_is_that_of_their_means_and_deviations():
    mean, std = torch.tensor([[0.0, 1.0, 5.0]]).double(), torch.tensor([[1.0, 2.0, 0.5]]).double()
    mean_t, std_t = torch.tensor([[2.0, 1.0, 4.0]]).double(), torch.tensor([[3.0, 1.0, 0.5]]).double()
    now, style = (from_mean_and_covariance(m, torch.diag_embed(s**2)) for m, s in ((mean, std), (mean_t, std_t)))
    assert gaussian_w2(now, gaussian_target(style)).item() == pytest.approx(4 + 1 + 4 + 1, rel=1e-3)


@pytest.mark.parametrize(
    ("measure", "prepare", "compare"),
    [(moments, gaussian_target, gaussian_w2), (channel_moments, mean_std_target, mean_std_loss)],
    ids=["w2", "mean and std"],
)
@pytest.mark.parametrize("height", [1, 5], ids=["fewer positions than channels", "more positions than channels"])
def test_a_picture_is_at_no_distance_from_itself_and_nothing_pulls_at_it(measure, prepare, compare, height):
    f = (100 * features(0, channels=12, height=height)).requires_grad_()
    target = prepare(measure(f.detach()))
    loss = compare(measure(f), target)
    (gradient,) = torch.autograd.grad(loss, f)
    assert loss.item() == pytest.approx(0, abs=1e-11 * f.square().sum().item())
    assert gradient.abs().max() < 1e-6


RANKS = {
    "more positions than channels": lambda seed: features(seed),
    "fewer positions than channels": lambda seed: features(seed, channels=12, height=2, width=2),
    "one position": lambda seed: features(seed, channels=5, height=1, width=1),
    "flat": lambda seed: torch.full((1, 4, 3, 3), 0.3 + seed, dtype=torch.float64),
    "channels that are equal": lambda seed: features(seed, channels=1).expand(1, 4, 5, 6).contiguous(),
    "equal eigenvalues": lambda seed: torch.eye(4, dtype=torch.float64)[None, :, :, None] * (1 + seed),
}


@pytest.mark.parametrize(
    ("now", "style"),
    [(now, [*RANKS][(at + ahead) % len(RANKS)]) for ahead in (0, 1, 3) for at, now in enumerate(RANKS)],
)
def test_gaussian_gradients_equal_finite_differences_whatever_the_ranks(now, style):
    f, g = RANKS[now](0), RANKS[style](1)
    if f.shape[1] != g.shape[1]:
        g = features(1, channels=f.shape[1])
    w2, spread = gaussian_target(moments(g)), mean_std_target(channel_moments(g))
    # Where covariances lack rank, rounding of w2 is 1e-11 of its size: the difference of two says no more than this.
    near = {"eps": 1e-6, "rtol": 1e-3, "atol": 1e-4}
    assert gradcheck(lambda f: gaussian_w2(moments(f), w2), f.clone().requires_grad_(), **near)
    assert gradcheck(lambda f: mean_std_loss(channel_moments(f), spread), f.clone().requires_grad_(), **near)


def test_w2_of_512_channels_from_four_positions_in_single_precision_descends_along_its_gradient():
    generator = torch.Generator().manual_seed(0)
    now, style = (300 * torch.randn((1, 512, 2, 2), generator=generator).relu() for _ in range(2))
    target = gaussian_target(moments(style))
    f = now.clone().requires_grad_()
    loss = gaussian_w2(moments(f), target)
    (gradient,) = torch.autograd.grad(loss, f)
    assert gradient.isfinite().all()
    step = 0.01 * f.norm() / gradient.norm()
    after = gaussian_w2(moments(now - step * gradient), target)
    expected = (step * gradient.double().square().sum()).item()
    assert (loss - after).item() == pytest.approx(expected, rel=0.2)


def test_along_a_channel_sliced_wasserstein_is_the_difference_of_sorted_values_in_numpy():
    now, style = features(0), features(1)
    along = directions(4, torch.Generator().manual_seed(0), 3)
    a, b = (np.sort(along.numpy() @ flat(f), axis=1) for f in (now, style))
    found = sliced_wasserstein(projected_quantiles(now, along), projected_quantiles(style, along))
    assert found.item() == pytest.approx(np.mean((a - b) ** 2))


@pytest.mark.parametrize("height", [2, 3, 11])
def test_styles_of_other_sizes_are_read_at_the_canvass_ranks(height):
    now, style = features(0), features(1, height=height)
    along = torch.eye(4, dtype=torch.float64)
    a, b = np.sort(flat(now), axis=1), np.sort(flat(style), axis=1)
    ranks, own = ((np.arange(n) + 0.5) / n for n in (a.shape[1], b.shape[1]))
    at = np.stack([np.interp(ranks, own, row) for row in b])
    found = sliced_wasserstein(projected_quantiles(now, along), projected_quantiles(style, along))
    assert found.item() == pytest.approx(np.mean((a - at) ** 2))


def test_sliced_wasserstein_sees_what_moments_dont_and_not_the_order_of_positions():
    along = directions(1, torch.Generator().manual_seed(0))
    two = torch.tensor([-1.0, 1.0] * 50, dtype=torch.float64).view(1, 1, 10, 10)
    bell = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(100, dtype=torch.float64) + 0.5) / 100)
    bell = (bell / bell.square().mean().sqrt()).view(1, 1, 10, 10)
    torch.testing.assert_close(moments(two), moments(bell))
    loss = sliced_wasserstein(projected_quantiles(two, along), projected_quantiles(bell, along))
    assert loss > 0.1
    turned = sliced_wasserstein(projected_quantiles(two, along), projected_quantiles(two.flip(3), along))
    assert turned.item() == 0


def test_directions_are_unit_vectors_at_right_angles_that_span_all_channels():
    along = directions(6, torch.Generator().manual_seed(0))
    torch.testing.assert_close(along @ along.T, torch.eye(6, dtype=torch.float64))
    more = directions(6, torch.Generator().manual_seed(0), 10)
    assert more.shape == (10, 6)
    torch.testing.assert_close(more.norm(dim=1), torch.ones(10, dtype=torch.float64))


def test_under_a_mask_only_white_positions_and_their_share_of_grey_ones_are_sorted():
    f, along = features(0), torch.eye(4, dtype=torch.float64)
    white = torch.zeros(1, 1, 5, 6, dtype=torch.float64)
    white[..., 2:4, 1:5] = 1
    torch.testing.assert_close(
        projected_quantiles(f, along, white), projected_quantiles(f[..., 2:4, 1:5].contiguous(), along)
    )
    torch.testing.assert_close(projected_quantiles(f, along, torch.ones_like(white)), projected_quantiles(f, along))
    assert projected_quantiles(f, along, torch.full_like(white, 0.4)).shape[-1] == 12
    with pytest.raises(SettingsError, match="black"):
        projected_quantiles(f, along, torch.zeros_like(white))


def rows(seed: int, count: int = 7, width: int = 5) -> torch.Tensor:
    return torch.randn((count, width), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.3


def cosine_distances_in_numpy(x: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    return np.array([[1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in y.numpy()] for a in x.numpy()])


@pytest.mark.parametrize("seeds", [(0, 1), (3, 4)])
@pytest.mark.parametrize("counts", [(7, 7), (12, 3), (3, 12)])
def test_relaxed_emd_is_the_greater_of_both_mean_least_distances_in_numpy(seeds, counts):
    x, y = (rows(seed, count) for seed, count in zip(seeds, counts, strict=True))
    c = cosine_distances_in_numpy(x, y)
    expected = max(c.min(axis=1).mean(), c.min(axis=0).mean())
    assert relaxed_emd(x, y).item() == pytest.approx(expected, rel=1e-6)


def test_relaxed_emd_wants_every_part_of_the_style():
    style = rows(0, 40)
    assert relaxed_emd(style[:20], style) > 0.01


@pytest.mark.parametrize("block", [1, 4, 30])
def test_nearest_neighbours_are_those_of_greatest_cosine_around_the_means_in_numpy_in_blocks_of_any_size(block):
    x, y = rows(0, 30), rows(1, 12)
    similarity, found = nearest_neighbours(x.split(block), x.mean(dim=0), y)
    expected = 1 - cosine_distances_in_numpy(x - x.mean(dim=0), y - y.mean(dim=0))
    np.testing.assert_array_equal(found.numpy(), expected.argmax(axis=1))
    np.testing.assert_allclose(similarity.numpy(), expected.max(axis=1), rtol=1e-6)


def test_nearest_neighbours_hold_no_more_than_a_blocks_similarities_at_a_time():
    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            leaves = result if isinstance(result, list | tuple) else [result]
            self.numbers = max(self.numbers, *(leaf.numel() for leaf in leaves if isinstance(leaf, torch.Tensor)))
            return result

    x, y = rows(0, 4000), rows(1, 3000)
    with Largest() as largest:
        nearest_neighbours(x.split(50), x.mean(dim=0), y)
    assert largest.numbers == 50 * 3000


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_every_row_goes_towards_the_one_most_like_it_so_that_none_stays(fraction):
    sky, style = 5 + 0.01 * rows(0, 20), rows(1, 12)
    found = interpolate_rows(sky, style, fraction)
    c = cosine_distances_in_numpy(sky - sky.mean(dim=0), style - style.mean(dim=0))
    x, y = sky.numpy(), style.numpy()
    expected = [
        (1 - fraction) * x + fraction * y[c.argmin(axis=1)],
        (1 - fraction) * x[c.argmin(axis=0)] + fraction * y,
    ]
    np.testing.assert_allclose(found.numpy(), np.concatenate(expected))


def test_cosine_distances_at_positions_are_those_of_rows_in_numpy():
    x, y = rows(0, 12), rows(1, 12)
    images = [r.T.reshape(1, 5, 3, 4).contiguous() for r in (x, y)]
    found = cosine_distances(*images, least=0.0)
    assert found.shape == (1, 1, 3, 4)
    np.testing.assert_allclose(found.flatten().numpy(), np.diag(cosine_distances_in_numpy(x, y)))


@pytest.mark.parametrize("shares", [(1.0,), (3.0, 1.0), (1.0, 0.0), (0.0, 1.0), (1.0, 2.0, 0.0, 3.0)])
def test_each_style_is_given_its_share_of_the_places_and_those_that_are_most_like_it(shares):
    similarity = rows(0, len(shares), 60)
    given = shared_out(similarity, shares)
    counts = [(given == number).sum().item() for number in range(len(shares))]
    assert counts == [round(60 * share / sum(shares)) for share in shares]
    if shares == (3.0, 1.0):
        ahead = similarity[0] - similarity[1]
        assert ahead[given == 0].min() > ahead[given == 1].max()


def test_moment_matching_is_the_mean_difference_of_means_and_of_covariances_in_numpy():
    x, y = rows(0), rows(1, 12)
    a, b = x.numpy(), y.numpy()
    expected = np.abs(a.mean(axis=0) - b.mean(axis=0)).mean()
    expected += np.abs(np.cov(a.T, bias=True) - np.cov(b.T, bias=True)).mean()
    assert moment_matching(x, *mean_and_covariance_of_rows(y)).item() == pytest.approx(expected)


def test_self_similarity_is_the_difference_of_normalised_distances_in_numpy():
    x, content = rows(0), rows(1)
    d, p = cosine_distances_in_numpy(x, x), cosine_distances_in_numpy(content, content)
    expected = np.abs(d / d.sum(axis=0) - p / p.sum(axis=0)).sum() / 7
    assert self_similarity_loss(x, self_similarity(content)).item() == pytest.approx(expected, rel=1e-4)


def test_the_grain_of_a_flat_image_is_no_structure():
    grain = 1 + 1e-4 * features(0).flatten(2)[0].T
    similarity = self_similarity(grain)
    assert similarity.min() > -1e-9
    assert similarity.sum(dim=0).max() < 0.01


def test_self_similarity_doesnt_mind_a_change_that_all_places_share_and_a_flat_canvas_has_one():
    content = rows(0, 30)
    kept = self_similarity(content)
    turned = content @ torch.linalg.qr(rows(2, 5))[0]
    assert self_similarity_loss(3 * turned, kept).item() == pytest.approx(0, abs=1e-6)
    assert self_similarity_loss(content[:1].expand(30, 5), kept).item() == pytest.approx(1, rel=3e-3)
    assert self_similarity_loss(rows(3, 30), kept).item() > 0.1


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: relaxed_emd(x, rows(1, 12)),
        lambda x: relaxed_emd(x, rows(1, 4)),
        lambda x: cosine_distances(x[..., None, None], rows(1)[..., None, None], least=1e-6).sum(),
        lambda x: moment_matching(x, *mean_and_covariance_of_rows(rows(1, 12))),
        lambda x: self_similarity_loss(x, self_similarity(rows(1))),
    ],
    ids=["relaxed EMD", "relaxed EMD the other way", "cosines", "moments", "self-similarity"],
)
def test_gradients_on_hypercolumns_equal_finite_differences(loss):
    assert gradcheck(loss, rows(0).requires_grad_(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("height", [5, 3])
def test_the_gradient_of_sliced_wasserstein_equals_finite_differences(height):
    along = directions(4, torch.Generator().manual_seed(0))
    target = projected_quantiles(features(1, height=height), along)
    assert gradcheck(lambda f: sliced_wasserstein(projected_quantiles(f, along), target), features(0).requires_grad_())


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: relaxed_emd(x, rows(1)),
        lambda x: cosine_distances(x[..., None, None], rows(1)[..., None, None], least=1e-8).mean(),
        lambda x: self_similarity_loss(x, self_similarity(rows(1))),
    ],
)
def test_rows_of_zeros_and_rows_that_are_all_alike_have_finite_gradients(loss):
    for x in (torch.zeros(7, 5).double(), torch.ones(7, 5).double(), torch.cat([torch.zeros(1, 5), rows(0)[1:]])):
        leaf = x.clone().requires_grad_()
        found = loss(leaf)
        (gradient,) = torch.autograd.grad(found, leaf)
        assert found.isfinite()
        assert gradient.isfinite().all()
        assert gradient.abs().max() < 1e6


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("positions", [3, 200])
def test_an_interpolated_gram_target_leaves_the_rest_of_the_distance_and_is_a_gram_matrix(fraction, positions):
    generator = torch.Generator().manual_seed(0)
    start, target = (
        counted_gram(torch.randn((1, 8, 1, positions), generator=generator, dtype=torch.float64).relu() * scale)
        for scale in (1.0, 2.5)
    )
    there = interpolate_gram(start, target, fraction)

    def distance(a, b):
        return style_layer_loss(averaged(a)[:, :-1, :-1], averaged(b)[:, :-1, :-1], m=1).sqrt().item()

    assert distance(there, target) == pytest.approx((1 - fraction) * distance(start, target), rel=2e-3)
    assert torch.linalg.eigvalsh(there[0, :-1, :-1]).min() > -1e-3 * there[0, :-1, :-1].diagonal().mean()


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("positions", [3, 200], ids=["less rank than channels", "full rank"])
def test_an_interpolated_gaussian_lies_on_the_shortest_path_where_only_covariances_differ(fraction, positions):
    """By NumPy: its roots are W₂ apart by the fraction of the whole distance, and by the rest from the target's."""
    generator = torch.Generator().manual_seed(0)
    start, target = (
        moments(mix @ torch.randn((8, positions), generator=generator, dtype=torch.float64))
        for mix in (
            torch.diag(torch.arange(1.0, 9.0)).double()[None],
            torch.rand(1, 8, 8, generator=generator).double(),
        )
    )
    there = interpolate_gaussian(start, target, fraction)

    def distance(first, second) -> float:
        a, b = (mean_and_covariance(statistics)[1][0].numpy() for statistics in (first, second))
        cross = np.linalg.svd(root(a) @ root(b), compute_uv=False).sum()
        mean_a, mean_b = (mean_and_covariance(statistics)[0] for statistics in (first, second))
        return float(np.sqrt((mean_a - mean_b).square().sum().item() + np.trace(a) + np.trace(b) - 2 * cross))

    whole = distance(start, target)
    assert distance(start, there) == pytest.approx(fraction * whole, rel=1e-5)
    assert distance(there, target) == pytest.approx((1 - fraction) * whole, rel=1e-5)


@pytest.fixture
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
def test_the_gradient_of_relaxed_emd_repeats_to_the_bit_where_many_are_matched_with_the_same():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand((1024, 96), generator=generator) for _ in range(2))
    x[:8] = y.mean(dim=0) + 0.01 * x[:8]  # the nearest of nearly all y
    x.requires_grad_()
    first, *others = (torch.autograd.grad(relaxed_emd(x, y), x)[0] for _ in range(20))
    assert all(torch.equal(other, first) for other in others)
