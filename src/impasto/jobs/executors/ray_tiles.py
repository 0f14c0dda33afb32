"""One picture on a Ray cluster: actors compute the tiles of every evaluation, this process all that is whole.

Each tile is computed as it would be here, and what tiles give is added up here in their order. So the picture doesn't
depend on how many actors there are, on who computes what, or on who dies: on processors of one kind it is the one that
this process would paint by itself, with as many threads as an actor has, to the bit.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from impasto.errors import ImpastoError, SettingsError
from impasto.jobs.executors.executor import TRIES
from impasto.jobs.executors.ray_cluster import connected, places_in
from impasto.jobs.executors.ray_tile_actor import Packed, TileActor, packed, unpacked
from impasto.network.tiled_network import Stage, number_kept
from impasto.network.tiles import Tile
from impasto.objective.tile_passes import Passes, TileGradient, TileSums, TileWork
from impasto.settings.settings import Settings
from impasto.storage.scratch import Scratch

SIDE = 512
"""Side of tiles in pixels where the settings leave it open."""

THREADS = 1
"""Threads of each actor, and of this process, likewise."""

STARTED = 120.0
"""Seconds that an actor may take to start: it loads torch and the network."""

REPLACED = 30.0
"""Seconds that the others wait for one in the place of one that died, before they go on without."""


def spread_settings(settings: Settings) -> Settings:
    """The settings with what an evaluation by actors needs decided: the side of tiles, and threads.

    Raises `SettingsError` where there are to be no tiles.
    """
    if settings.tile == 0:
        raise SettingsError(
            "`tile` is 0, the picture all at once, which leaves a cluster nothing to share",
            "leave it out, or give the side of a tile",
            knob="tile",
            value=0,
        )
    return settings.model_copy(
        update={
            "tile": SIDE if settings.tile == "auto" else settings.tile,
            "threads": THREADS if settings.threads == "auto" else settings.threads,
        }
    )


@contextlib.contextmanager
def tiles_on_ray(settings: Settings, address: str | None, workers: int | None = None) -> Iterator[RayTiles]:
    """Passes by actors of the cluster at `address` (see `RayExecutor`): so many, None for all that it has room for.

    `settings` are a plan's, made of `spread_settings`. Raises `ImpastoError` where there is no such cluster, or no
    room in it.
    """
    with connected(address or "local") as ray:
        tiles = RayTiles(ray, settings, workers)
        try:
            yield tiles
        finally:
            tiles.close()


class RayTiles:
    """Makes `Passes` whose tiles are computed by actors. One that dies is replaced, and its tiles computed again."""

    def __init__(self, ray: Any, settings: Settings, workers: int | None = None) -> None:
        self.ray, self.settings = ray, settings
        self._threads, self._gpu = int(settings.threads), settings.device.startswith("cuda")
        self._work: TileWork | None = None
        self._given: tuple[int, Any] = (0, None)
        self._evaluations = 0
        self._sha256: str | None = None
        places = sum(places_in(node["Resources"], self._threads, self._gpu) for node in ray.nodes() if node["Alive"])
        self._kind = ray.remote(TileActor).options(
            num_cpus=self._threads,
            num_gpus=1 if self._gpu else 0,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(self._threads)}},
        )
        self.actors: list[Actor] = []
        self.actors = self._started(places if workers is None else min(workers, places))
        if not self.actors:
            raise ImpastoError(
                f"No machine of the Ray cluster has {self._threads} CPUs for the tiles of a picture",
                "ask for fewer `threads`, or add a machine",
            )

    def __call__(self, work: TileWork, stages: Sequence[Stage], scratch: Scratch, spare: int) -> Passes:
        """See `MakePasses`."""
        if work is not self._work:
            parts = work.statistics, work.without_targets().local_terms, work.weighting, tuple(stages)
            self._work, self._given = work, (self._given[0] + 1, self.ray.put(parts))
        for actor in self.actors:
            self._give(actor)
        self._evaluations += 1
        return _RayPasses(self, work, stages, scratch, spare, self._evaluations)

    def check(self, sha256: str) -> None:
        """Raise `ImpastoError` where an actor, now or later, has other weights than those of this SHA-256."""
        self._sha256 = sha256
        for actor in self.actors:
            if actor.sha256 != sha256:
                raise ImpastoError(
                    f"A machine of the cluster has other weights ({actor.sha256[:12]}… instead of {sha256[:12]}…)",
                    "put the same file on all of them, or name one in a shared folder with `weights`",
                )

    def in_order(self, calls: Iterable[Call]) -> Iterator[Any]:
        """Results of calls in their order, a few of which are under way at a time; see `Call`."""
        flying: deque[tuple[Call, Actor, Any]] = deque()
        for call in calls:
            flying.append((call, *self._sent(call)))
            if len(flying) > 2 * len(self.actors):
                yield self._result(*flying.popleft())
        while flying:
            yield self._result(*flying.popleft())

    def close(self) -> None:
        """End the actors."""
        for actor in self.actors:
            self.ray.kill(actor.handle)
        self.actors.clear()

    def _sent(self, call: Call) -> tuple[Actor, Any]:
        actor = call.home() or self.actors[call.number % len(self.actors)]
        return actor, call.send(actor)

    def _result(self, call: Call, actor: Actor, sent: Any) -> Any:
        errors = self.ray.exceptions
        for _ in range(TRIES):
            try:
                return self.ray.get(sent)
            except (errors.RayActorError, errors.ObjectLostError):
                self._replace(actor)
                actor, sent = self._sent(call)
            except errors.RayError as error:  # of the task itself, mostly
                cause = getattr(error, "cause", None)
                if isinstance(cause, ImpastoError):
                    raise cause from error
                raise ImpastoError(
                    f"A tile couldn't be computed on the cluster ({type(cause or error).__name__}: {cause or error})",
                    "see Ray's logs in /tmp/ray",
                ) from error
        raise ImpastoError(
            f"The processes that computed a tile died, {TRIES} times",
            "see Ray's logs in /tmp/ray, or give a lower `tile`",
        )

    def _replace(self, dead: Actor) -> None:
        """Start another actor in the place of one that died, or go on with the others where there is no room."""
        if dead not in self.actors:
            return  # another of its calls has been here
        dead.alive = False
        self.ray.kill(dead.handle)
        at = self.actors.index(dead)
        del self.actors[at]
        self.actors[at:at] = self._started(1, REPLACED if self.actors else STARTED)
        if not self.actors:
            raise ImpastoError("The last process on the cluster that computed tiles died", "see Ray's logs in /tmp/ray")
        if self._sha256 is not None:
            self.check(self._sha256)
        self._give(self.actors[min(at, len(self.actors) - 1)])

    def _started(self, count: int, patience: float = STARTED) -> list[Actor]:
        """Actors that are ready; fewer where there is no room for so many. Raises `ImpastoError` where none can start.

        One that dies at once is begun again: it may have been given to a machine that had just gone.
        """
        found: list[Actor] = []
        fault: Exception | None = None
        for _ in range(TRIES):
            handles = [self._kind.remote(self.settings) for _ in range(count - len(found))]
            answers = [handle.weights.remote() for handle in handles]
            ready, _ = self.ray.wait(answers, num_returns=len(answers), timeout=patience) if answers else ([], [])
            for handle, answer in zip(handles, answers, strict=True):
                if answer not in ready:
                    self.ray.kill(handle)
                    continue
                try:
                    found.append(Actor(handle, self.ray.get(answer)))
                except self.ray.exceptions.RayActorError as error:
                    fault = error
            if len(found) == count or len(ready) < len(answers):
                return found
        if not found and not self.actors:
            last = str(fault).strip().splitlines()[-1].rstrip(".")
            raise ImpastoError(
                f"No process that computes tiles can start on the cluster ({last})", "see Ray's logs in /tmp/ray"
            ) from fault
        return found

    def _give(self, actor: Actor) -> None:
        """Let an actor have the work, where it has another."""
        number, parts = self._given
        if actor.work != number:
            actor.handle.begin.remote(parts)
            actor.work = number
            actor.targets.clear()


class Actor:
    """An actor as this process knows it: the number of its work, and the tiles whose targets it has."""

    def __init__(self, handle: Any, sha256: str) -> None:
        self.handle, self.sha256 = handle, sha256
        self.alive = True
        self.work = 0
        self.targets: set[tuple[int, int]] = set()


@dataclass(frozen=True)
class Call:
    """A pass of a tile, the `number`th of its stage.

    `home` is the actor that has its input, if that is alive. `send` hands it to one, and gives a reference to the
    result.
    """

    number: int
    home: Callable[[], Actor | None]
    send: Callable[[Actor], Any]


class _RayPasses:
    """The passes of one evaluation."""

    def __init__(
        self,
        tiles: RayTiles,
        work: TileWork,
        stages: Sequence[Stage],
        scratch: Scratch,
        spare: int,
        evaluation: int,
    ) -> None:
        self._tiles, self._work, self._scratch = tiles, work, scratch
        self._stages, self._evaluation = tuple(stages), evaluation
        self._left = sum(len(stage.tiles) for stage in stages)
        self._last = number_kept(stages, spare, work.engine.cost)
        self._homes: dict[tuple[int, int], Actor] = {}

    def forward(self, stage: Stage, whole: Tensor) -> Iterator[TileSums]:
        """See `Passes`."""
        mine = [statistic for statistic in self._work.statistics if statistic.layer in stage.layers]
        calls = (self._forward_call(stage, number, tile, whole) for number, tile in enumerate(stage.tiles))
        for values, boundary in self._tiles.in_order(calls):
            sums = dict(zip(mine, map(unpacked, values), strict=True))
            yield TileSums(sums, None if boundary is None else unpacked(boundary))

    def backward(self, stage: Stage, whole: Tensor, p: Any, from_above: Tensor | None) -> Iterator[TileGradient]:
        """See `Passes`."""
        mine = [packed(p[s]) for s in self._work.statistics if s.layer in stage.layers]
        shared = self._tiles.ray.put(mine)
        calls = (
            self._backward_call(stage, number, tile, whole, shared, from_above)
            for number, tile in zip(reversed(range(len(stage.tiles))), reversed(stage.tiles), strict=True)
        )
        for gradient, losses in self._tiles.in_order(calls):
            yield TileGradient(unpacked(gradient), losses)

    def _forward_call(self, stage: Stage, number: int, tile: Tile, whole: Tensor) -> Call:
        where = self._stages.index(stage), number
        keep, self._left = self._left <= self._last, self._left - 1

        def send(actor: Actor) -> Any:
            self._homes[where] = actor
            return actor.handle.forward.remote(self._evaluation, where, self._input(stage, tile, whole), keep)

        return Call(number, lambda: None, send)

    def _backward_call(
        self, stage: Stage, number: int, tile: Tile, whole: Tensor, p: Any, from_above: Tensor | None
    ) -> Call:
        where = self._stages.index(stage), number

        def home() -> Actor | None:
            actor = self._homes[where]
            return actor if actor.alive else None

        def send(actor: Actor) -> Any:
            image = None if actor is self._homes[where] else self._input(stage, tile, whole)
            targets = arrived = None
            if where not in actor.targets:
                parts = self._work.targets_of(stage, tile, self._scratch)
                targets = [None if part is None else packed(part) for part in parts]
                actor.targets.add(where)
            if stage.above is not None and from_above is not None:
                arrived = packed(self._scratch.read(tile.interior_of(stage.above, from_above)))
            return actor.handle.backward.remote(self._evaluation, where, image, targets, p, arrived)

        return Call(number, home, send)

    def _input(self, stage: Stage, tile: Tile, whole: Tensor) -> Packed:
        return packed(self._scratch.read(stage.input_of(tile, whole)))
