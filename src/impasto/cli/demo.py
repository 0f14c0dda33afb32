"""`impasto demo`: the whole job on a real photograph, for a first look."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.outputs import Outputs
from impasto.cli.running import run
from impasto.errors import ImpastoError
from impasto.settings.settings import Settings
from impasto.storage.files import quoted, reason

PHOTO = "coffee.png"
"""A photograph in scikit-image's wheel."""

STYLE = "watercolour"

SETTINGS = Settings(size=384)
"""Smaller than the default: the figure shows epochs 1, 5 and 10, and the whole takes under 3 minutes."""


def demo(
    *,
    output_dir: Annotated[Path, Parameter(metavar="DIR", help="Where the picture and the figure go.")] = Path(),
    overwrite: Annotated[bool, Parameter(help="Replace those of an earlier demo.")] = False,
    json: Annotated[bool, Parameter(help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, Parameter(help="Show no progress.")] = False,
) -> int:
    """Paint a photograph from scikit-image in a bundled style, in under 3 minutes on 2 cores."""
    photo = photograph()
    picture, drawn = output_dir / "impasto_demo.png", output_dir / "impasto_demo_figure.png"
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImpastoError(f"{quoted(output_dir)} can't be made ({reason(error)})", "choose another folder") from None
    files = Outputs(picture, figure=drawn, overwrite=overwrite)
    files.check(SETTINGS, [photo])
    from impasto.jobs.stylization import Stylization

    return run(Stylization(photo, [STYLE], SETTINGS), files, as_json=json, quiet=quiet)


def photograph() -> Path:
    """The photograph's file, found without importing scikit-image."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise ImpastoError("scikit-image is not installed", "pip install 'impasto[demo]'")
    return Path(package.origin).parent / "data" / PHOTO
