"""What happens in the processes of `reading`, which alone import torch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impasto.images import reading, writing
from impasto.images.size import fit, resize, size_of
from impasto.jobs.recipe import Recipe
from impasto.report import sheet_of_files
from impasto.studio.films import reading as films
from impasto.studio.films.files import STILL
from impasto.studio.films.reading import FilmLimits


def read(file: Path, folder: Path, pixels: int, sides: tuple[int, int], film: FilmLimits | None) -> dict[str, Any]:
    """See `reading.read_upload`."""
    os.chdir(file.parent)  # so that a sentence about it says its name alone
    file = Path(file.name)
    still = folder / STILL
    facts = None if film is None else films.read(file, still, film)
    image = reading.load(file if facts is None else still, max_pixels=pixels, needed=sides[0])
    for name, side in zip(("view", "thumbnail"), sides, strict=True):
        size = fit(size_of(image.pixels), min(side, max(size_of(image.pixels))))
        alpha = None if image.alpha is None else resize(image.alpha, size)
        writing.to_pil(resize(image.pixels, size), alpha).save(folder / f"{name}.webp", "WEBP", quality=88)
    height, width = image.size
    recipe = None if facts else _recipe(file)
    return {"width": width, "height": height, "recipe": recipe, "film": facts and facts.model_dump()}


def _recipe(file: Path) -> str | None:
    """The recipe in a file, checked; None where it has none that this version knows."""
    try:
        recipe = Recipe.from_json(reading.read_note(file), file.name)
        recipe.checked_settings()
    except Exception:  # a stranger's file
        return None
    return json.dumps(json.loads(recipe.to_json()))


def write_sheet(pictures: Sequence[tuple[str, Sequence[str]]], target: Path, name: str, of: int) -> None:
    """See `reading.write_sheet`."""
    sheet_of_files.write(target, [(Path(file), lines) for file, lines in pictures], name, of)


def convert(picture: Path, target: Path) -> None:
    """See `reading.convert`."""
    image = reading.load(picture, max_pixels=10_000_000_000)
    writing.save(
        target,
        image.pixels,
        alpha=image.alpha,
        note=reading.read_note(picture),
        camera=image.camera,
        dpi=image.dpi,
        overwrite=True,
    )
