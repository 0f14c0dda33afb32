"""Torch in float64 as the measure of an engine, and what is compared with it."""

import torch
import torch.nn.functional as F

from helpers import smooth_image
from impasto.network.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.settings.choices import Pooling

NAMES = [layer.name for layer in LAYERS]


def image_of(height, width, seed=0):
    return smooth_image(height, width, seed, dtype=torch.float32)


def random_gradients(features, seed=3):
    """A random gradient for each layer, all of one size."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(f.shape, generator=generator) / f.detach().norm() for name, f in features.items()}


def gradient(network, image, layers, pulled=None):
    leaf = image.clone().requires_grad_()
    features = network.features(leaf, layers)
    pulled = pulled or random_gradients(features)
    return torch.autograd.grad(sum((f * pulled[name].to(f)).sum() for name, f in features.items()), leaf)[0]


class Decided(VGG19):
    """The torch engine, its ReLUs and maxima deciding as `decisions` did.

    Where inputs differ by less than rounding, float32 may decide otherwise than float64, and one such decision changes
    a gradient by 1e-4 to 1e-3, whichever engine runs: torch's own float32 too.
    """

    decisions: dict[str, torch.Tensor] | None = None

    def _compute(self, x, layer, *, keep_input):
        ours = self.decisions
        if ours is None:
            return super()._compute(x, layer, keep_input=keep_input)
        if layer.kind == "relu":
            return x * (ours[layer.name] > 0)
        if layer.kind == "pool" and self.pooling is Pooling.MAX:
            before = NAMES[NAMES.index(layer.name) - 1]
            where = F.max_pool2d(ours[before].contiguous(), 2, return_indices=True)[1]
            return x.flatten(2).gather(2, where.flatten(2)).view(where.shape)
        return super()._compute(x, layer, keep_input=True)


def error(found, exact):
    return ((found.double() - exact).norm() / exact.norm()).item()


def assert_equal_to_exact(engine, reference, image, layers):
    """Features and a gradient of `engine` are those of `reference` in float64, to 1e-5."""
    reference.decisions = None
    exact = reference.features(image.double(), layers)
    found = engine.features(image, layers)
    assert list(found) == sorted(layers, key=NAMES.index)
    for name in layers:
        assert error(found[name], exact[name]) < 1e-5, name
    deepest = max(NAMES.index(name) for name in layers)
    reference.decisions = engine.features(image, NAMES[: max(deepest, 1) + 1])
    pulled = random_gradients(found)
    now = gradient(engine, image, layers, pulled)
    assert error(now, gradient(reference, image.double(), layers, pulled)) < 1e-5
