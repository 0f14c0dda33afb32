"""Images that several jobs need, opened once for all those that would read the same pixels of a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from impasto.images.reading import SourceImage
from impasto.images.shrinking import factor_of
from impasto.images.size import canvas_size
from impasto.jobs.inputs import Opener, Source, open_image, open_style, style_pixels
from impasto.jobs.network import Network
from impasto.jobs.style_scale import settled_style_scale, unsettled
from impasto.settings import roles
from impasto.settings.settings import Settings

TARGET_KNOBS = roles.affecting(roles.Affects.NETWORK, roles.Affects.TARGETS)
"""What targets depend on."""


class SharedImages:
    """Opens images within the limits of `settings`, each once for all the jobs that would read it alike.

    A huge file is shrunk by how many pixels a job needs of it, whatever other jobs need: so a picture that was painted
    beside others is painted again alone, to the bit.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._opened: dict[object, list[tuple[int | None, SourceImage]]] = {}
        self._style_scales: dict[tuple[object, ...], float | str] = {}
        self._swatches: dict[tuple[str, int], SourceImage] = {}

    def settled(
        self, content: Source, styles: Sequence[Source], settings: Settings, network: Callable[[], Network]
    ) -> Settings:
        """See `settled_style_scale`; decided once for all jobs of a network that blend the styles alike."""
        if settings.style_scale != "auto":
            return settings
        key = (id(network().engine), settings.style_weights)
        if key not in self._style_scales:
            image, opened, _ = self.of_job(content, styles, unsettled(settings))
            self._style_scales[key] = settled_style_scale(settings, image, opened, network).style_scale
        return settings.model_copy(update={"style_scale": self._style_scales[key]})

    def of_job(
        self, content: Source, styles: Sequence[Source], settings: Settings
    ) -> tuple[SourceImage, list[SourceImage], Opener]:
        """Content and styles of a job, and the way to open what its settings name; raises `ImageError`."""
        image = self.open(content, settings.longest_side)
        longest = max(canvas_size(image.size, settings.longest_side))
        opened = [self._style(style, longest, settings) for style in styles]
        return image, opened, partial(self.open, needed=settings.longest_side)

    def open(self, source: Source, needed: int | None) -> SourceImage:
        """The image of which `needed` pixels of the longest side count, None for all; raises `ImageError`."""
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else id(source)
        known = self._opened.setdefault(name, [])
        for before, image in known:
            height, width = image.size
            if factor_of((width, height), before) == factor_of((width, height), needed):
                return image
        image = open_image(source, self.settings.model_copy(update={"size": needed or "original"}))
        known.append((needed, image))
        return image

    def _style(self, style: Source, longest: int, settings: Settings) -> SourceImage:
        if not isinstance(style, str) or Path(style).exists():
            return open_style(self.open(style, style_pixels(longest, settings)), settings)
        if (style, longest) not in self._swatches:
            self._swatches[style, longest] = open_style(style, settings, longest)
        return self._swatches[style, longest]
