"""One content in the same styles over a grid of settings, its inputs loaded and measured once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial

from impasto.errors import DivergedError
from impasto.jobs.inputs import Source
from impasto.jobs.network import Network, load_network, network_key
from impasto.jobs.shared_images import TARGET_KNOBS, SharedImages
from impasto.jobs.stylization import Stylization
from impasto.jobs.surroundings import usual_modes
from impasto.objective.stylization import MeasuredTargets
from impasto.run.events import Event
from impasto.run.plan import measure_speed
from impasto.settings.grid import Cell
from impasto.settings.settings import Settings

Values = tuple[object, ...]
"""Those of some knobs, to tell settings apart that differ in them."""


class Sweep:
    """The stylizations of a grid, all checked, loaded and planned before the first is begun; raises `ImpastoError`."""

    @usual_modes()
    def __init__(self, content: Source, styles: Sequence[Source], cells: Sequence[Cell]) -> None:
        strictest = min((cell.settings for cell in cells), key=lambda settings: settings.max_pixels)
        images = SharedImages(strictest)
        networks: dict[Values, Network] = {}
        speeds: dict[Values, float] = {}
        self.cells = tuple(cells)
        self.stylizations: list[Stylization] = []
        for settings in (cell.settings for cell in cells):
            loaded = partial(_shared, networks, settings)
            settings = images.settled(content, styles, settings, loaded)
            image, opened, named = images.of_job(content, styles, settings)
            network, timed = loaded(), (*network_key(settings), settings.layers)
            if timed not in speeds:
                with usual_modes(settings.threads):
                    speeds[timed] = measure_speed(network.engine, settings.layers)
            self.stylizations.append(
                Stylization(image, opened, settings, network=network, speed=speeds[timed], opener=named)
            )
        self.together: dict[Values, list[int]] = {}
        for number, cell in enumerate(cells):
            self.together.setdefault(_values(cell.settings, TARGET_KNOBS), []).append(number)
        self.estimates = self._estimates()

    @property
    def seconds(self) -> float:
        """The time that all of it may take."""
        return sum(self.estimates)

    def _estimates(self) -> list[float]:
        """Seconds that each run may take; targets that several share count with the first that measures them."""
        found = [0.0] * len(self.cells)
        for numbers in self.together.values():
            measured: set[tuple[int, int]] = set()
            for number in numbers:
                plan = self.stylizations[number].plan
                new = [s for size, s in zip(plan.sizes, plan.measuring_seconds, strict=True) if size not in measured]
                measured |= set(plan.sizes)
                found[number] = sum(plan.step_seconds) + sum(new)
        return found

    def events(self) -> Generator[tuple[int, Event | DivergedError]]:
        """Every run's events, with the number of its cell, cells of the same targets one after another.

        A run that diverges ends with its error, which has the last good picture, and the next one begins.
        """
        for numbers in self.together.values():
            measured: MeasuredTargets = {}
            for number in numbers:
                stylization = self.stylizations[number]
                try:
                    for event in stylization.events(measured=measured):
                        yield number, event
                except DivergedError as error:
                    yield number, error


def _shared(networks: dict[Values, Network], settings: Settings) -> Network:
    """The network that settings ask for, loaded once for all that ask for the same."""
    made_from = network_key(settings)
    if made_from not in networks:
        networks[made_from] = load_network(settings)
    return networks[made_from]


def _values(settings: Settings, knobs: Sequence[str]) -> Values:
    return tuple(getattr(settings, knob) for knob in knobs)
