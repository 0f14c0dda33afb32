"""The time that a run is said to take counts whatever goes through the network: steps, content and styles."""

from __future__ import annotations

import pytest
import torch

from helpers import smooth_image, tiny_weights
from impasto.jobs.network import Network
from impasto.jobs.stylization import Stylization
from impasto.network.layers import deepest, multiply_adds
from impasto.network.vgg import VGG19
from impasto.run.plan import FORWARD, OVERHEAD
from impasto.settings.settings import Settings

LAYERS = {"style_layers": ("relu1_1", "relu3_1", "relu4_1"), "content_layers": ("relu3_2",)}
ONE_STEP = {"size": 64, "scales": 1, "epochs": 1, "steps_per_epoch": 1, "device": "cpu", "engine": "torch", **LAYERS}


class Counting(VGG19):
    """A network that counts the pixels that go through it, forward alone and with the way back."""

    def __init__(self) -> None:
        super().__init__(tiny_weights(dtype=torch.float32))
        self.forward_only = self.both_ways = 0.0

    def features(self, image, layers, *, below=None):
        layers = list(layers)
        work = multiply_adds(deepest(layers)) - multiply_adds(below)
        stride = 1 if below is None else 8
        pixels = stride**2 * image.shape[2] * image.shape[3] * work / multiply_adds("relu4_1")
        if image.requires_grad:
            self.both_ways += pixels
        else:
            self.forward_only += pixels
        return super().features(image, layers, below=below)


def job(styles=((64, 64),), **knobs) -> tuple[Stylization, Counting]:
    network = Counting()
    images = [smooth_image(*size, seed=n, dtype=torch.float32) for n, size in enumerate(styles)]
    content = smooth_image(48, 64, seed=9, dtype=torch.float32)
    found = Stylization(content, images, Settings(**ONE_STEP | knobs), network=Network(network, "", ""), speed=1.0)
    return found, network


@pytest.mark.parametrize(
    ("styles", "knobs"),
    [
        ([(64, 64)], {}),
        ([(64, 64), (30, 200), (90, 40)], {}),
        ([(64, 64)], {"style_scale": 3}),  # goes in tiles, halos included
        ([(64, 64)], {"style_scale": 0.5}),
        ([(20, 400)], {"style_layers": ("relu1_1", "relu4_1")}),  # is enlarged for its layers
        ([(64, 64)], {"style_scale": 2, "style_loss": "histogram"}),  # counts as far as its middle
        ([(64, 64)], {"style_layers": ("relu1_1",), "content_layers": ("relu4_1",)}),
        ([(80, 80)], {"size": 192, "tile": 64}),
        ([(64, 64)], {"style_loss": "remd"}),
    ],
    ids=str,
)
def test_the_time_planned_counts_all_that_goes_through_the_network_for_steps_content_and_styles(styles, knobs):
    found, network = job(styles, **knobs)
    for _ in found.events():
        pass
    worked = network.both_ways + FORWARD * network.forward_only
    assert found.plan.seconds == pytest.approx(OVERHEAD * worked, rel=0.02)
    assert sum(found.plan.measuring_seconds) > 0.25 * sum(found.plan.step_seconds)


@pytest.mark.parametrize("size", [64, 128])
def test_finding_nearest_neighbours_counts_by_its_multiplications(size):
    times = {}
    for loss in ("w2", "nnst"):
        found, _ = job([(size, size)], size=size, style_loss=loss, content_layers=("relu4_1",))
        times[loss] = found.plan.measuring_seconds[0]
    places, channels = (size // 4 * (size * 3 // 4) // 4) * (size // 4) ** 2, 64 + 256 + 512
    work = places * channels / multiply_adds("relu4_1")
    assert times["nnst"] - times["w2"] == pytest.approx(OVERHEAD * FORWARD * work, rel=0.02)


def test_where_no_layer_has_style_no_time_goes_into_finding_neighbours():
    taken = [job([(64, 64)], size=64, style_loss=loss, style_layers=())[0].plan for loss in ("w2", "nnst")]
    assert taken[0].measuring_seconds == taken[1].measuring_seconds
