"""Impasto: paint a photo in the manner of a painting, by neural style transfer with VGG19.

The public names load on first use (PEP 562), so that the command line answers without waiting for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.errors import DivergedError as DivergedError
    from impasto.errors import ImageError as ImageError
    from impasto.errors import ImpastoError as ImpastoError
    from impasto.errors import SettingsError as SettingsError
    from impasto.errors import WeightsError as WeightsError
    from impasto.painting import Painting as Painting
    from impasto.painting import stylize as stylize
    from impasto.settings import Settings as Settings
    from impasto.stylizer import Stylizer as Stylizer
    from impasto.texture import Texture as Texture
    from impasto.texture import synthesize as synthesize
    from impasto.vgg import VGG19 as VGG19

_HOMES = {
    "DivergedError": "errors",
    "ImageError": "errors",
    "ImpastoError": "errors",
    "SettingsError": "errors",
    "WeightsError": "errors",
    "Painting": "painting",
    "stylize": "painting",
    "Settings": "settings",
    "Stylizer": "stylizer",
    "Texture": "texture",
    "synthesize": "texture",
    "VGG19": "vgg",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(import_module(f"impasto.{_HOMES[name]}"), name)
