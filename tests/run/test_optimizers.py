from itertools import pairwise

import pytest
import torch

from helpers import smooth_image
from impasto.objective.evaluation import Evaluation
from impasto.run.optimizers.adam import Adam
from impasto.run.optimizers.choice import make_optimizer
from impasto.run.optimizers.gradient_descent import GradientDescent
from impasto.run.optimizers.lbfgs import LBFGS, Spectrum
from impasto.settings.choices import OptimizerName
from impasto.storage.scratch import Scratch

SIZE = (12, 16)


class Bowl:
    """A quadratic ½ (x − c)ᵀ A (x − c) with a given spectrum of curvatures, which counts its evaluations."""

    def __init__(self, condition: float, centre: torch.Tensor) -> None:
        self.curvature = torch.logspace(0, float(torch.tensor(condition).log10()), centre.numel(), dtype=torch.float64)
        self.curvature = self.curvature.view_as(centre)
        self.centre = centre
        self.evaluations = 0

    def __call__(self, x: torch.Tensor) -> Evaluation:
        self.evaluations += 1
        gradient = self.curvature * (x - self.centre)
        return Evaluation(((x - self.centre) * gradient).sum().item() / 2, {}, gradient)


def run(optimizer, evaluate, canvas: torch.Tensor, steps: int) -> tuple[torch.Tensor, list[float]]:
    losses = []
    for _ in range(steps):
        canvas, now = optimizer.step(canvas, evaluate)
        losses.append(now.loss)
    return canvas, losses


@pytest.mark.parametrize(("name", "steps"), [("gd", 400), ("adam", 400), ("lbfgs", 60)])
def test_each_optimizer_finds_the_bottom_of_a_bowl(name, steps):
    centre = 0.2 + 0.6 * smooth_image(*SIZE)
    canvas, losses = run(
        make_optimizer(OptimizerName(name), learning_rate=0.02), Bowl(30, centre), smooth_image(*SIZE, seed=1), steps
    )
    assert losses[-1] < 1e-4 * losses[0]
    assert (canvas - centre).abs().max() < 0.02


@pytest.mark.parametrize("name", list(OptimizerName))
def test_a_canvas_is_never_changed_in_place_and_stays_a_picture(name):
    outside = 3 * smooth_image(*SIZE) - 1  # a bottom that lies outside [0, 1] for most pixels
    canvas = smooth_image(*SIZE, seed=1)
    optimizer, bowl = make_optimizer(name, learning_rate=0.05), Bowl(10, outside)
    for _ in range(20):
        before = canvas.clone()
        after, _ = optimizer.step(canvas, bowl)
        assert torch.equal(canvas, before)
        assert after.min() >= 0
        assert after.max() <= 1
        canvas = after
    assert (canvas - outside.clamp(0, 1)).abs().mean() < 0.05


@pytest.mark.parametrize("factor", [1e-28, 1e-20, 1e20, 1e26])
@pytest.mark.parametrize("name", ["gd", "lbfgs"])
def test_objectives_whose_squares_leave_float32_are_descended_all_the_same(name, factor):
    bowl, canvas = Bowl(3, smooth_image(*SIZE).float()), smooth_image(*SIZE, seed=1).float()

    def scaled(x: torch.Tensor) -> Evaluation:
        there = bowl(x)
        return Evaluation(there.loss * factor, {}, (there.gradient * factor).float())

    canvas, losses = run(make_optimizer(OptimizerName(name)), scaled, canvas, 12)
    assert canvas.isfinite().all()
    assert losses[-1] < losses[0]


def test_gradient_descent_never_lets_the_loss_rise_however_badly_its_step_is_guessed(tiny):
    optimizer = GradientDescent()
    optimizer.length = 1e9
    _, losses = run(optimizer, Bowl(300, smooth_image(*SIZE)), smooth_image(*SIZE, seed=1), 60)
    assert all(later <= earlier for earlier, later in pairwise(losses))
    assert losses[-1] < losses[0] / 100


def test_gradient_descent_is_the_negative_gradient_times_a_step():
    canvas, bowl = 0.4 + 0.2 * smooth_image(*SIZE), Bowl(3, 0.4 + 0.2 * smooth_image(*SIZE, seed=1))
    after, now = GradientDescent().step(canvas, bowl)
    moved = (after - canvas).flatten()
    assert torch.cosine_similarity(moved, -now.gradient.flatten(), dim=0).item() == pytest.approx(1)


def test_an_accepted_step_of_gradient_descent_costs_one_evaluation():
    optimizer, bowl = GradientDescent(), Bowl(1, smooth_image(*SIZE))
    optimizer.length = 0.1
    run(optimizer, bowl, smooth_image(*SIZE, seed=1), 3)
    assert bowl.evaluations == 4


