"""What it takes to paint a picture again: the settings, the inputs' hashes, the weights' hash and the versions."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from impasto.errors import ImageError
from impasto.settings import Settings

KEY = "impasto"
"""The recipe's own mark in a picture's metadata, so that a stranger's note isn't taken for one."""


@dataclass(frozen=True)
class Ingredient:
    """One input picture: its name, where it was read from (None: memory or a swatch) and the SHA-256 of its bytes."""

    name: str
    path: str | None
    sha256: str


@dataclass(frozen=True)
class Recipe:
    """A finished run's inputs and surroundings; written into the picture, read by `impasto inspect` and `rerun`."""

    version: str
    settings: dict[str, Any]
    content: Ingredient
    styles: tuple[Ingredient, ...]
    init: Ingredient | None
    weights_sha256: str
    torch: str
    threads: int
    machine: str
    masks: tuple[Ingredient, ...] = ()

    @property
    def engine(self) -> str:
        """Which engine ran; pictures from before there was a choice had torch."""
        return self.settings.get("engine", "torch")

    def to_json(self) -> str:
        """The recipe as the note that goes into the picture's metadata."""
        return json.dumps({KEY: asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, note: str | None, where: str) -> Recipe:
        """The recipe in a picture's note; raises `ImageError` naming the file `where` if there is none."""
        try:
            fields = json.loads(note or "")[KEY]
            parts = {
                "content": Ingredient(**fields.pop("content")),
                "styles": tuple(Ingredient(**style) for style in fields.pop("styles")),
                "masks": tuple(Ingredient(**mask) for mask in fields.pop("masks", ())),
                "init": None if (init := fields.pop("init")) is None else Ingredient(**init),
            }
            return cls(**fields, **parts)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ImageError(
                f"{where} carries no impasto recipe: use a picture that impasto wrote without --no-metadata."
            ) from None

    def checked_settings(self) -> Settings:
        """The settings, checked again; raises `SettingsError` where this version doesn't know them."""
        return Settings(**self.settings)
