"""Every formula against an independent NumPy computation, finite differences, and the paper's own derivative."""

import numpy as np
import pytest
import torch

from conftest import scene
from impasto.losses import content_loss, style_layer_loss, total_loss, total_variation, weighted_sum
from impasto.moments import gram


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
    x = scene(6, 7).numpy()
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
