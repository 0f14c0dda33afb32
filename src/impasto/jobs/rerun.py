"""The job that a recipe describes, with its inputs compared by their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.images.reading import SourceImage
from impasto.jobs.inputs import Source
from impasto.jobs.recipe import SINGLE, InputFile, Recipe
from impasto.jobs.stylization import Stylization
from impasto.network.engines.choice import can_run
from impasto.network.engines.native_library import why_no_bf16
from impasto.settings import roles
from impasto.settings.choices import EngineName, Precision


def from_recipe(recipe: Recipe, *, content: Source | None = None, styles: Sequence[Source] = ()) -> Stylization:
    """The job that a recipe describes, its inputs taken from the recorded paths (see `located`) or the ones given here.

    Engine and precision are the recipe's where they can run here, and so are the threads: the same to the bit needs
    all three. Raises
    `ImpastoError` where an input or the weights are not those of the recipe, by their SHA-256.
    """
    settings = recipe.checked_settings()
    if not can_run(settings.engine):
        settings = settings.model_copy(update={"engine": EngineName.AUTO})
    if settings.engine is EngineName.NATIVE and settings.precision is Precision.BFLOAT16 and why_no_bf16():
        settings = settings.model_copy(update={"precision": Precision.FLOAT32})
    job = Stylization(
        content if content is not None else _recorded(recipe.content),
        styles or [_recorded(style) for style in recipe.styles],
        settings,
        schedule=recipe.schedule,
        steps=recipe.steps,
        faces=recipe.faces,
    )
    if len(job.styles) != len(recipe.styles):
        raise ImpastoError(f"The recipe has {len(recipe.styles)} styles but {len(job.styles)} were given", "give each")
    single = {knob for knob in SINGLE if getattr(job.inputs, knob) is not None}
    if len(job.inputs.all_masks()) != len(recipe.masks) or single != {*recipe.single()}:
        raise ImpastoError(
            "The recipe's settings name other files than it has hashes of", "use another copy of the picture"
        )
    for role, mine, wanted in _pairs(job, recipe):
        if mine.sha256 != wanted.sha256:
            raise ImpastoError(
                f"The {role.replace('_', ' ')} image {mine.path or mine.name} is not the one of the recipe (SHA-256 "
                f"{mine.sha256[:12]}…, not {wanted.sha256[:12]}…)",
                f"give the original with `{role}`",
                knob=role,
            )
    if job.network.sha256 != recipe.weights_sha256:
        raise ImpastoError(
            f"The weights {settings.weights!r} are not those of the recipe (SHA-256 "
            f"{job.network.sha256[:12]}…, not {recipe.weights_sha256[:12]}…)",
            "put the original file back",
            knob="weights",
        )
    return job


def located(recipe: Recipe, folders: Sequence[Path]) -> Recipe:
    """The recipe with the paths of its files where they are now: as recorded, or by their names in `folders`.

    Of several files of one name it takes the one with the right bytes; what isn't found stays as it was. Raises
    `SettingsError` where this version doesn't know the settings.
    """
    checked = recipe.checked_settings()

    def here(file: InputFile) -> InputFile:
        return file if file.path is None else replace(file, path=_find(file.path, file.sha256, folders))

    masks = [here(mask) for mask in recipe.masks]
    single = {knob: here(file) for knob, file in recipe.single().items()}
    found: dict[str, Any] = {knob: file.path for knob, file in single.items() if file.path is not None}
    if roles.is_file("weights", checked.weights):
        found["weights"] = _find(checked.weights, recipe.weights_sha256, folders)
    left = iter(masks)  # too few or too many are refused by `from_recipe`
    found["mask"] = roles.with_files("mask", checked.mask, lambda name: _path(next(left, None)) or name)
    found["style_mask"] = roles.with_files(
        "style_mask", checked.style_mask, lambda name: _path(next(left, None)) or name
    )
    return replace(
        recipe,
        settings=recipe.settings | found,
        content=here(recipe.content),
        styles=tuple(map(here, recipe.styles)),
        masks=tuple(masks),
        **single,
    )


def _path(file: InputFile | None) -> str | None:
    return None if file is None else file.path


def _find(path: str, sha256: str, folders: Sequence[Path]) -> str:
    places = [folder.absolute() / Path(path).name for folder in folders]
    digests = {place: _digest(place) for place in ([Path(path)] if Path(path).is_absolute() else []) + places}
    right = [place for place, digest in digests.items() if digest == sha256]
    found = [place for place, digest in digests.items() if digest is not None]
    return str((right or found or [path])[0])


def _digest(path: Path) -> str | None:
    """The SHA-256 of a file, None where there is none that could be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _pairs(job: Stylization, recipe: Recipe) -> Iterator[tuple[str, SourceImage, InputFile]]:
    """Each input's role, the input and what the recipe says of it."""
    yield "content", job.content, recipe.content
    yield from (("style", mine, wanted) for mine, wanted in zip(job.styles, recipe.styles, strict=True))
    yield from ((knob, getattr(job.inputs, knob), wanted) for knob, wanted in recipe.single().items())
    masks = zip(job.inputs.all_masks(), recipe.masks, strict=True)
    yield from (("mask", mask, wanted) for mask, wanted in masks)


def _recorded(file: InputFile) -> str:
    return file.path if file.path is not None else file.name
