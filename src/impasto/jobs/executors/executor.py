"""What executors share: a task is called for each item, and tells how far it is and what became of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Item = dict[str, Any]
"""What a task is given, and what it gives back: JSON, so that it may go anywhere."""

Task = Callable[[Item, Callable[[Item], None], Callable[[], bool]], Item]
"""`task(item, tell, ending)`: `tell` says how far it is; where `ending()` is true it saves what it has and returns."""

TRIES = 3
"""How often an item is begun whose process dies."""


@dataclass(frozen=True)
class Begun:
    """An item, by its number, is worked on; again, where its process died."""

    number: int
    again: bool = False


@dataclass(frozen=True)
class Told:
    """What a task tells of an item on the way."""

    number: int
    what: Item


@dataclass(frozen=True)
class Done:
    """What a task gave back."""

    number: int
    result: Item


@dataclass(frozen=True)
class Lost:
    """An item whose process died each time, or whose task raised what no task should."""

    number: int
    fault: str


News = Begun | Told | Done | Lost


class Executor(Protocol):
    """Calls a task for items: at several at once, each in a process that may die without taking others along."""

    def map(self, task: str, items: Iterable[Item]) -> Iterator[News | None]:
        """News of all items, in the order in which they come; None now and then where there are none.

        `task` is 'module:function', see `Task`. Items are taken as there is room for them. Closing the iterator
        lets the processes save and return, and ends those at once that `end` has asked already.
        """
        ...

    def end(self) -> None:
        """Ask all tasks to save and return, and begin no other."""
        ...


class Parcel(Protocol):
    """What travels with an item to a machine that doesn't share this one's folders, and comes back."""

    def inputs(self, item: Item) -> list[Path]:
        """The files that its task reads."""
        ...

    def output(self, item: Item) -> Path:
        """The file that its task writes."""
        ...

    def moved(self, item: Item, inputs: Mapping[str, str], output: str) -> Item:
        """The item with other paths in the places of its inputs' and its output's."""
        ...

    def told(self, result: Item, inputs: Mapping[str, str]) -> Item:
        """A result whose sentences name the inputs as whoever asked knows them, not the copies."""
        ...


def found(task: str) -> Task:
    """The function of 'module:function'."""
    module, _, name = task.partition(":")
    return getattr(importlib.import_module(module), name)
