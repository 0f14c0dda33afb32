"""`impasto inspect` and `impasto rerun`: what a picture tells of how it was painted, and painting it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli import outputs
from impasto.cli.outputs import Outputs
from impasto.cli.running import run
from impasto.cli.terminal import note, tell, tell_json
from impasto.cli.weights import fetch_if_missing
from impasto.jobs.recipe import Recipe

if TYPE_CHECKING:
    from impasto.jobs.stylization import Stylization

Painted = Annotated[Path, Parameter(metavar="OUT", help="A picture that impasto wrote.")]


def inspect(
    out: Painted, /, *, json: Annotated[bool, Parameter(help="Print the recipe as one JSON object.")] = False
) -> None:
    """Show how a picture was painted: settings, inputs, weights and versions."""
    recipe = read(out)
    if json:
        tell_json(asdict(recipe))
        return
    tell(f"impasto      {recipe.version}")
    inputs = [("content", recipe.content), *(("style", style) for style in recipe.styles)]
    if recipe.init is not None:
        inputs.append(("init", recipe.init))
    for role, image in inputs:
        tell(f"{role:<12} {image.path or image.name}\n{'':<12} SHA-256 {image.sha256}")
    tell(f"weights      {recipe.settings.get('weights')}\n{'':<12} SHA-256 {recipe.weights_sha256}")
    tell(f"torch        {recipe.torch}, threads: {recipe.threads}, {recipe.machine}, engine: {recipe.engine}\n")
    width = max(map(len, recipe.settings), default=0)
    for name, value in recipe.settings.items():
        tell(f"{name:<{width}}  {_shown(value)}")
    for change in recipe.schedule:
        tell(f"\nafter {change.after} steps")
        for name, value in change.knobs.items():
            tell(f"{name:<{width}}  {_shown(value)}")


def rerun(
    out: Painted,
    /,
    *,
    content: Annotated[Path | None, Parameter(metavar="FILE", help="The photo, if it isn't where it was.")] = None,
    style: Annotated[
        list[str] | None, Parameter(metavar="FILE", help="The style, if it isn't where it was; once for each.")
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(("--output", "-o"), metavar="FILE", help="Default: OUT_rerun.png beside the picture."),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace a file that exists.")] = False,
    json: Annotated[bool, Parameter(help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, Parameter(help="Show no progress.")] = False,
) -> int:
    """Paint a picture again from its own recipe, the same to the bit on the same machine and versions."""
    recipe = read(out)
    files = Outputs(output or out.with_name(f"{out.stem}_rerun.png"), overwrite=overwrite)
    stylization = again(recipe, files, content, style or (), [out], quiet=quiet)
    return run(stylization, files, as_json=json, quiet=quiet)


def again(
    recipe: Recipe, files: Outputs, content: Path | None, styles: Sequence[str], taken: Sequence[Path], *, quiet: bool
) -> Stylization:
    """The job of a recipe, its inputs as recorded or as given; says where the surroundings are others than then.

    Raises `ImpastoError`, also where `files` would replace an input or what is `taken`.
    """
    settings = recipe.checked_settings()
    used = (recipe.content, *recipe.styles, recipe.init, *recipe.masks)
    recorded = [item.path for item in used if item is not None and item.path is not None]
    given = [str(path) for path in (content, *styles) if path is not None]
    files.check(settings, [*taken, *outputs.inputs([*recorded, *given], settings)])
    fetch_if_missing(settings.weights, quiet=quiet)
    from impasto.jobs.rerun import from_recipe

    stylization = from_recipe(recipe, content=content, styles=styles)
    tell_differences(recipe, stylization.recipe())
    return stylization


def read(path: Path) -> Recipe:
    """The recipe in a picture; raises `ImageError`."""
    from impasto.images import reading

    return Recipe.from_json(reading.read_note(path), str(path))


def tell_differences(then: Recipe, now: Recipe) -> None:
    """Say on stderr why a picture may differ in its last bits, if it may."""
    for difference in differences(then, now):
        note(difference)


def differences(then: Recipe, now: Recipe) -> list[str]:
    """A sentence for each way in which this isn't the place where the recipe was written."""
    cures = {
        "version": ("impasto", "pip install impasto=={}"),
        "torch": ("torch", "pip install torch=={}"),
        "engine": ("The engine", "run where --engine {} works, see impasto doctor"),
        "threads": ("The number of threads", "set OMP_NUM_THREADS={}"),
        "machine": ("The machine", "paint it on that kind of processor"),
    }
    return [
        f"{what} is {getattr(now, field)} here and was {was} then, so the picture may differ in its last bits: "
        f"{cure.format(was)} for the same to the bit."
        for field, (what, cure) in cures.items()
        if (was := getattr(then, field)) != getattr(now, field)
    ]


def _shown(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list) else value
