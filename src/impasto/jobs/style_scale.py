"""`style_scale` auto: decided once, before a job plans by its number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from impasto.jobs.inputs import Source, open_image, open_style
from impasto.jobs.network import Network
from impasto.jobs.surroundings import usual_modes
from impasto.objective.style_scale import CANDIDATES, LONGEST, nearest_style_scale
from impasto.settings.settings import Settings

NEEDED = math.ceil(LONGEST * max(CANDIDATES))
"""Pixels of an image's longest side that count for the comparison."""


def settled_style_scale(
    settings: Settings, content: Source, styles: Sequence[Source], network: Callable[[], Network]
) -> Settings:
    """Settings with the number that `style_scale` auto stands for on these images; raises `ImpastoError`.

    Other settings are given back as they are, and no `network` is asked for. Whole images are compared, whatever masks
    say, see `nearest_style_scale`.
    """
    if settings.style_scale != "auto":
        return settings
    small = settings.model_copy(update={"size": NEEDED, "style_scale": 1.0})
    photo = open_image(content, small).pixels
    paintings = [open_style(style, small).pixels for style in styles]
    with usual_modes(settings.threads):
        found = nearest_style_scale(network().engine, photo, paintings, settings.style_weights)
    return settings.model_copy(update={"style_scale": found})
