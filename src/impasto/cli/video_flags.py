"""What the flags of `impasto video` mean."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from impasto.errors import SettingsError
from impasto.jobs.video.clip import frame_time
from impasto.jobs.video.film import MOST_RATE, Part
from impasto.jobs.video.steadiness import QUALITIES, Steadiness


def part_of(begin: str | None, end: str | None, every: int, rate: float | None) -> Part:
    """The part of a film that flags ask for; raises `SettingsError`."""
    if rate is not None and not 0 < rate <= MOST_RATE:
        raise SettingsError(f"`rate` is {rate:g}", f"give up to {MOST_RATE} frames a second", knob="rate", value=rate)
    found = Part(
        frame_time(begin, "from"),
        frame_time(end, "to"),
        every,
        None if rate is None else Fraction(rate).limit_denominator(100_000),
    )
    found.check()
    return found


def steadiness_of(quality: str, passes: int, flow: str) -> Steadiness:
    """How steady a film is to be, and at what cost; raises `SettingsError`."""
    if quality not in QUALITIES:
        raise SettingsError(
            f"`quality` is {quality!r}", f"choose {', '.join(QUALITIES)}", knob="quality", value=quality
        )
    if not 1 <= passes <= 20:
        raise SettingsError(f"`passes` is {passes}", "give 1 to 20", knob="passes", value=passes)
    if flow not in ("dis", "none"):
        raise SettingsError(f"`flow` is {flow!r}", "choose dis or none", knob="flow", value=flow)
    return replace(QUALITIES[quality], passes=passes, flow=flow == "dis")
