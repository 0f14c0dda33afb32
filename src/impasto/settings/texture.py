"""Which settings a texture has: those of a picture, without what takes a photo."""

from __future__ import annotations

from typing import Any

from impasto.errors import SettingsError
from impasto.settings import roles
from impasto.settings.settings import Settings

OWN: dict[str, Any] = roles.set_by_texture()
"""What a texture sets itself, beside `size`: one painting's style is all its loss, and noise in its colours the start.

A loss of that kind alone has its least value at the same canvas whatever it is multiplied by.
"""


def texture_settings(settings: Settings, size: tuple[int, int]) -> Settings:
    """The settings of a texture of (h, w) pixels; raises `SettingsError` where there is nothing to make it from."""
    if not settings.style_layers:
        raise SettingsError(
            "`style_layers` is empty, and a texture has nothing else to go by",
            "name at least one",
            knob="style_layers",
            value=(),
        )
    if settings.style_loss.local:
        raise SettingsError(
            f"`style_loss` is {settings.style_loss.value!r}, which goes by a photo, and a texture has none",
            "use another",
            knob="style_loss",
            value=settings.style_loss.value,
        )
    own: dict[str, Any] = {**OWN, "size": max(size)}
    if settings.style_scale == "auto":  # which goes by a photo
        own["style_scale"] = 1.0
    return Settings(**settings.model_dump() | own)
