"""The objective of the notebook that Gatys' own implementation comes in, written out anew in plain torch."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from helpers import PlannedRun, smooth_image
from impasto.images.size import size_of
from impasto.network import weights
from impasto.network.layers import CONVOLUTIONS
from impasto.network.vgg import VGG19
from impasto.network.weights import CAFFE, Weights
from impasto.settings import presets
from impasto.settings.settings import Settings

PRESET = dict(presets.load("gatys-notebook").knobs)
STYLE = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}
BLOCKS = (2, 2, 4, 4, 1)
MEAN = (103.939, 116.779, 123.68)


def random_weights() -> Weights:
    """Weights for all of VGG19's channels, whose features neither die nor explode."""
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for name, (before, after) in CONVOLUTIONS.items():
        scale = (2 / (9 * before)) ** 0.5
        tensors[f"{name}.weight"] = scale * torch.randn(after, before, 3, 3, generator=generator, dtype=torch.float64)
        tensors[f"{name}.bias"] = 0.1 * torch.randn(after, generator=generator, dtype=torch.float64)
    return Weights(tensors, CAFFE, "random", "0" * 64)


def features(tensors: dict[str, torch.Tensor], image: torch.Tensor) -> dict[str, torch.Tensor]:
    """BGR, 0 to 255, each mean subtracted, zero padding, maxima of 2×2."""
    x = torch.stack([255 * image[0, 2 - c] - MEAN[c] for c in range(3)])[None]
    found = {}
    for block, count in enumerate(BLOCKS, start=1):
        for number in range(1, count + 1):
            weight = tensors[f"conv{block}_{number}.weight"]
            weight = weight.flip(1) if (block, number) == (1, 1) else weight
            x = F.relu(F.conv2d(x, weight, tensors[f"conv{block}_{number}.bias"], padding=1))
            found[f"relu{block}_{number}"] = x
        x = F.max_pool2d(x, 2)
    return found


def gram(f: torch.Tensor) -> torch.Tensor:
    return torch.einsum("cij,dij->cd", f[0], f[0]) / f[0, 0].numel()


def their_loss(
    tensors: dict[str, torch.Tensor], content: torch.Tensor, style: torch.Tensor, canvas: torch.Tensor
) -> torch.Tensor:
    now, p, s = (features(tensors, image) for image in (canvas, content, style))
    loss = (now["relu4_2"] - p["relu4_2"]).square().mean()
    for layer, n in STYLE.items():
        loss = loss + 1e3 / n**2 * (gram(now[layer]) - gram(s[layer])).square().mean()
    return loss


def assert_the_same(given: Weights, knobs: dict, size: tuple[int, int], masks=()) -> None:
    given = replace(given, tensors={name: tensor.double() for name, tensor in given.tensors.items()})
    settings = Settings(**PRESET | {"size": max(size), "device": "cpu"} | knobs)
    network = VGG19(given, pooling=settings.pooling, padding=settings.padding)
    content, style = smooth_image(*size, seed=1), smooth_image(max(size), 40, seed=2)
    canvas = smooth_image(*size, seed=3).requires_grad_()
    problem = PlannedRun(settings, network, content, [style], masks=masks).problem
    found = problem.at(size_of(content)).objective.evaluate(canvas.detach())
    wanted = their_loss(given.tensors, content, style, canvas)
    (gradient,) = torch.autograd.grad(wanted, canvas)
    assert found.loss == pytest.approx(wanted.item(), rel=1e-6)
    off = (found.gradient - gradient).abs().max() / gradient.abs().max()
    assert off < 1e-6


@pytest.mark.parametrize("size", [(51, 39), pytest.param((48, 64), marks=pytest.mark.slow)])
def test_the_notebooks_loss_and_its_gradient_are_those_of_its_formulas_written_out(size):
    assert_the_same(random_weights(), {}, size)


@pytest.mark.slow
def test_the_notebooks_loss_and_its_gradient_in_tiles_are_the_same():
    assert_the_same(random_weights(), {"tile": 64}, (48, 100))


@pytest.mark.slow
def test_the_notebooks_loss_and_its_gradient_with_the_real_weights_are_those_of_its_formulas_written_out():
    assert_the_same(weights.load(), {}, (96, 128))


@pytest.mark.slow
def test_the_notebooks_content_loss_is_a_mean_at_every_size():
    content, style = smooth_image(64, 96, seed=1), smooth_image(96, 40, seed=2)
    given = random_weights()
    settings = Settings(**PRESET | {"size": 96, "device": "cpu", "scales": 2, "style_weight": 0.0})
    problem = PlannedRun(settings, VGG19(given), content, [style]).problem
    for size in ((32, 48), (64, 96)):
        objective, canvas = problem.at(size).objective, smooth_image(*size, seed=3)
        small = problem.transform(size).content()
        off = features(given.tensors, canvas)["relu4_2"] - features(given.tensors, small)["relu4_2"]
        assert objective.evaluate(canvas).parts["content/relu4_2"] == pytest.approx(off.square().mean().item())
