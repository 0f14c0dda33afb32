"""One photo in the manner of the same paintings over a grid of settings, its inputs loaded and measured once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from impasto import swatches
from impasto.errors import DivergedError
from impasto.events import Event
from impasto.grid import Cell
from impasto.images import Picture
from impasto.painting import Network, Painting, Source, load_network, open_picture, open_style
from impasto.settings import Settings
from impasto.targets import Remembered

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


class Sweep:
    """The paintings of a grid, everything checked and loaded before the first is begun; raises `ImpastoError`."""

    def __init__(self, content: Source, styles: Sequence[Source], cells: Sequence[Cell]) -> None:
        strictest = min((cell.settings for cell in cells), key=lambda settings: settings.max_pixels)
        photo = open_picture(content, strictest)
        opened = [style if _is_swatch(style) else open_style(style, strictest) for style in styles]
        shown: dict[int, list[Picture]] = {}
        networks: dict[tuple[object, ...], Network] = {}
        self.cells = tuple(cells)
        self.paintings: list[Painting] = []
        for settings in (cell.settings for cell in cells):
            made_from = _values(settings, NETWORK_KNOBS)
            if settings.size not in shown:
                shown[settings.size] = [open_style(style, settings) for style in opened]
            if made_from not in networks:
                networks[made_from] = load_network(settings)
            self.paintings.append(Painting(photo, shown[settings.size], settings, network=networks[made_from]))
        self.prospects = [painting.prospect() for painting in self.paintings]

    @property
    def seconds(self) -> float:
        """The time that all of it may take."""
        return sum(prospect.seconds for prospect in self.prospects)

    def events(self) -> Generator[tuple[int, Event | DivergedError]]:
        """Every run's events, with the number of its cell, cells of the same targets one after another.

        A run that diverges ends with its error, which has the last good picture, and the next one begins.
        """

        def targets_of(number: int) -> tuple[object, ...]:
            return _values(self.cells[number].settings, sorted(Settings.model_fields.keys() - NOT_IN_TARGETS))

        together: dict[tuple[object, ...], list[int]] = {}
        for number in range(len(self.cells)):
            together.setdefault(targets_of(number), []).append(number)
        for numbers in together.values():
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
