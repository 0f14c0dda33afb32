"""`impasto weights`: where VGG19's weights are, whether they are whole, and how to get others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from impasto.cli.terminal import note, tell, tell_json, tell_path
from impasto.errors import WeightsError

if TYPE_CHECKING:
    from impasto.network.weights import Source

weights = App(name="weights", help="List, verify, download or convert VGG19's weights.")

Named = Annotated[str, Parameter(help="'embedded', 'torchvision' or a file.")]
AsJson = Annotated[bool, Parameter(help="Print the result as one JSON object.")]


@weights.command(name="list")
def list_sources(*, json: AsJson = False) -> None:
    """The sources that have a name, and which of them are on this machine."""
    from impasto.network.weights import known

    sources = known()
    if json:
        tell_json({source.name: described(source) for source in sources})
        return
    for source in sources:
        where = str(source.path) if source.available else "not here"
        tell(f"{source.name:<12} {source.size / 1e6:>4.0f} MB  {_contents(source)}")
        tell(f"{'':<12} {where}")


@weights.command
def verify(source: Named = "embedded", /, *, json: AsJson = False) -> None:
    """Check every byte of a weights file."""
    from impasto.network.weights import verify as check

    checked = check(source)
    if json:
        tell_json(described(checked))
    else:
        tell(f"{checked.path}: good, {_contents(checked)}, SHA-256 {checked.sha256}")


@weights.command
def download(source: Named = "torchvision", /, *, quiet: bool = False) -> None:
    """Fetch weights into the cache, going on where an earlier download stopped.

    Parameters
    ----------
    quiet
        Show no progress.
    """
    tell_path(_fetch(source, quiet=quiet))


@weights.command
def convert(source: Named, destination: Path, /, *, overwrite: bool = False) -> None:
    """Write weights as .safetensors, which loads fast and can't carry code.

    Parameters
    ----------
    destination
        The .safetensors file to write.
    overwrite
        Replace a file that exists.
    """
    from impasto.network.weights import convert as write

    tell_path(write(source, destination, overwrite=overwrite))


def fetch_if_missing(source: str, *, quiet: bool) -> None:
    """Download weights that a run will need, with progress, if they aren't here."""
    if source != "torchvision":
        return
    from impasto.network.weights import locate

    if not locate(source).is_file():
        _fetch(source, quiet=quiet)


def refuse_missing(source: str) -> None:
    """Raise `WeightsError` where a recipe's weights would have to be downloaded, which its reader didn't ask for."""
    if source != "torchvision":
        return
    from impasto.network.weights import NAMED, locate

    if not locate(source).is_file():
        raise WeightsError(
            f"The recipe's weights {source!r} aren't on this machine, and are a download of "
            f"{NAMED[source].size / 1e6:.0f} MB",
            f"get them with impasto weights download {source}, then do this again",
        )


def described(source: Source) -> dict[str, Any]:
    """A source for JSON."""
    return {
        "path": None if source.path is None else str(source.path),
        "available": source.available,
        "sha256": source.sha256,
        "bytes": source.size,
        "classifier": source.classifier,
    }


def _contents(source: Source) -> str:
    return "the whole network" if source.classifier else "the convolutions"


def _fetch(source: str, *, quiet: bool) -> Path:
    from impasto.network.weights import download as fetch

    if quiet:
        return fetch(source)
    if not sys.stderr.isatty():
        note(f"Downloading the weights {source!r}.")
        return fetch(source)
    with _download_bar() as progress:
        return fetch(source, progress=progress)


@contextmanager
def _download_bar() -> Iterator[Callable[[int, int | None], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    with Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
