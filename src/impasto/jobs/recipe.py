"""What it takes to paint a picture again: the settings, the inputs' hashes, the weights' hash and the versions."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from impasto.errors import ImageError, SettingsError
from impasto.settings.schedule import ScheduledChange
from impasto.settings.settings import Settings, flag

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
    """A finished run's inputs and surroundings; written into the picture, read by `impasto inspect` and `rerun`.

    `settings` are those that it began with, `steering` what was changed of them on the way.
    """

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
    steering: tuple[ScheduledChange, ...] = ()

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
                "steering": tuple(ScheduledChange(**change) for change in fields.pop("steering", ())),
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

    def continued(self, settings: Settings) -> Settings:
        """`settings` with what they leave open as this recipe has it, to go on with a run.

        Raises `SettingsError` with a sentence for each knob that would change the picture.
        """
        began, now = self.checked_settings().model_dump(mode="json"), settings.model_dump(mode="json")
        open_now = {knob: began[knob] for knob in LEFT_OPEN if now[knob] == "auto"}
        free = {*FREE, *(["init"] if settings.init_is_image and self.init is not None else [])}
        if changed := [
            f"{flag(knob)} was {_shown(began[knob])} when the run began and is {_shown(value)} now: "
            f"give the old value, or {ANEW}."
            for knob, value in (now | open_now).items()
            if knob not in free and value != began[knob]
        ]:
            raise SettingsError("\n".join(changed))
        return settings.model_copy(update={knob: getattr(self.checked_settings(), knob) for knob in open_now})

    def changed_inputs(self, now: Recipe) -> list[str]:
        """A sentence for each input of this recipe that is another one `now`, by its SHA-256."""
        if len(self.styles) != len(now.styles):
            return [
                f"The run began with {len(self.styles)} styles and has {len(now.styles)} now: give the same, or {ANEW}."
            ]
        pairs = [("content image", self.content, now.content)]
        pairs += [("style image", then, style) for then, style in zip(self.styles, now.styles, strict=True)]
        if self.init is not None and now.init is not None:
            pairs.append(("init image", self.init, now.init))
        named = [(f"{role} {i.path or i.name!r}", then.sha256, i.sha256) for role, then, i in pairs]
        named.append((f"weights file {now.settings['weights']!r}", self.weights_sha256, now.weights_sha256))
        return [
            f"The {name} is not what the run began with (SHA-256 {sha256[:12]}…, not {then[:12]}…): "
            f"put the old one back, or {ANEW}."
            for name, then, sha256 in named
            if sha256 != then
        ]


LEFT_OPEN = ("engine", "tile", "history", "device")
"""Knobs whose 'auto' goes on with what the run had settled."""

FREE = ("max_memory", "max_pixels", "weights")
"""Knobs that may differ when a run goes on: they don't change the picture, or are known by their hash."""

ANEW = "start again with --overwrite instead of --resume"


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) or "not given" if isinstance(value, list) else str(value)
