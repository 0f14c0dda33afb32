"""Who computes the tiles of one picture: this process, or a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli.batch_how import How
from impasto.cli.knobs import SELDOM

if TYPE_CHECKING:
    from impasto.jobs.stylization import Stylization
    from impasto.settings.settings import Settings

Executor = Annotated[
    str,
    Parameter(
        metavar="NAME",
        group=SELDOM,
        help="Who computes the picture's tiles: 'local' is this process, 'ray' a cluster. [default: local]",
    ),
]
Address = Annotated[
    str | None,
    Parameter(
        metavar="HOST:PORT",
        group=SELDOM,
        help="Of the Ray cluster: its head's, 'auto' for the one that this machine is part of, or 'local' for one of "
        "this machine alone. [default: auto]",
    ),
]


class Tiles:
    """The executor by name, and a Ray cluster's address; raises `SettingsError` for what contradicts."""

    def __init__(self, executor: str, address: str | None) -> None:
        how = How(None, executor, address, fetch=False)
        how.check()
        self.spread, self.address = how.on_ray, address or "auto"

    def settle(self, settings: Settings) -> Settings:
        """The settings with what a cluster needs decided; raises `SettingsError` where they leave it nothing to do."""
        if not self.spread:
            return settings
        from impasto.jobs.executors.ray_tiles import spread_settings

        return spread_settings(settings)

    @contextlib.contextmanager
    def computing(self, stylization: Stylization) -> Iterator[None]:
        """While the block runs, the tiles of a job's evaluations are computed there."""
        if not self.spread:
            yield
            return
        from impasto.jobs.executors.ray_tiles import tiles_on_ray

        with tiles_on_ray(stylization.settings, self.address) as tiles:
            tiles.check(stylization.network.sha256)
            stylization.passes = tiles
            yield
