"""The network of a job: an engine with its weights, and where those came from."""

from __future__ import annotations

from typing import NamedTuple

from impasto.network import weights
from impasto.network.engine import Engine
from impasto.network.engines.choice import make_engine
from impasto.settings.settings import Settings


class Network(NamedTuple):
    """VGG19, ready to run, with the source and the SHA-256 of its weights, which the engine may keep otherwise."""

    engine: Engine
    source: str
    sha256: str


def load_network(settings: Settings) -> Network:
    """The network that `settings` ask for; raises `ImpastoError` where it can't be had."""
    loaded = weights.load(settings.weights)
    return Network(make_engine(settings, loaded), loaded.source, loaded.sha256)
