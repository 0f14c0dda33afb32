"""A picture of a batch, begun or gone on with from its checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.jobs import checkpoint
from impasto.jobs.executors.executor import Item
from impasto.jobs.network import KeptNetwork
from impasto.jobs.recipe import Recipe
from impasto.jobs.stylization import KnownStyles, Stylization
from impasto.run.events import Event
from impasto.run.state import RunState
from impasto.settings.settings import Settings


class Resuming:
    """Begins the jobs of a process, which share its network and what is known of styles."""

    def __init__(self) -> None:
        self.kept = KeptNetwork()
        self.styles = KnownStyles()
        self._of: object = None

    def begin(self, item: Item, state: Path) -> tuple[Stylization, Iterator[Event], bool]:
        """The job, its events, and whether it goes on from a saved `state`; raises `ImpastoError`.

        It begins anew where what was saved is of other inputs, settings or another version, or can't be read.
        """
        saved: list[RunState] = []
        stylization = self._resumed(item, state, saved) if state.exists() else None
        if stylization is None:
            stylization = self._made(item, Settings(**item["settings"]), None)
        if stylization.network.engine is not self._of:
            self._of, self.styles = stylization.network.engine, KnownStyles()
        resumed = bool(saved)
        return stylization, stylization.events(saved.pop() if saved else None, known=self.styles), resumed

    def _resumed(self, item: Item, state: Path, saved: list[RunState]) -> Stylization | None:
        """The job that goes on from a state, which is put into a list that is to give it away; None where none can."""
        try:
            recipe, _ = checkpoint.read_origin(state)
            if recipe.version != version("impasto"):
                return None
            stylization = self._made(item, recipe.continued(Settings(**item["settings"])), recipe)
            if recipe.changed_inputs(stylization.recipe()):
                return None
            saved.append(checkpoint.read(state, stylization.scratch).state)
        except ImpastoError:
            return None
        return stylization

    def _made(self, item: Item, settings: Settings, recipe: Recipe | None) -> Stylization:
        return Stylization(
            item["content"],
            item["styles"],
            settings,
            network=self.kept.network(settings),
            speed=self.kept.speed(settings),
            steps=None if recipe is None else recipe.steps,
        )
