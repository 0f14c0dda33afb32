"""Whole jobs in one call, for those who want no events: `stylize` and `synthesize`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import PIL.Image

from impasto.errors import SettingsError
from impasto.images.writing import to_pil
from impasto.jobs.inputs import Source
from impasto.jobs.stylization import Stylization
from impasto.jobs.surroundings import usual_modes
from impasto.jobs.texture import Texture
from impasto.run.events import Event, Finished
from impasto.settings.settings import Settings


def stylize(content: Source, *styles: Source, settings: Settings | None = None, **knobs: Any) -> PIL.Image.Image:
    """Paints a photo in the manner of one or more paintings and returns the picture, RGB or RGBA, 8 bits.

    Knobs are fields of `Settings`: `stylize("photo.jpg", "painting.jpg", size=512)`. Raises `ImpastoError`.
    """
    job = Stylization(content, styles, _settings(settings, knobs))
    last = _finished(job.events())
    with usual_modes():
        return to_pil(last.picture, job.alpha(last.picture))


def synthesize(
    style: Source, size: tuple[int, int], *, seamless: bool = False, settings: Settings | None = None, **knobs: Any
) -> PIL.Image.Image:
    """A texture of (w, h) pixels in the manner of a style image or swatch, RGB, 8 bits; `seamless` ones tile.

    Knobs are fields of `Settings`; those that need a content image don't matter. Raises `ImpastoError`.
    """
    return to_pil(_finished(Texture(style, size, _settings(settings, knobs), seamless=seamless).events()).picture)


def _settings(settings: Settings | None, knobs: dict[str, Any]) -> Settings:
    if settings is not None and knobs:
        raise SettingsError("Both settings and knobs were given", "use settings.model_copy or knobs alone")
    return settings or Settings(**knobs)


def _finished(events: Iterable[Event]) -> Finished:
    """The last event; the ones before it, which have pictures, aren't kept."""
    return next(event for event in events if isinstance(event, Finished))
