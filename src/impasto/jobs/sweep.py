"""One photo in the manner of the same paintings over a grid of settings, its inputs loaded and measured once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import cache, partial
from pathlib import Path

from impasto import swatches
from impasto.errors import DivergedError
from impasto.images.io import Picture
from impasto.jobs.stylization import Network, Source, Stylization, load_network, open_picture, open_style
from impasto.network.stages import evaluation_pixels
from impasto.objective.targets import Remembered
from impasto.run.events import Event
from impasto.settings.grid import Cell
from impasto.settings.settings import Settings

NETWORK_KNOBS = ("weights", "pooling", "padding", "device", "engine", "precision", "compile")
"""What a network is made from."""

NOT_IN_TARGETS = frozenset(
    {
        *("objective", "content_weight", "style_weight", "content_layer_weights", "layer_weights", "tv_weight"),
        *("strength", "optimizer", "learning_rate", "epochs", "steps_per_epoch", "scales", "step_ratio", "detail"),
        *("negligible", "init", "max_memory", "scratch", "history", "max_pixels"),
    }
)
"""Knobs that leave what the inputs show the network as it is; a new knob doesn't, until it is named here."""

LOOK = 0.5
"""What looking at a picture takes, relative to looking and coming back with a gradient, see `evaluation_pixels`."""


class Sweep:
    """The paintings of a grid, everything checked and loaded before the first is begun; raises `ImpastoError`."""

    def __init__(self, content: Source, styles: Sequence[Source], cells: Sequence[Cell]) -> None:
        strictest = min((cell.settings for cell in cells), key=lambda settings: settings.max_pixels)
        photo = open_picture(content, strictest)
        opened = [style if _is_swatch(style) else open_style(style, strictest) for style in styles]
        named = cache(partial(open_picture, settings=strictest))  # what --init and --mask name
        shown: dict[int, list[Picture]] = {}
        networks: dict[tuple[object, ...], Network] = {}
        self.cells = tuple(cells)
        self.paintings: list[Stylization] = []
        for settings in (cell.settings for cell in cells):
            made_from = _values(settings, NETWORK_KNOBS)
            if settings.size not in shown:
                shown[settings.size] = [open_style(style, settings) for style in opened]
            if made_from not in networks:
                networks[made_from] = load_network(settings)
            network, painted = networks[made_from], shown[settings.size]
            self.paintings.append(Stylization(photo, painted, settings, network=network, opened=named))
        self.together: dict[tuple[object, ...], list[int]] = {}
        for number, cell in enumerate(cells):
            targets = _values(cell.settings, sorted(Settings.model_fields.keys() - NOT_IN_TARGETS))
            self.together.setdefault(targets, []).append(number)
        self.estimates = self._estimates()

    @property
    def seconds(self) -> float:
        """The time that all of it may take."""
        return sum(self.estimates)

    def _estimates(self) -> list[float]:
        """Seconds that each run may take; what several see of their inputs counts with the first that looks."""
        speeds: dict[tuple[object, ...], float] = {}
        found = [0.0] * len(self.cells)
        for numbers in self.together.values():
            looked: set[tuple[int, int]] = set()
            for number in numbers:
                painting, settings = self.paintings[number], self.cells[number].settings
                layers, plan = (*settings.content_layers, *settings.style_layers), painting.plan
                way = (layers, plan.tile, plan.spare, painting.network.cost)
                work = {scale.size: evaluation_pixels(scale.size, *way) for scale in painting.scales}
                steps = sum(scale.steps * work[scale.size] for scale in painting.scales)
                seen = 1 + len(painting.styles) * settings.style_scale**2
                looks = sum(LOOK * seen * pixels for size, pixels in work.items() if size not in looked)
                looked |= work.keys()
                network = (_values(settings, NETWORK_KNOBS), layers)
                if network not in speeds:
                    speeds[network] = painting.prospect().seconds / steps
                found[number] = speeds[network] * (steps + looks)
        return found

    def events(self) -> Generator[tuple[int, Event | DivergedError]]:
        """Every run's events, with the number of its cell, cells of the same targets one after another.

        A run that diverges ends with its error, which has the last good picture, and the next one begins.
        """
        for numbers in self.together.values():
            remembered: Remembered = {}
            for number in numbers:
                painting = self.paintings[number]
                painting.remembered = remembered
                try:
                    for event in painting.events():
                        yield number, event
                except DivergedError as error:
                    yield number, error


def _values(settings: Settings, knobs: Sequence[str]) -> tuple[object, ...]:
    return tuple(getattr(settings, knob) for knob in knobs)


def _is_swatch(style: Source) -> bool:
    """Whether it is painted on the spot, at a size that depends on the run's."""
    return isinstance(style, str) and not Path(style).exists() and style in swatches.names()
