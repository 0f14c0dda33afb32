import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from impasto.network import weights as weight_sources
from impasto.network.layers import CLASSIFIER, CONVOLUTIONS
from impasto.network.vgg import VGG19
from impasto.network.weights import Convention, Weights

TINY_CHANNELS = {"1": 4, "2": 6, "3": 5, "4": 7, "5": 3}


def tiny_weights(seed: int = 0, *, classifier: bool = False, dtype: torch.dtype = torch.float64) -> Weights:
    """VGG19's geometry with a handful of channels: what holds for it holds for the real one, in milliseconds."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        fan_in = int(np.prod(shape[1:]))
        return torch.randn(shape, generator=generator, dtype=dtype) * (2 / fan_in) ** 0.5

    tensors: dict[str, torch.Tensor] = {}
    before = 3
    for name in CONVOLUTIONS:
        after = TINY_CHANNELS[name[4]]
        tensors[f"{name}.weight"] = random(after, before, 3, 3)
        tensors[f"{name}.bias"] = random(after, 9).sum(1) * 0.1
        before = after
    if classifier:
        sizes = {"fc6": (before * 49, 16), "fc7": (16, 16), "fc8": (16, 10)}
        assert sizes.keys() == CLASSIFIER.keys()
        for name, (inputs, outputs) in sizes.items():
            tensors[f"{name}.weight"] = random(outputs, inputs)
            tensors[f"{name}.bias"] = random(outputs, 4).sum(1) * 0.1
    convention = Convention(mean=(0.48, 0.45, 0.41), std=(0.23, 0.22, 0.22))
    return Weights(tensors, convention, "tiny", "0" * 64)


@pytest.fixture
def tiny() -> VGG19:
    return VGG19(tiny_weights()).double()


@pytest.fixture(scope="session")
def real() -> VGG19:
    return VGG19(weight_sources.load())


def smooth_image(height: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A smooth random picture (1, 3, h, w) in [0, 1]: something between noise and a photo."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, 5, 5), generator=generator, dtype=dtype)
    fine = torch.rand((1, 3, height, width), generator=generator, dtype=dtype)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    return (0.8 * smooth + 0.2 * fine).clamp(0, 1)


def written_tests() -> list[str]:
    """The names of all tests there are."""
    files = Path(__file__).parent.glob("*/test_*.py")
    return [name for file in files for name in re.findall(r"^def (test_\w+)\(", file.read_text("utf-8"), re.MULTILINE)]


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file can grow beyond that many bytes: to the process that is a disk which fills up while it writes."""
    resource = pytest.importorskip("resource", reason="this system has no limit on the size of files")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
