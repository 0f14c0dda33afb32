"""What all tests have at hand; the process that only hands them out loads no torch for it."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from impasto.network.vgg import VGG19

# A thread for each of pytest's processes, which doesn't spin while it waits: before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "0")


def pytest_collection_finish() -> None:
    """Torch's half a million objects stay: the garbage collector needn't look through them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def tiny() -> VGG19:
    from helpers import tiny_weights
    from impasto.network.vgg import VGG19

    return VGG19(tiny_weights()).double()


@pytest.fixture(scope="session")
def real() -> VGG19:
    from impasto.network import weights
    from impasto.network.vgg import VGG19

    return VGG19(weights.load())