def test_adam_equals_the_algorithm_written_out_in_numpy():
    bowl, canvas = Bowl(5, 0.4 + 0.2 * smooth_image(*SIZE)), 0.4 + 0.2 * smooth_image(*SIZE, seed=1)
    found, _ = run(Adam(0.01), bowl, canvas, 5)
    x, m, v = canvas.numpy(), 0.0, 0.0
    for t in range(1, 6):
        g = bowl(torch.from_numpy(x)).gradient.numpy()
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        spread = (v / (1 - 0.99**t)) ** 0.5
        x = x - 0.01 * (m / (1 - 0.9**t)) / (spread + 1e-8 + 1e-3 * spread.mean())
    torch.testing.assert_close(found, torch.from_numpy(x))


def test_lbfgs_takes_one_evaluation_a_step_and_beats_gradient_descent():
    bowl = Bowl(1000, smooth_image(*SIZE))
    _, quick = run(LBFGS(), bowl, smooth_image(*SIZE, seed=1), 40)
    assert bowl.evaluations == 40
    _, slow = run(GradientDescent(), bowl, smooth_image(*SIZE, seed=1), 40)
    assert min(quick) < min(slow) / 3


def test_preconditioned_lbfgs_equals_plain_lbfgs_on_scaled_spectrum_coefficients():
    """Optimising z with x = P^½ z takes the same canvases as L-BFGS on x with the initial inverse Hessian γ P."""

    class Root(Spectrum):
        def __init__(self, canvas: torch.Tensor) -> None:
            super().__init__(canvas)
            self.gain = self.gain.sqrt()

    class Flat(Spectrum):
        def __init__(self, canvas: torch.Tensor) -> None:
            super().__init__(canvas)
            self.gain = torch.ones_like(self.gain)

    class Free(LBFGS):
        """The same without the clamp, which acts on pixels and not on coefficients."""

        def step(self, canvas, evaluate):
            now = evaluate(canvas)
            if self.last is not None:
                self._remember(canvas, now.gradient, *self.last)
            self.last = (canvas, now.gradient)
            return canvas + self._direction(now.gradient), now

    bowl, canvas = Bowl(20, smooth_image(*SIZE)), smooth_image(*SIZE, seed=1)
    root = Root(canvas)
    inverse = Root(canvas)
    inverse.gain = 1 / root.gain

    def on_coefficients(z: torch.Tensor) -> Evaluation:
        there = bowl(root(z))
        return Evaluation(there.loss, {}, root(there.gradient))

    plain, preconditioned = Free(), Free()
    plain.precondition, preconditioned.precondition = Flat(canvas), Spectrum(canvas)
    z, x = inverse(canvas), canvas
    for step in range(12):
        if step == 0:  # both first moves are arbitrary lengths along the same direction: make them the same
            there = bowl(x)
            move = -1e-3 * Spectrum(canvas)(there.gradient)
            plain.last, preconditioned.last = (z, on_coefficients(z).gradient), (x, there.gradient)
            z, x = z + inverse(move), x + move
            continue
        z, _ = plain.step(z, on_coefficients)
        x, _ = preconditioned.step(x, bowl)
        torch.testing.assert_close(root(z), x, rtol=1e-6, atol=1e-6)


def test_lbfgs_goes_back_towards_the_best_canvas_when_the_loss_rises():
    bowl, canvas, optimizer = Bowl(10, smooth_image(*SIZE)), smooth_image(*SIZE, seed=1), LBFGS()
    run(optimizer, bowl, canvas, 5)
    assert optimizer.best is not None
    best = optimizer.best[0]
    far = 1 - best
    after, now = optimizer.step(far, bowl)
    assert now.loss > optimizer.best[1]
    torch.testing.assert_close(after, best + 0.25 * (far - best))
    _, losses = run(optimizer, bowl, after, 20)
    assert losses[-1] < optimizer.RETREAT * now.loss


def test_lbfgs_learns_nothing_from_a_step_that_the_gradient_hardly_answered():
    """Where the first step leads along a valley and the gradient turns across it, sᵀy says next to nothing."""
    canvas = torch.full((1, 3, *SIZE), 0.5, dtype=torch.float64)
    across = torch.zeros_like(canvas)
    across[..., ::2] = 1.0
    turned: list[float] = []

    def valley(x: torch.Tensor) -> Evaluation:
        gradient = torch.full_like(x, 1e-3)
        if turned:
            gradient = gradient * (1 - 1e-3) + across - across.mean()
        turned.append(1.0)
        return Evaluation(1 / len(turned), {}, gradient)

    optimizer = LBFGS()
    for _ in range(2):
        before, (canvas, _) = canvas, optimizer.step(canvas, valley)
    assert (canvas - before).square().mean().sqrt() < 0.05


def test_resized_adam_keeps_interpolated_moments_and_goes_on():
    optimizer = Adam(0.02)
    run(optimizer, Bowl(5, smooth_image(*SIZE)), smooth_image(*SIZE, seed=1), 3)
    bigger = optimizer.at_scale((24, 32))
    assert bigger.steps == 3
    assert bigger.first is not None
    assert optimizer.first is not None
    assert bigger.first.shape == (1, 3, 24, 32)
    assert bigger.first.mean().item() == pytest.approx(optimizer.first.mean().item(), rel=1e-2)
    run(bigger, Bowl(5, smooth_image(24, 32)), smooth_image(24, 32, seed=1), 2)


