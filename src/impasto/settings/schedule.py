"""Changing knobs while a run goes on: what it goes by, what was requested since, and the record that repeats it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, StrictInt

from impasto.errors import SettingsError
from impasto.settings import roles
from impasto.settings.knobs import ScheduledKnobs as ScheduledKnobs
from impasto.settings.settings import Settings

SCHEDULABLE = frozenset(roles.scheduled())
"""Knobs that may change while a run goes on: none of them changes what was measured of the inputs but colour."""


@dataclass(frozen=True)
class ScheduledChange:
    """Knobs that change after so many steps of a run, as JSON has them; steps that were taken again count too.

    Raises `ValueError` where it can't be one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    after: StrictInt
    knobs: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not (isinstance(self.after, int) and self.after >= 0 and isinstance(self.knobs, Mapping)):
            raise ValueError(f"knobs {self.knobs!r} can't be changed after {self.after!r} steps")


class Schedule:
    """The settings that a run goes by, which may be changed between two of its steps, and what was changed when.

    `planned` is what another run's record says; of that, what came before the step `now` has been done already. Raises
    `SettingsError` for changes that aren't allowed.
    """

    def __init__(self, settings: Settings, planned: Sequence[ScheduledChange] = (), now: int = 0) -> None:
        planned = sorted(planned, key=lambda change: change.after)
        self.changes = tuple(change for change in planned if change.after < now)
        self.planned = tuple(change for change in planned if change.after >= now)
        for change in self.changes:
            settings = changed(settings, change.knobs)
        self.settings = self.requested = settings
        for change in self.planned:  # refused now rather than in the middle of the run
            settings = changed(settings, change.knobs)

    def request(self, knobs: Mapping[str, Any]) -> None:
        """Have the run go by these knobs from its next step on; raises `SettingsError`, and nothing has changed."""
        self.requested = changed(self.requested, knobs)

    def apply(self, now: int) -> bool:
        """Go by what was requested or planned, `now` steps being taken; whether that is something new."""
        while self.planned and self.planned[0].after <= now:
            self.request(self.planned[0].knobs)
            self.planned = self.planned[1:]
        requested = self.requested  # once: another thread may request more
        if not (knobs := difference(self.settings, requested)):
            return False
        self.settings, self.changes = requested, (*self.changes, ScheduledChange(now, knobs))
        return True

    @property
    def all_changes(self) -> tuple[ScheduledChange, ...]:
        """What another run has to change to become the same."""
        return (*self.changes, *self.planned)

    def record(self, now: int) -> tuple[ScheduledChange, ...]:
        """The plan, with what was requested since the last of `now` steps: all that the rest of the run depends on."""
        knobs = difference(self.settings, self.requested)
        return (*self.changes, *([ScheduledChange(now, knobs)] if knobs else []), *self.planned)


def changed(settings: Settings, knobs: Mapping[str, Any]) -> Settings:
    """`settings` with some knobs of `SCHEDULABLE` changed; raises `SettingsError` for others and values not allowed."""
    if fixed := sorted(knobs.keys() - SCHEDULABLE):
        free = ", ".join(f"`{knob}`" for knob in sorted(SCHEDULABLE))
        raise SettingsError(
            f"`{fixed[0]}` can't be changed while painting",
            f"start again, or change {free}",
            knob=fixed[0],
            value=knobs[fixed[0]],
        )
    return Settings(**settings.model_dump() | dict(knobs))


def difference(before: Settings, now: Settings) -> dict[str, Any]:
    """The knobs that aren't what they were, as JSON has them."""
    old, new = before.model_dump(mode="json"), now.model_dump(mode="json")
    return {knob: new[knob] for knob in new if new[knob] != old[knob]}
