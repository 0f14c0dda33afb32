"""The network of a job: an engine with its weights, and where those came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from impasto.jobs.surroundings import usual_modes
from impasto.network import weights
from impasto.network.engine import Engine
from impasto.network.engines.choice import decided_precision, make_engine
from impasto.run.plan import measure_speed
from impasto.settings import roles
from impasto.settings.settings import Settings

NETWORK_KNOBS = roles.affecting(roles.Affects.NETWORK)
"""What a network is made from."""


class Network(NamedTuple):
    """VGG19, ready to run, with the source and the SHA-256 of its weights, which the engine may keep otherwise."""

    engine: Engine
    source: str
    sha256: str


def load_network(settings: Settings) -> Network:
    """The network that `settings` ask for; raises `ImpastoError` where it can't be had."""
    loaded = weights.load(settings.weights)
    return Network(make_engine(settings, loaded), loaded.source, loaded.sha256)


def network_key(settings: Settings) -> tuple[object, ...]:
    """What is the same of all settings that one network serves."""
    return (*(getattr(settings, knob) for knob in NETWORK_KNOBS), decided_precision(settings))


class KeptNetwork:
    """The network of the settings that asked last, for a process that does many jobs, with its speed by layers."""

    def __init__(self) -> None:
        self._made_from: tuple[object, ...] = ()
        self._network: Network | None = None
        self._speeds: dict[Sequence[str], float] = {}

    def network(self, settings: Settings) -> Network:
        """The network that `settings` ask for; raises `ImpastoError` where it can't be had."""
        made_from = network_key(settings)
        if self._network is None or made_from != self._made_from:
            self._network = None  # one at a time
            self._network, self._made_from, self._speeds = load_network(settings), made_from, {}
        return self._network

    def speed(self, settings: Settings) -> float:
        """See `measure_speed`; with as many threads as the settings say."""
        engine = self.network(settings).engine
        if settings.layers not in self._speeds:
            with usual_modes(settings.threads):
                self._speeds[settings.layers] = measure_speed(engine, settings.layers)
        return self._speeds[settings.layers]
