"""A stylization's picture into a file: at the size of the result, with transparency, resolution and recipe."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from impasto.images import writing
from impasto.images.size import resize
from impasto.jobs.stylization import Stylization


def save_picture(
    stylization: Stylization, picture: Tensor, path: Path, *, recipe: bool = False, overwrite: bool = False
) -> None:
    """Write a picture of any scale, (1, 3, h, w) sRGB in [0, 1], at the size of the result; raises `ImageError`.

    Only a finished picture is to carry its `recipe`, without folders: no settings lead to any other one.
    """
    full = resize(picture, stylization.plan.size, stylization.scratch)
    writing.save(
        path,
        full,
        alpha=stylization.alpha(full),
        note=stylization.recipe().without_folders().to_json() if recipe else None,
        camera=stylization.camera(),
        dpi=stylization.dpi,
        overwrite=overwrite,
    )
