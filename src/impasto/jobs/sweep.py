"""One content in the same styles over a grid of settings, its inputs loaded and measured once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import cache, partial

from impasto.errors import DivergedError
from impasto.images.reading import SourceImage
from impasto.jobs.inputs import Source, is_swatch, open_image, open_style
from impasto.jobs.network import Network, load_network
from impasto.jobs.stylization import Stylization
from impasto.jobs.surroundings import usual_modes
from impasto.objective.stylization import MeasuredTargets
from impasto.run.events import Event
from impasto.run.plan import measure_speed
from impasto.settings import roles
from impasto.settings.grid import Cell
from impasto.settings.settings import Settings

NETWORK_KNOBS = roles.affecting(roles.Affects.NETWORK)
TARGET_KNOBS = roles.affecting(roles.Affects.NETWORK, roles.Affects.TARGETS)
"""What a network is made from, and what targets depend on."""

Values = tuple[object, ...]
"""Those of some knobs, to tell settings apart that differ in them."""


class Sweep:
    """The stylizations of a grid, all checked, loaded and planned before the first is begun; raises `ImpastoError`."""

    @usual_modes()
    def __init__(self, content: Source, styles: Sequence[Source], cells: Sequence[Cell]) -> None:
        strictest = min((cell.settings for cell in cells), key=lambda settings: settings.max_pixels)
        # Images are opened once, for the largest picture among them.
        sides, scale = [cell.settings.longest_side for cell in cells], max(cell.settings.style_scale for cell in cells)
        largest = "original" if None in sides else max(side for side in sides if side is not None)
        strictest = strictest.model_copy(update={"size": largest, "style_scale": scale})
        image = open_image(content, strictest)
        opened = [style if is_swatch(style) else open_style(style, strictest) for style in styles]
        named = cache(partial(open_image, settings=strictest))  # what `init` and `mask` name
        sized: dict[int, list[SourceImage]] = {}
        networks: dict[Values, Network] = {}
        speeds: dict[Values, float] = {}
        self.cells = tuple(cells)
        self.stylizations: list[Stylization] = []
        for settings in (cell.settings for cell in cells):
            made_from = _values(settings, NETWORK_KNOBS)
            longest = settings.longest_side or max(image.size)
            if longest not in sized:
                sized[longest] = [open_style(style, settings, longest) for style in opened]
            if made_from not in networks:
                networks[made_from] = load_network(settings)
            network, timed = networks[made_from], (*made_from, settings.layers)
            if timed not in speeds:
                with usual_modes(settings.threads):
                    speeds[timed] = measure_speed(network.engine, settings.layers)
            self.stylizations.append(
                Stylization(image, sized[longest], settings, network=network, speed=speeds[timed], opener=named)
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


def _values(settings: Settings, knobs: Sequence[str]) -> Values:
    return tuple(getattr(settings, knob) for knob in knobs)
