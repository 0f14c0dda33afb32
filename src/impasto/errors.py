"""The errors impasto raises: each knows the setting at fault, the fault and the cure, and reads as one sentence.

The library speaks of settings and arguments by their names in Python (`style_weight`). Texts hold such names in
backticks, so that a shell can spell them its own way (`--style-weight`) without taking a message apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

KNOB = re.compile(r"`(\w+)`")
"""A setting's or an argument's name within a fault or a cure."""


class ImpastoError(Exception):
    """Anything that went wrong for a reason the user can act on: `fault: cure.` is the sentence.

    `fault` is a clause that names what is at fault and its value, `cure` what to do about it, or empty where the fault
    says it all. `knob` is the setting or argument at fault and `value` what it was, where there is one. Where several
    things are wrong at once, `others` has an error for each further one.
    """

    def __init__(
        self,
        fault: str,
        cure: str = "",
        *,
        knob: str | None = None,
        value: object = None,
        others: Sequence[ImpastoError] = (),
    ) -> None:
        super().__init__(fault, cure)
        self.fault: str = fault
        self.cure: str = cure
        self.knob: str | None = knob
        self.value: object = value
        self.others: tuple[ImpastoError, ...] = tuple(others)

    def sentences(self, spell: Callable[[str], str] = str) -> list[str]:
        """A sentence for each thing that is wrong, with settings and arguments as `spell` writes them."""
        text = f"{self.fault}: {self.cure}" if self.cure else self.fault
        ended = text.endswith(("?", ".")) or self.cure.startswith("pip install ")  # a command is to be pasted as it is
        mine = KNOB.sub(lambda found: spell(found[1]), text if ended else text + ".")
        return [mine, *(sentence for other in self.others for sentence in other.sentences(spell))]

    def __str__(self) -> str:
        return "\n".join(self.sentences())


class SettingsError(ImpastoError):
    """A knob has a value it can't take, or two knobs contradict each other."""


class ImageError(ImpastoError):
    """A picture could not be read or written."""


class WeightsError(ImpastoError):
    """Network weights are missing, damaged or of the wrong kind."""


class DivergedError(ImpastoError):
    """The loss or its gradient stopped being finite; `picture` is the last good one, (1, 3, h, w) in [0, 1]."""

    def __init__(self, fault: str, cure: str = "", *, picture: object) -> None:
        super().__init__(fault, cure)
        self.picture: object = picture
