"""Impasto: paint a photo in the manner of a painting, by neural style transfer with VGG19.

The public names load on first use (PEP 562), so that the command line answers without waiting for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from impasto.errors import DivergedError as DivergedError
    from impasto.errors import ImageError as ImageError
    from impasto.errors import ImpastoError as ImpastoError
    from impasto.errors import SettingsError as SettingsError
    from impasto.errors import WeightsError as WeightsError
    from impasto.jobs.asynchronous import async_events as async_events
    from impasto.jobs.functions import stylize as stylize
    from impasto.jobs.functions import synthesize as synthesize
    from impasto.jobs.notebook import LivePreview as LivePreview
    from impasto.jobs.notebook_widget import StylizationWidget as StylizationWidget
    from impasto.jobs.stylization import Stylization as Stylization
    from impasto.jobs.texture import Texture as Texture
    from impasto.network.vgg import VGG19 as VGG19
    from impasto.settings.knobs import Knobs as Knobs
    from impasto.settings.settings import Settings as Settings

_HOMES = {
    "DivergedError": "errors",
    "ImageError": "errors",
    "ImpastoError": "errors",
    "SettingsError": "errors",
    "WeightsError": "errors",
    "async_events": "jobs.asynchronous",
    "LivePreview": "jobs.notebook",
    "Stylization": "jobs.stylization",
    "StylizationWidget": "jobs.notebook_widget",
    "stylize": "jobs.functions",
    "Knobs": "settings.knobs",
    "Settings": "settings.settings",
    "Texture": "jobs.texture",
    "synthesize": "jobs.functions",
    "VGG19": "network.vgg",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("impasto")
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    from impasto.storage.process import short_waits

    with short_waits():
        return getattr(import_module(f"impasto.{_HOMES[name]}"), name)
