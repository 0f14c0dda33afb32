"""`impasto inspect` and `impasto rerun`: what a picture tells of how it was painted, and painting it again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli import outputs
from impasto.cli.outputs import Outputs
from impasto.cli.running import run
from impasto.cli.terminal import note, tell, tell_json
from impasto.cli.weights import refuse_missing
from impasto.errors import ImageError
from impasto.jobs.recipe import InputFile, Recipe, told_knobs
from impasto.storage.files import quoted

if TYPE_CHECKING:
    from impasto.jobs.stylization import Stylization

PLAIN = re.compile(r"[0-9]+(\.[0-9]+)*((a|b|rc|\.post|\.dev)[0-9]+)?(\+[a-z0-9.]+)?|[a-z]+[0-9]*")
"""A version (PEP 440), a number or a word: all that may stand in a command which is suggested."""

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
    styles = (("style", style) for style in recipe.styles)
    for role, image in [("content", recipe.content), *styles, *recipe.single().items()]:
        _tell_hashed(role, image.path or image.name, image.sha256)
    _tell_hashed("weights", recipe.settings.get("weights"), recipe.weights_sha256)
    tell(f"torch        {recipe.torch}, threads: {recipe.threads}, {recipe.machine}, engine: {recipe.engine}")
    if recipe.steps.taken:
        scales = zip(recipe.steps.taken, recipe.steps.planned, strict=True)
        tell("steps        " + ", ".join(f"{taken} of {planned}" for taken, planned in scales))
    tell()
    width = max(map(len, recipe.settings), default=0)
    for name, value in recipe.settings.items():
        tell(f"{name:<{width}}  {_shown(value)}")
    for change in recipe.schedule:
        tell()
        tell(f"after {change.after} steps")
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
    inputs: Annotated[
        Path | None,
        Parameter(metavar="FOLDER", help="Where its files are, if neither where they were nor beside OUT."),
    ] = None,
    output: Annotated[
        str | None,
        Parameter(
            ("--output", "-o"), metavar="FILE", help="A picture or a folder. Default: OUT_rerun.png beside the picture."
        ),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="Replace a file that exists.")] = False,
    json: Annotated[bool, Parameter(help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, Parameter(help="Show no progress.")] = False,
) -> int:
    """Paint a picture again from its own recipe, the same to the bit on the same machine and versions."""
    recipe = read(out)
    files = Outputs(outputs.placed(output, out.with_name(f"{outputs.stems(out)}_rerun.png")), overwrite=overwrite)
    if inputs is not None and not inputs.is_dir():
        raise ImageError(f"`inputs` is {quoted(inputs)}, which is no folder", "name one", knob="inputs", value=inputs)
    from impasto.jobs.rerun import located

    recipe = located(recipe, [*([] if inputs is None else [inputs]), out.absolute().parent, Path.cwd()])
    refuse_missing(recipe.checked_settings().weights)
    _check_found(recipe, [] if content else [recipe.content], [] if style else recipe.styles)
    stylization = again(recipe, files, content, style or (), [out])
    return run(stylization, files, as_json=json, quiet=quiet)


def again(
    recipe: Recipe,
    files: Outputs,
    content: Path | None,
    styles: Sequence[str],
    taken: Sequence[Path],
) -> Stylization:
    """The job of a recipe, its inputs as recorded or as given; says where the surroundings are others than then.

    Raises `ImpastoError`, also where `files` would replace an input or what is `taken`.
    """
    settings = recipe.checked_settings()
    used = (recipe.content, *recipe.styles, *recipe.named)
    recorded = [item.path for item in used if item.path is not None]
    given = [str(path) for path in (content, *styles) if path is not None]
    files.check(settings, [*taken, *outputs.inputs([*recorded, *given], settings)])
    refuse_missing(settings.weights)
    from impasto.jobs.rerun import from_recipe

    stylization = from_recipe(recipe, content=content, styles=styles)
    tell_differences(recipe, stylization.recipe())
    return stylization


def _check_found(recipe: Recipe, *given: Iterable[InputFile]) -> None:
    """Raise `ImageError` for the first file of a recipe that is nowhere to be found."""
    weights = str(recipe.settings.get("weights", "embedded"))
    paths = [file.path for file in chain(*given, recipe.named) if file.path is not None]
    for path in [*paths, *([weights] if Path(weights).suffix else [])]:
        if not (Path(path).is_absolute() and os.path.lexists(path)):  # for which no name is too long
            raise ImageError(
                f"The picture was painted from {quoted(Path(path))}, which is neither where it was, beside it nor here",
                "give its folder with `inputs`",
                knob="inputs",
            )


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
        "machine": ("The machine", "paint it on that kind of processor"),
    }
    for knob in told_knobs():
        cures[knob] = f"The {knob}", f"run where --{knob} {{}} works, see impasto doctor"
    found = []
    for field, (what, cure) in cures.items():
        if (was := getattr(then, field)) != getattr(now, field):
            here = getattr(now, field)
            how = "a little" if field == "precision" else "in its last bits"
            fault = f"{what} is {here} here and was {was} then, so the picture may differ {how}"
            # A stranger's text never becomes part of what is to be typed.
            is_plain = field == "machine" or PLAIN.fullmatch(str(was))
            found.append(f"{fault}: {cure.format(was)} for the same to the bit." if is_plain else f"{fault}.")
    return found


def _tell_hashed(role: str, name: object, sha256: str) -> None:
    tell(f"{role:<12} {name}")
    tell(f"{'':<12} SHA-256 {sha256}")


def _shown(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list) else value
