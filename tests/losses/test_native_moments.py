"""Moments by the kernel of our own: against float64, for any number of threads, and for which features it is taken."""

import pytest
import torch

from helpers import smooth_image
from impasto.losses import gaussian, native_moments
from impasto.losses.gatys import gram
from impasto.losses.gaussian import gaussian_target, gaussian_w2
from impasto.losses.moments import moments
from impasto.network import weights
from impasto.network.engines.native import NativeEngine
from impasto.network.engines.native_library import why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason="THE NATIVE ENGINE CAN'T BE BUILT HERE")

SIZES = [(32, 1), (64, 255), (64, 1237), (96, 256), (128, 5000), (256, 257), (512, 600)]
"""Channels and positions: of a piece, of less, of several parts."""


def features(c: int, m: int, seed: int = 0) -> torch.Tensor:
    """Of m positions in a row, as the native engine has them in memory."""
    f = torch.randn((1, 1, m, c), generator=torch.Generator().manual_seed(seed)) + 0.5
    return f.permute(0, 3, 1, 2)


@pytest.fixture
def threads():
    """Sets the number, and sets it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(("c", "m"), SIZES)
def test_sums_and_gradient_equal_float64(c, m):
    f = features(c, m).requires_grad_()
    exact = f.detach().double().requires_grad_()
    assert native_moments.fits(f.flatten(2))
    assert not native_moments.fits(exact.flatten(2))
    pulled = torch.randn((1, c + 1, c + 1), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found, wanted = moments(f), moments(exact)
    (gradient,), (exact_gradient,) = torch.autograd.grad(found, f, pulled), torch.autograd.grad(wanted, exact, pulled)
    assert found.dtype is torch.float64
    assert torch.equal(found, found.mT)
    assert found[0, -1, -1] == m
    assert (found - wanted).abs().max() < 1e-6 * wanted.abs().max()
    assert (gradient - exact_gradient).abs().max() < 3e-6 * exact_gradient.abs().max()  # of c products in float32
    assert gradient.permute(0, 2, 3, 1).is_contiguous()


@pytest.mark.parametrize(("c", "m"), SIZES)
def test_gram_matrices_and_their_gradient_equal_float64(c, m):
    f = features(c, m).requires_grad_()
    exact = f.detach().double().requires_grad_()
    pulled = torch.randn((1, c, c), generator=torch.Generator().manual_seed(1))
    found, wanted = gram(f), gram(exact)
    (gradient,) = torch.autograd.grad(found, f, pulled)
    (exact_gradient,) = torch.autograd.grad(wanted, exact, pulled.double())
    assert found.dtype is torch.float32
    assert (found - wanted).abs().max() < 1e-6 * wanted.abs().max()
    assert (gradient - exact_gradient).abs().max() < 3e-6 * exact_gradient.abs().max()


@pytest.mark.parametrize("measure", [moments, gram])
@pytest.mark.parametrize(("c", "m"), SIZES)
def test_threads_change_no_bit(c, m, measure, threads):
    f, found = features(c, m).requires_grad_(), []
    for number in (1, 2, 5):
        threads(number)
        statistics = measure(f)
        found.append((statistics.detach(), *torch.autograd.grad(statistics.square().sum(), f)))
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(others, found[0], strict=True))


def test_it_is_taken_for_what_the_native_engine_hands_out_and_left_for_other_layouts(monkeypatch):
    with torch.no_grad():
        found = NativeEngine(weights.load()).features(smooth_image(33, 50, dtype=torch.float32), ["relu1_1", "relu4_1"])
    assert all(native_moments.fits(f.flatten(2)) for f in found.values())
    f = features(64, 300)
    others = {
        "(c, m) in memory": f.contiguous(),
        "two images": torch.cat([f, f]).to(memory_format=torch.channels_last),
        "48 channels": f[:, :48],
        "float64": f.double(),
    }
    wanted = {what: moments(other.double()) for what, other in others.items()}
    monkeypatch.setattr(native_moments, "sums", lambda f: pytest.fail("the kernel can't read these"))
    for what, other in others.items():
        torch.testing.assert_close(moments(other), wanted[what], rtol=1e-5, atol=1e-3, msg=what)


def test_a_masked_gradient_is_the_plain_one_times_the_mask():
    f = features(64, 300).requires_grad_()
    mask = torch.rand((1, 1, 1, 300), generator=torch.Generator().manual_seed(2))
    exact = f.detach().double().requires_grad_()
    (found,) = torch.autograd.grad(moments(f, mask).square().sum(), f)
    (wanted,) = torch.autograd.grad(moments(exact, mask.double()).square().sum(), exact)
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_large_products_of_w2_in_single_precision_leave_loss_and_gradient_as_they_are(monkeypatch):
    """Of the real network's 512 channels, among which are directions of next to no variance."""
    engine, name = NativeEngine(weights.load()), "relu4_1"
    with torch.no_grad():
        now, style = (
            engine.features(smooth_image(144, 160, seed, dtype=torch.float32), [name])[name] for seed in (1, 2)
        )
    target, f, found = gaussian_target(moments(style)), now.clone().requires_grad_(), []
    for large in (gaussian.LARGE, 1024):
        monkeypatch.setattr(gaussian, "LARGE", large)
        loss = gaussian_w2(moments(f), target)
        found.append((loss.item(), *torch.autograd.grad(loss, f)))
    (loss, gradient), (exact, wanted) = found
    assert loss != exact
    assert loss == pytest.approx(exact, rel=1e-6)
    assert (gradient - wanted).norm() < 1e-4 * wanted.norm()
