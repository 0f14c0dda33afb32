"""What it takes to paint a picture again: the settings, the inputs' hashes, the weights' hash and the versions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, PlainValidator, StrictInt, TypeAdapter, ValidationError

from impasto.errors import ImageError, SettingsError
from impasto.run.stop_rules import RunSteps
from impasto.settings import roles
from impasto.settings.knob import Affects
from impasto.settings.schedule import ScheduledChange
from impasto.settings.settings import Settings
from impasto.settings.values import MOST_THREADS

KEY = "impasto"
"""The recipe's own mark in a picture's metadata, so that a stranger's note isn't taken for one."""

FORMAT = 2
"""Number of the arrangement of fields, written into each recipe; `_translated` reads the earlier one."""

SINGLE = roles.single_images()
"""Knobs that may name one file, of which a job has the image and a recipe the hash under the knob's name."""

MOST_CHARACTERS = 100_000
"""In one text of a recipe: names, paths, versions and hashes are far shorter."""


def _text(value: object) -> str:
    """A text that could be a file's name on this system, where a name may hold bytes that are no text."""
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS or "\0" in value:
        raise ValueError("is no text")
    os.fsencode(value)  # raises a ValueError for half a character
    return value


Text = Annotated[str, PlainValidator(_text)]
Scalar = Text | bool | int | float | None
Value = Scalar | list[Scalar]
"""What JSON has of a setting."""


def _with_flat_knobs(change: ScheduledChange) -> ScheduledChange:
    return ScheduledChange(change.after, TypeAdapter(dict[Text, Value]).validate_python(change.knobs))


Change = Annotated[ScheduledChange, AfterValidator(_with_flat_knobs)]

ANEW = "start again with `overwrite` instead of `resume`"


@dataclass(frozen=True)
class InputFile:
    """One input picture: its name, where it was read from (None: memory or a swatch) and the SHA-256 of its bytes.

    In a finished picture `path` is the file's name without its folder.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: Text
    path: Text | None
    sha256: Text


@dataclass(frozen=True)
class Recipe:
    """A finished run's inputs and surroundings; written into the picture, read by `impasto inspect` and `rerun`.

    `settings` are those that it began with, `schedule` what was changed of them on the way. `masks` are the files that
    `mask` names, then those of `style_mask`; `init` and `strength_map` are those of the knobs of these names. `steps`
    are none in recipes from before they could end early. `faces` are the boxes of those that were guarded, see
    `images.faces.Face`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    version: Text
    settings: dict[Text, Value]
    content: InputFile
    styles: tuple[InputFile, ...]
    init: InputFile | None
    weights_sha256: Text
    torch: Text
    threads: StrictInt
    machine: Text
    masks: tuple[InputFile, ...] = ()
    schedule: tuple[Change, ...] = ()
    steps: RunSteps = field(default_factory=RunSteps)
    strength_map: InputFile | None = None
    faces: tuple[tuple[float, float, float, float], ...] | None = None

    @property
    def named(self) -> list[InputFile]:
        """The files that knobs name, but weights."""
        return [*self.single().values(), *self.masks]

    def single(self) -> dict[str, InputFile]:
        """The files of knobs that name one at most, by knob."""
        return {knob: file for knob in SINGLE if (file := getattr(self, knob)) is not None}

    @property
    def engine(self) -> str:
        """Which engine ran; pictures from before there was a choice had torch."""
        return str(self.settings.get("engine", "torch"))

    @property
    def precision(self) -> str:
        """What the network multiplied in."""
        return str(self.settings.get("precision", "float32"))

    def to_json(self) -> str:
        """The recipe as the note that goes into the picture's metadata."""
        return json.dumps({KEY: {"format": FORMAT} | asdict(self)}, ensure_ascii=False)

    def without_folders(self) -> Recipe:
        """The same with files by their names alone, as a picture carries it: folders tell who made it and where.

        `jobs.rerun.located` finds the files again.
        """

        def bare(file: InputFile) -> InputFile:
            return file if file.path is None else replace(file, path=PurePath(file.path).name)

        return replace(
            self,
            settings={knob: roles.without_folders(knob, value) for knob, value in self.settings.items()},
            content=bare(self.content),
            styles=tuple(map(bare, self.styles)),
            **{knob: bare(file) for knob, file in self.single().items()},
            masks=tuple(map(bare, self.masks)),
        )

    @classmethod
    def from_json(cls, note: str | None, where: str) -> Recipe:
        """The recipe in a picture's note, checked field by field.

        Raises `ImageError` naming the file `where` if there is none, an odd one, or one of a later format.
        """
        try:
            fields = dict(json.loads(note or "")[KEY])
            written = fields.pop("format", 1)
            if not isinstance(written, int) or written < 1 or not fields:
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ImageError(
                f"{where} carries no impasto recipe", "use a picture that impasto wrote without `no_metadata`"
            ) from None
        if written > FORMAT:
            raise ImageError(
                f"{where} carries a recipe of format {written}, which this version doesn't know",
                "use the impasto that wrote it, or a later one",
            )
        try:
            return TypeAdapter(cls).validate_python(_translated(fields, written))
        except ValidationError as error:
            odd = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise ImageError(
                f"{where} carries a recipe that isn't as impasto writes them, at {odd!r}", "use another copy"
            ) from None

    def checked_settings(self) -> Settings:
        """The settings, checked again; raises `SettingsError` where this version doesn't know them.

        Before `threads` was one of them, the recipe alone told how many had computed; before `precision`, it was
        float32.
        """
        recorded: dict[str, Any] = {"precision": "float32"} | self.settings
        settings = Settings(**roles.without_former(recorded))
        if settings.threads == "auto" and 1 <= self.threads <= MOST_THREADS:
            return settings.model_copy(update={"threads": self.threads})
        return settings

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

    def check_carried(self, now: Settings) -> None:
        """Raise `SettingsError` where the finished picture is to carry other notes of the camera's than it does."""
        then = self.checked_settings()
        for knob in roles.carried():
            if getattr(then, knob) != (wanted := getattr(now, knob)):
                fault = f"The picture had been finished with `{knob}` {str(getattr(then, knob)).lower()}"
                raise SettingsError(fault, "paint it again with `overwrite`", knob=knob, value=wanted)

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
        others = now.single()
        pairs += [(knob, then, others[knob]) for knob, then in self.single().items() if knob in others]
        pairs += [("mask", then, mask) for then, mask in zip(self.masks, now.masks, strict=True)]
        for role, then, found in pairs:
            yield f"{role.replace('_', ' ')} image {found.path or found.name!r}", then.sha256, found.sha256
        yield f"weights file {now.settings['weights']!r}", self.weights_sha256, now.weights_sha256


def told_knobs() -> tuple[str, ...]:
    """The knobs of the network that a recipe of any age tells: each is a property of it."""
    return tuple(knob for knob in roles.affecting(Affects.NETWORK) if isinstance(vars(Recipe).get(knob), property))


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
