"""Statistics against NumPy, that they add up, their gradients, and what single precision leaves of a covariance."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from helpers import smooth_image
from impasto.losses.gatys import gram
from impasto.losses.moments import (
    averaged,
    channel_moments,
    counted_gram,
    from_mean_and_covariance,
    from_mean_and_variance,
    mean_and_covariance,
    mean_and_covariance_of_rows,
    mean_and_variance,
    mixture,
    moments,
)

MEASURES = [counted_gram, moments, channel_moments]
GATYS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def features(seed: int = 0, channels: int = 4, height: int = 5, width: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, channels, height, width), generator=generator, dtype=torch.float64) + 0.5


def mask(height: int = 5, width: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    soft = torch.rand((1, 1, height, width), generator=generator, dtype=torch.float64)
    soft[..., :2] = 0
    soft[..., -1] = 1
    return soft


def in_rows(f: torch.Tensor) -> torch.Tensor:
    """The same features as the native engine has them: (h, w, c) in memory."""
    return f.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("weight", [None, mask()], ids=["everywhere", "masked"])
@pytest.mark.parametrize("layout", [torch.clone, in_rows], ids=["c h w", "h w c"])
def test_moments_are_count_sum_and_products_in_numpy(weight, layout):
    f = features()
    flat = f.numpy().reshape(4, 30)
    w = np.ones(30) if weight is None else weight.numpy().reshape(30)
    products = np.array([[np.sum(w * flat[i] * flat[j]) for j in range(4)] for i in range(4)])
    found = moments(layout(f), weight)[0].numpy()
    np.testing.assert_allclose(found[:4, :4], products)
    np.testing.assert_allclose(found[:4, 4], (w * flat).sum(axis=1))
    np.testing.assert_allclose(found[4, :4], found[:4, 4])
    assert found[4, 4] == pytest.approx(w.sum())

    channels = channel_moments(layout(f), weight)[0].numpy()
    np.testing.assert_allclose(channels, [products.diagonal(), (w * flat).sum(axis=1), np.full(4, w.sum())])
    counted = counted_gram(layout(f), weight)[0].numpy()
    np.testing.assert_allclose(counted[:4, :4], products)
    np.testing.assert_allclose(counted[4], [0, 0, 0, 0, w.sum()])


@pytest.mark.parametrize("measure", MEASURES)
def test_they_add_up_over_tiles_and_over_regions(measure):
    f, w = features(height=8), mask(height=8)
    tiles = measure(f[..., :3, :], w[..., :3, :]) + measure(f[..., 3:, :], w[..., 3:, :])
    torch.testing.assert_close(tiles, measure(f, w))
    torch.testing.assert_close(measure(f, w) + measure(f, 1 - w), measure(f))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("weight", [None, mask()], ids=["everywhere", "masked"])
@pytest.mark.parametrize("layout", [torch.clone, in_rows], ids=["c h w", "h w c"])
def test_gradients_equal_finite_differences_whatever_is_pulled_back(measure, weight, layout):
    generator = torch.Generator().manual_seed(3)
    pull = torch.randn(measure(features()).shape, generator=generator, dtype=torch.float64)  # not symmetric
    assert gradcheck(lambda f: (measure(layout(f), weight) * pull).sum(), features().requires_grad_())


@pytest.mark.parametrize("measure", MEASURES)
def test_the_gradient_lies_in_memory_as_the_features_do(measure):
    f = in_rows(features()).requires_grad_()
    (gradient,) = torch.autograd.grad(measure(f, mask()).square().sum(), f)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("measure", MEASURES)
def test_each_image_of_a_batch_has_its_own_statistics(measure):
    (f, g), (v, w) = (features(1), features(2)), (mask(), 0.5 * mask())
    torch.testing.assert_close(measure(torch.cat([f, g]), torch.cat([v, w])), torch.cat([measure(f, v), measure(g, w)]))
    torch.testing.assert_close(measure(torch.cat([f, g])), torch.cat([measure(f), measure(g)]))


@pytest.mark.parametrize("unbiased", [False, True])
def test_mean_and_covariance_of_rows_are_numpys(unbiased):
    rows = features().flatten(2)[0].T
    mean, covariance = mean_and_covariance_of_rows(rows, unbiased=unbiased)
    np.testing.assert_allclose(mean, rows.numpy().mean(axis=0))
    np.testing.assert_allclose(covariance, np.cov(rows.numpy().T, bias=not unbiased))


def test_mean_covariance_and_variance_are_numpys():
    f = features()
    flat = f.numpy().reshape(4, 30)
    mean, covariance = mean_and_covariance(moments(f))
    np.testing.assert_allclose(mean[0].numpy(), flat.mean(axis=1))
    np.testing.assert_allclose(covariance[0].numpy(), np.cov(flat, bias=True), atol=1e-14)
    mean, variance = mean_and_variance(channel_moments(f))
    np.testing.assert_allclose(mean[0].numpy(), flat.mean(axis=1))
    np.testing.assert_allclose(variance[0].numpy(), flat.var(axis=1))


def test_means_and_covariances_lead_back_to_moments():
    torch.testing.assert_close(
        from_mean_and_covariance(*mean_and_covariance(moments(features()))), averaged(moments(features()))
    )
    torch.testing.assert_close(
        from_mean_and_variance(*mean_and_variance(channel_moments(features()))), averaged(channel_moments(features()))
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_a_mixture_is_the_image_that_holds_both_in_these_shares_whatever_their_sizes(measure):
    small, large = features(1, width=3), features(2, width=12)
    both = torch.cat([small, small, small, small, large], dim=3)  # 12 columns of each
    torch.testing.assert_close(mixture([measure(small), measure(large)], [1, 1]), averaged(measure(both)))
    thrice = torch.cat([small] * 12 + [large], dim=3)
    torch.testing.assert_close(mixture([measure(small), measure(large)], [0.3, 0.1]), averaged(measure(thrice)))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_region_without_positions_is_zero_and_has_no_gradient(measure):
    f = features().requires_grad_()
    statistics = averaged(measure(f, torch.zeros_like(mask())))
    (gradient,) = torch.autograd.grad(statistics.square().sum(), f)
    assert statistics.abs().max() == 0
    assert gradient.abs().max() == 0


@pytest.mark.parametrize("contrast", [1.0, 0.05])
def test_covariances_keep_five_digits_from_single_precision_features_of_the_real_network(real, contrast):
    """Sums of float32 products: squared means that exceed variances by a factor cost as many digits."""
    image = 0.6 + contrast * (smooth_image(144, 160, dtype=torch.float32) - 0.6)
    with torch.no_grad():
        found = real.features(image, GATYS)
    for name, f in found.items():
        flat = f.double().flatten(2)[0]
        centred = flat - flat.mean(dim=1, keepdim=True)
        exact = centred @ centred.T / flat.shape[1]
        half = f.shape[2] // 2
        statistics = moments(f[:, :, :half]) + moments(f[:, :, half:])  # in two tiles
        assert statistics.dtype is torch.float64
        error = (mean_and_covariance(statistics)[1][0] - exact).abs().max() / exact.diagonal().max()
        assert error < 1e-5, name
        variance = mean_and_variance(channel_moments(f))[1][0]
        assert (variance - exact.diagonal()).abs().max() / exact.diagonal().max() < 1e-5, name


def test_gram_is_left_in_the_features_own_precision():
    assert counted_gram(features().float()).dtype is gram(features().float()).dtype is torch.float32