@pytest.mark.parametrize("name", list(OptimizerName))
def test_at_a_minimum_nothing_moves_and_nothing_breaks(name):
    canvas = 0.2 + 0.5 * smooth_image(*SIZE)
    after, now = make_optimizer(name, learning_rate=0.02).step(canvas, Bowl(3, canvas.clone()))
    assert now.loss == 0
    torch.testing.assert_close(after, canvas)


@pytest.fixture
def narrow(monkeypatch):
    """Bands of a few rows of these small canvases."""
    monkeypatch.setattr(Scratch, "BAND", 1000)
    monkeypatch.setattr(Scratch, "SMALL", 100)


@pytest.mark.parametrize("name", list(OptimizerName))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_canvases_in_files_are_the_same_to_the_bit_as_canvases_in_memory(name, dtype, narrow, tmp_path):
    def in_type(bowl):
        def evaluate(x):
            there = bowl(x.double())
            return Evaluation(there.loss, {}, there.gradient.to(dtype))

        return evaluate

    found = []
    for folder in (None, tmp_path):
        scratch = Scratch(folder)
        optimizer = make_optimizer(name, history=3, scratch=scratch)
        first, second = (smooth_image(*size, seed=1, dtype=dtype) for size in (SIZE, (24, 32)))
        canvas, losses = run(optimizer, in_type(Bowl(20, smooth_image(*SIZE))), first, 8)
        bigger, more = run(optimizer.at_scale((24, 32)), in_type(Bowl(20, smooth_image(24, 32))), second, 3)
        found.append((canvas, bigger, losses, more))
        assert (scratch.peak > 0) == (folder is not None)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert found[0][2:] == found[1][2:]


@pytest.mark.parametrize("name", list(OptimizerName))
def test_many_bands_take_the_steps_of_one(name, monkeypatch):
    results = []
    for band in (2**20, 1000):
        monkeypatch.setattr(Scratch, "BAND", band)
        results.append(run(make_optimizer(name), Bowl(20, smooth_image(*SIZE)), smooth_image(*SIZE, seed=1), 12)[0])
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [(12, 16), (13, 17), (50, 3)])
def test_a_spectrum_filtered_by_bands_equals_the_whole_one(size, narrow, tmp_path):
    picture = smooth_image(*size)
    whole = torch.fft.irfft2(torch.fft.rfft2(picture) * Spectrum(picture).gain_of(slice(None)), s=size)
    for scratch in (Scratch(), Scratch(tmp_path)):
        banded = Spectrum(picture, scratch)
        assert banded.gain is None
        torch.testing.assert_close(banded(picture), whole, rtol=1e-10, atol=1e-10)
        again = picture.clone()
        assert banded(again, into=again) is again
        torch.testing.assert_close(again, whole, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", list(OptimizerName))
@pytest.mark.parametrize("after", [0, 1, 4])
def test_an_optimizer_restored_from_its_state_goes_on_to_the_bit(name, after):
    bowl = Bowl(200, 0.5 + 0.4 * (smooth_image(*SIZE) - 0.5))
    optimizer = make_optimizer(name, learning_rate=0.03, history=3)
    canvas, _ = run(optimizer, bowl, smooth_image(*SIZE, seed=1), after)
    state = optimizer.state()
    other = make_optimizer(name, learning_rate=0.5, history=3).load_state(state)
    there, losses = run(optimizer, bowl, canvas, 6)
    found, again = run(other, bowl, canvas, 6)
    assert torch.equal(found, there)
    assert again == losses
    late, _ = run(make_optimizer(name, learning_rate=0.5, history=3).load_state(state), bowl, canvas, 6)
    assert torch.equal(late, there), "going on must not change a state that was taken before"


def test_gradient_descent_restored_doesnt_evaluate_the_same_canvas_again():
    bowl, optimizer = Bowl(1, smooth_image(*SIZE)), GradientDescent()
    canvas, _ = run(optimizer, bowl, smooth_image(*SIZE, seed=1), 1)
    restored, before = GradientDescent().load_state(optimizer.state()), bowl.evaluations
    restored.length = 0.1
    restored.step(canvas, bowl)
    assert bowl.evaluations == before + 1


@pytest.mark.parametrize("name", list(OptimizerName))
def test_a_shorter_optimizer_has_no_past_and_moves_a_quarter_as_far_at_every_scale(name):
    bowl, canvas = Bowl(3, 0.4 + 0.2 * smooth_image(*SIZE)), 0.4 + 0.2 * smooth_image(*SIZE, seed=1)
    usual = make_optimizer(name, learning_rate=0.02)
    first, _ = make_optimizer(name, learning_rate=0.02).step(canvas, bowl)
    run(usual, bowl, canvas, 3)
    for shorter in (usual.with_shorter_steps(), usual.with_shorter_steps().at_scale(SIZE)):
        after, _ = shorter.step(canvas, bowl)
        torch.testing.assert_close(after - canvas, (first - canvas) / 4)
