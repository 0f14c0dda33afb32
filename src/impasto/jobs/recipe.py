"""What it takes to paint a picture again: the settings, the inputs' hashes, the weights' hash and the versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from impasto.errors import ImageError, SettingsError
from impasto.settings import roles
from impasto.settings.knob import Affects
from impasto.settings.schedule import ScheduledChange
from impasto.settings.settings import Settings

KEY = "impasto"
"""The recipe's own mark in a picture's metadata, so that a stranger's note isn't taken for one."""

FORMAT = 2
"""Number of the arrangement of fields, written into each recipe; `_translated` reads the earlier one."""

ANEW = "start again with `overwrite` instead of `resume`"


@dataclass(frozen=True)
class InputFile:
    """One input picture: its name, where it was read from (None: memory or a swatch) and the SHA-256 of its bytes.

    Raises `TypeError` for what isn't text.
    """

    name: str
    path: str | None
    sha256: str

    def __post_init__(self) -> None:
        _check_texts(self.name, self.sha256, *(() if self.path is None else (self.path,)))


@dataclass(frozen=True)
class Recipe:
    """A finished run's inputs and surroundings; written into the picture, read by `impasto inspect` and `rerun`.

    `settings` are those that it began with, `schedule` what was changed of them on the way. `masks` are the files that
    `mask` names, then those of `style_mask`. Raises `TypeError` for what is of another type than declared.
    """

    version: str
    settings: dict[str, Any]
    content: InputFile
    styles: tuple[InputFile, ...]
    init: InputFile | None
    weights_sha256: str
    torch: str
    threads: int
    machine: str
    masks: tuple[InputFile, ...] = ()
    schedule: tuple[ScheduledChange, ...] = ()

    def __post_init__(self) -> None:
        _check_texts(self.version, self.weights_sha256, self.torch, self.machine)
        if not isinstance(self.settings, dict) or type(self.threads) is not int:
            raise TypeError("a recipe has settings by their names, and a number of threads")

    @property
    def engine(self) -> str:
        """Which engine ran; pictures from before there was a choice had torch."""
        return self.settings.get("engine", "torch")

    def to_json(self) -> str:
        """The recipe as the note that goes into the picture's metadata."""
        return json.dumps({KEY: {"format": FORMAT} | asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, note: str | None, where: str) -> Recipe:
        """The recipe in a picture's note, checked field by field.

        Raises `ImageError` naming the file `where` if there is none, or one of a later format.
        """
        try:
            fields = dict(json.loads(note or "")[KEY])
            written = fields.pop("format", 1)
            if not isinstance(written, int) or written < 1:
                raise ValueError
            if written > FORMAT:
                raise ImageError(
                    f"{where} carries a recipe of format {written}, which this version doesn't know",
                    "use the impasto that wrote it, or a later one",
                )
            return _parsed(_translated(fields, written))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ImageError(
                f"{where} carries no impasto recipe", "use a picture that impasto wrote without `no_metadata`"
            ) from None

    def checked_settings(self) -> Settings:
        """The settings, checked again; raises `SettingsError` where this version doesn't know them."""
        return Settings(**self.settings)

    def continued(self, settings: Settings) -> Settings:
        """`settings` with what they leave open as this recipe has it, to go on with a run.

        Raises `SettingsError`, with an error for each knob that would change the picture. Which files knobs name
        doesn't matter here, as `changed_inputs` compares what is in them.
        """
        began = self.checked_settings()
        before, now = began.model_dump(mode="json"), settings.model_dump(mode="json")
        settled = {knob: before[knob] for knob in roles.settled() if now[knob] == "auto"}
        free = {*roles.affecting(Affects.RESOURCES), "weights"}  # any source of weights, word or file, has its hash
        changed = [
            SettingsError(
                f"`{knob}` was {_shown(before[knob])} when the run began and is {_shown(value)} now",
                f"give the old value, or {ANEW}",
                knob=knob,
                value=value,
            )
            for knob, value in (now | settled).items()
            if knob not in free and _without_files(knob, value) != _without_files(knob, before[knob])
        ]
        if changed:
            first, *others = changed
            raise SettingsError(first.fault, first.cure, knob=first.knob, value=first.value, others=others)
        return settings.model_copy(update={knob: getattr(began, knob) for knob in settled})

    def changed_inputs(self, now: Recipe) -> list[ImageError]:
        """An error for each input of this recipe that is another one `now`, by its SHA-256."""
        for what, old, new in (("styles", self.styles, now.styles), ("masks", self.masks, now.masks)):
            if len(old) != len(new):
                fault = f"The run began with {len(old)} {what} and has {len(new)} now"
                return [ImageError(fault, f"give the same, or {ANEW}")]
        return [
            ImageError(
                f"The {name} is not what the run began with (SHA-256 {new[:12]}…, not {old[:12]}…)",
                f"put the old one back, or {ANEW}",
            )
            for name, old, new in self._hashes(now)
            if new != old
        ]

    def _hashes(self, now: Recipe) -> Iterator[tuple[str, str, str]]:
        """The name of each input, its hash here and `now`."""
        pairs = [("content", self.content, now.content)]
        pairs += [("style", then, style) for then, style in zip(self.styles, now.styles, strict=True)]
        if self.init is not None and now.init is not None:
            pairs.append(("init", self.init, now.init))
        pairs += [("mask", then, mask) for then, mask in zip(self.masks, now.masks, strict=True)]
        for role, then, found in pairs:
            yield f"{role} image {found.path or found.name!r}", then.sha256, found.sha256
        yield f"weights file {now.settings['weights']!r}", self.weights_sha256, now.weights_sha256


def _parsed(fields: dict[str, Any]) -> Recipe:
    """A recipe from what JSON has of it; raises `TypeError`, `KeyError` or `ValueError` for anything odd."""
    parts = {
        "content": InputFile(**fields.pop("content")),
        "styles": tuple(InputFile(**style) for style in fields.pop("styles")),
        "masks": tuple(InputFile(**mask) for mask in fields.pop("masks", ())),
        "schedule": tuple(ScheduledChange(**change) for change in fields.pop("schedule", ())),
        "init": None if (init := fields.pop("init")) is None else InputFile(**init),
    }
    return Recipe(**fields, **parts)


def _check_texts(*values: object) -> None:
    if not all(isinstance(value, str) for value in values):
        raise TypeError("a recipe's names, versions and hashes are texts")


def _translated(fields: dict[str, Any], written: int) -> dict[str, Any]:
    """The fields of a recipe of an earlier format as they are called now.

    Format 1, which had no number yet, called the schedule `steering`; its oldest recipes have neither that nor masks.
    """
    if written == 1 and "steering" in fields:
        fields["schedule"] = fields.pop("steering")
    return fields


def _without_files(knob: str, value: Any) -> Any:
    """A knob's value with the same word for every file, whatever it is called."""
    return roles.with_files(knob, value, lambda _: "a file")


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) or "not given" if isinstance(value, list) else str(value)
