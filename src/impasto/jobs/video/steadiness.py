"""How a film is kept steady, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from impasto.errors import SettingsError


@dataclass(frozen=True)
class Steadiness:
    """How frames are held to those before them.

    `steps` are those of a frame that follows another, with more where new things come into view: (1 + `more_where_new`)
    times as many where all is new. `weight` is that of the temporal loss, in units of the first frame's loss; `back`
    how many frames ago the ones are that a frame is held to. A place that had `ripe` steps stays as it is as long as
    the film does there. With several `passes` a shot is gone through to and fro, `own_share` of what a frame starts
    from being what it was in the pass before. Without `flow` only what doesn't move is held.
    """

    steps: int = 6
    weight: float = 50.0
    back: tuple[int, ...] = (1,)
    passes: int = 1
    flow: bool = True
    more_where_new: float = 3.0
    ripe: int = 12
    own_share: float = 0.5


QUALITIES = {
    "draft": Steadiness(steps=3),
    "good": Steadiness(),
    "best": Steadiness(steps=12, back=(1, 2, 4)),
}
"""By name, the cheapest first."""


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
