"""`style_scale` auto: decided once, before a job plans by its number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from impasto.images.reading import SourceImage
from impasto.images.shrinking import factor_of
from impasto.jobs.inputs import Source, StylizationInputs, open_style, style_pixels
from impasto.jobs.network import Network
from impasto.jobs.surroundings import usual_modes
from impasto.objective.style_scale import nearest_style_scale
from impasto.settings.settings import Settings


def unsettled(settings: Settings) -> Settings:
    """Settings by which inputs are opened before `style_scale` auto is decided: with 1 in its place."""
    return settings.model_copy(update={"style_scale": 1.0}) if settings.style_scale == "auto" else settings


def settled_style_scale(
    settings: Settings, content: SourceImage, styles: Sequence[SourceImage], network: Callable[[], Network]
) -> Settings:
    """Settings with the number that `style_scale` auto stands for on these images; 1 without styles.

    Other settings are given back as they are, and no `network` is asked for. Whole images are compared, whatever masks
    say, see `nearest_style_scale`.
    """
    if settings.style_scale != "auto":
        return settings
    if not styles:
        return unsettled(settings)
    with usual_modes(settings.threads):
        paintings = [style.pixels for style in styles]
        found = nearest_style_scale(network().engine, content.pixels, paintings, settings.style_weights)
    return settings.model_copy(update={"style_scale": found})


def for_style_scale(inputs: StylizationInputs, styles: Sequence[Source], settings: Settings) -> StylizationInputs:
    """Inputs that were opened for a style scale of 1, with each huge style as another scale shrinks it.

    So a job decides by auto what it would have read by the number.
    """
    longest = max(inputs.canvas_size(settings.longest_side))

    def fitting(source: Source, opened: SourceImage) -> SourceImage:
        before, now = (factor_of(opened.size, n) for n in (longest, style_pixels(longest, settings)))
        return opened if before == now or isinstance(source, SourceImage) else open_style(source, settings, longest)

    return replace(inputs, styles=tuple(map(fitting, styles, inputs.styles)))
