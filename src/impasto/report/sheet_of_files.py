"""A contact sheet of the pictures in a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.images import reading, writing
from impasto.images.size import fit, resize, size_of
from impasto.report.contact_sheet import LabelledImage, draw, in_rows

MOST = 400
"""Pictures on a sheet, the first ones."""

THUMBNAIL = 256
"""Longest side of a picture on the sheet in pixels."""


def write(target: Path, pictures: Sequence[tuple[Path, Sequence[str]]], name: str, of: int) -> Path | None:
    """Pictures, small, under their lines of text on one sheet, which says the folder's name and `of` how many they are.

    None where there are none; raises `ImageError` where the sheet can't be written.
    """
    cells: list[LabelledImage | None] = []
    for file, lines in pictures[:MOST]:
        with contextlib.suppress(ImpastoError):  # one that was just removed
            image = reading.load(file, needed=THUMBNAIL)
            size = fit(size_of(image.pixels), min(THUMBNAIL, max(size_of(image.pixels))))
            cells.append(LabelledImage(resize(image.pixels, size), lines))
    if not cells:
        return None
    more = f", the first {len(cells)} of {len(pictures)}" if len(pictures) > len(cells) else ""
    title = f"{name}: {len(pictures)} of {of} pictures{more}"
    return writing.save(target, reading.load(draw(in_rows(cells), title)).pixels, overwrite=True)
