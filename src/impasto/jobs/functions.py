"""Whole jobs in one call, for those who want no events: `stylize` and `synthesize`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Unpack

import PIL.Image

from impasto.errors import SettingsError
from impasto.images.writing import PaintedImage, to_pil
from impasto.jobs.inputs import Source
from impasto.jobs.stylization import Stylization
from impasto.jobs.surroundings import usual_modes
from impasto.jobs.texture import Texture
from impasto.run.events import Event, Finished
from impasto.settings import conflicts
from impasto.settings.knobs import Knobs, TextureKnobs
from impasto.settings.settings import Settings


def stylize(
    content: Source,
    *styles: Source,
    masks: Sequence[Source] = (),
    style_masks: Sequence[Source] = (),
    start: Source | None = None,
    strengths: Source | None = None,
    progress: Callable[[Event], object] | None = None,
    settings: Settings | None = None,
    **knobs: Unpack[Knobs],
) -> PIL.Image.Image:
    """Paints a photo in the manner of one or more paintings and returns the picture, RGB or RGBA, 8 bits.

    Its `save` takes the recipe along, for `impasto rerun`. `masks`, `style_masks` (one for each style), `start` and
    `strengths` are images, for which the knobs `mask`, `style_mask`, `init` and `strength_map` name files. `progress`
    is called with each event. Knobs are fields of `Settings`: `stylize("photo.jpg", "painting.jpg", size=512)`. Raises
    `ImpastoError`.
    """
    chosen = _settings(settings, knobs)
    job = Stylization(content, styles, chosen, masks=masks, style_masks=style_masks, start=start, strengths=strengths)
    last = _finished(job.events(), progress)
    with usual_modes():
        picture, recipe = to_pil(last.picture, job.alpha(last.picture)), job.recipe().without_folders()
        return PaintedImage.of(picture, recipe.to_json(), camera=job.camera(), dpi=job.dpi)


def synthesize(
    style: Source,
    size: tuple[int, int],
    *,
    seamless: bool = False,
    progress: Callable[[Event], object] | None = None,
    settings: Settings | None = None,
    **knobs: Unpack[TextureKnobs],
) -> PIL.Image.Image:
    """A texture of (w, h) pixels in the manner of a style image or swatch, RGB, 8 bits; `seamless` ones tile.

    `progress` is called with each event. Knobs are fields of `Settings`; those that need a content image don't matter.
    Raises `ImpastoError`.
    """
    made = Texture(style, size, _settings(settings, knobs), seamless=seamless)
    return PaintedImage.of(to_pil(_finished(made.events(), progress).picture), None)


def _settings(settings: Settings | None, knobs: Mapping[str, Any]) -> Settings:
    if settings is not None and knobs:
        raise SettingsError("Both settings and knobs were given", "use settings.model_copy or knobs alone")
    chosen = settings or Settings(**knobs)
    conflicts.check_given(chosen, knobs)
    return chosen


def _finished(events: Iterable[Event], progress: Callable[[Event], object] | None = None) -> Finished:
    """The last event; the ones before it, which have pictures, aren't kept."""
    for event in events:
        if progress is not None:
            progress(event)
        if isinstance(event, Finished):
            return event
        del event
    raise AssertionError("a run ends with Finished")
