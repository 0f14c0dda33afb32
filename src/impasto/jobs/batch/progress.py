"""How far many pictures are together: by the work that was planned for each, never by their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Moved:
    """How far all of it is: the share of the planned work, and the seconds left at the pace so far, None before any."""

    share: float
    seconds_left: float | None


def weights(planned: Sequence[float | None]) -> list[float]:
    """The planned seconds of each picture; one without a plan weighs as the others do on average."""
    known = [seconds for seconds in planned if seconds is not None]
    usual = sum(known) / len(known) if known else 1.0
    return [usual if seconds is None else seconds for seconds in planned]


def moved(weights: Sequence[float], shares: Sequence[float], spent: float) -> Moved:
    """How far pictures are of which these shares are done, after `spent` seconds of painting."""
    done = sum(weight * share for weight, share in zip(weights, shares, strict=True))
    share = done / (sum(weights) or 1.0)
    return Moved(share, spent * (1 - share) / share if share else None)
