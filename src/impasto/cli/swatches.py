"""`impasto swatches`: the style images that impasto paints itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.outputs import placed
from impasto.cli.terminal import tell, tell_path
from impasto.errors import SettingsError


def swatches(
    *,
    sheet: Annotated[Path | None, Parameter(metavar="FILE", help="Write a picture that shows all of them.")] = None,
    write: Annotated[str | None, Parameter(metavar="NAME", help="Write one swatch as a picture.")] = None,
    output: Annotated[
        str | None,
        Parameter(
            ("--output", "-o"),
            metavar="FILE",
            help="Where --write puts it: a file or a folder. Default: NAME.png here.",
        ),
    ] = None,
    size: Annotated[
        int | None, Parameter(metavar="N", help="Side of a swatch in pixels. Default: 512, on the sheet 256.")
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace files that exist.")] = False,
) -> None:
    """List the bundled styles, or write them as pictures."""
    from impasto.images import reading, writing
    from impasto.swatches import catalogue
    from impasto.swatches.registry import SWATCHES

    if write is None and output is not None:
        raise SettingsError("`output` is given without `write`", "name the swatch to write", knob="output")
    if sheet is None and write is None:
        for name, given in (("size", size is not None), ("overwrite", overwrite)):
            if given:
                raise SettingsError(f"`{name}` is given without `write` or `sheet`", "say what to write", knob=name)
        width = max(map(len, SWATCHES))
        for swatch in SWATCHES.values():
            tell(f"{swatch.name:<{width}}  {swatch.title}")
        return
    jobs = []
    if write is not None:
        side = 512 if size is None else size
        jobs.append((placed(output, Path(f"{write}.png")), lambda: catalogue.paint(write, (side, side))))
    if sheet is not None:
        jobs.append((sheet, lambda: catalogue.sheet(256 if size is None else size)))
    for path, _ in jobs:
        writing.check_writable(path, overwrite)
    for path, painted in jobs:
        tell_path(writing.save(path, reading.load(painted()).pixels, overwrite=overwrite))
