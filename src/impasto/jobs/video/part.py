"""Which frames of a film are painted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from impasto.errors import SettingsError

MOST_RATE = 1000
"""Frames a second of a sequence."""


@dataclass(frozen=True)
class Part:
    """Which of a film's frames are painted: from `begin` to before `end`, in seconds, and every so many of these."""

    begin: Fraction | None = None
    end: Fraction | None = None
    every: int = 1
    rate: Fraction | None = None

    def check(self) -> None:
        """Raise `SettingsError` for a part that holds nothing."""
        if self.every < 1:
            raise SettingsError(f"`every` is {self.every}", "give 1 or more", knob="every", value=self.every)
        if self.rate is not None and not 0 < self.rate <= MOST_RATE:
            cure = f"give up to {MOST_RATE} frames a second"
            raise SettingsError(f"`rate` is {float(self.rate):g}", cure, knob="rate")
        if self.end is not None and self.end <= (self.begin or 0):
            raise SettingsError("`to` isn't after `from`", "give a later one", knob="to", value=str(self.end))


def part_of(begin: str | None, end: str | None, every: int, rate: float | None) -> Part:
    """The part of a film that flags ask for; raises `SettingsError`."""
    if rate is not None and not 0 < rate <= MOST_RATE:  # before it is a Fraction, which takes neither nan nor inf
        raise SettingsError(f"`rate` is {rate:g}", f"give up to {MOST_RATE} frames a second", knob="rate", value=rate)
    found = Part(
        frame_time(begin, "from"),
        frame_time(end, "to"),
        every,
        None if rate is None else Fraction(rate).limit_denominator(100_000),
    )
    found.check()
    return found


def frame_time(time: str | None, knob: str) -> Fraction | None:
    """'12.5', '1:02.5' or '1:00:02' -> seconds; raises `SettingsError`."""
    if time is None:
        return None
    found = re.fullmatch(r"(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,7}(?:\.\d{1,9})?)", time.strip())
    if found is None:
        raise SettingsError(
            f"`{knob}` is {time!r}",
            "give seconds, such as 12.5, or minutes and seconds, such as 1:02.5",
            knob=knob,
            value=time,
        )
    hours, minutes, seconds = found[1] or 0, found[2] or 0, Fraction(found[3])
    return 3600 * int(hours) + 60 * int(minutes) + seconds
