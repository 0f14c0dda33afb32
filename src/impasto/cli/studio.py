"""`impasto studio`: the page in the browser."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.terminal import note, tell
from impasto.errors import ImpastoError

TOKEN = "IMPASTO_TOKEN"


def studio(
    *,
    port: Annotated[int, Parameter(metavar="PORT", help="Where it listens. [default: 8600]")] = 8600,
    host: Annotated[
        str,
        Parameter(
            metavar="ADDRESS",
            help="Who reaches it: only this machine by itself; 0.0.0.0 for every one in the network, which then needs "
            "a token. [default: 127.0.0.1]",
        ),
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        Parameter(
            metavar="WORD",
            help=f"What others have to know: 12 characters or more, also in {TOKEN}. Default: a new one, where one is "
            "needed.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        Parameter(metavar="NAME", help="A name by which browsers reach it, such as studio.example; once for each."),
    ] = None,
    data: Annotated[
        Path | None, Parameter(metavar="FOLDER", help="Where it keeps pictures, runs and its queue.")
    ] = None,
    config: Annotated[
        Path | None,
        Parameter(metavar="FILE.toml", help="Settings of every job that says nothing else, such as weights."),
    ] = None,
    open: Annotated[bool, Parameter(help="Open the page in the browser.")] = False,
    quiet: Annotated[bool, Parameter(help="Print nothing but errors.")] = False,
) -> int:
    """Open the studio: paint in the browser, with a queue that survives closing the page and the machine."""
    try:
        from impasto.studio.serving import serve
    except ModuleNotFoundError as error:
        raise ImpastoError(f"The studio needs {error.name}", "pip install 'impasto[studio]'") from None
    from impasto.settings import presets
    from impasto.studio.config import LOOPBACK, StudioConfig, default_folder

    base = {} if config is None else presets.read(config, "config")[1]
    token = token or os.environ.get(TOKEN)
    if token is None and host not in LOOPBACK:
        token = secrets.token_urlsafe(18)
    names = tuple(one.lower() for one in name or ())
    chosen = StudioConfig(data or default_folder(), host, port, token, names, base)
    return serve(chosen, tell=_nothing if quiet else tell, note=_nothing if quiet else note, browser=open)


def _nothing(text: str) -> None:
    """What a quiet studio says."""
