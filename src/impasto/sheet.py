"""One labelled sheet of many pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from torch import Tensor

from impasto.images import fit, resize, to_pil

INK, GREY, PAPER = "#1b1f2a", "#7b818c", "#ffffff"

LONGEST = 6000
"""Side in pixels that the pictures together don't exceed; larger ones are shown smaller."""

WIDEST = 4.0
"""Width by height that a sheet doesn't much exceed: wider ones get another row."""

NARROWEST = 192
"""Least room in pixels for a picture and its label."""

GAP = 0.03
"""Between pictures, relative to the longest side of one."""

LETTER = 1 / 24
"""Height of the letters, relative to the longest side of a picture; in pixels they stay within `LETTERS`."""
LETTERS = (11, 40)


class Shot(NamedTuple):
    """A picture (1, 3, h, w) in [0, 1], with its alpha (1, 1, h, w) if it has one, under lines of text."""

    picture: Tensor
    lines: Sequence[str]
    alpha: Tensor | None = None


def draw(rows: Sequence[Sequence[Shot | None]], title: str) -> PIL.Image.Image:
    """Rows of pictures, all shown as large as the largest of them; None leaves a place empty."""
    shots = [shot for row in rows for shot in row if shot is not None]
    columns = max(map(len, rows))
    height, width = _shown_size([shot.picture for shot in shots], len(rows), columns)
    letters = min(max(round(LETTER * max(height, width)), LETTERS[0]), LETTERS[1])
    font, gap = _font(letters), max(4, round(GAP * max(height, width)))
    line = round(1.4 * letters)
    caption = line * max(len(shot.lines) for shot in shots) + round(0.3 * letters)
    room = max(width, NARROWEST)
    sheet_width = gap + columns * (room + gap)
    sheet = PIL.Image.new("RGB", (sheet_width, 2 * line + len(rows) * (caption + height + gap)), PAPER)
    page = PIL.ImageDraw.Draw(sheet)
    page.text((gap, round(0.5 * line)), _cut(title, font, sheet_width - 2 * gap), GREY, font)
    for i, row in enumerate(rows):
        for j, shot in enumerate(row):
            if shot is None:
                continue
            x, y = gap + j * (room + gap), 2 * line + i * (caption + height + gap)
            for n, text in enumerate(shot.lines):
                page.text((x, y + n * line), _cut(text, font, room), INK, font)
            _paste(sheet, shot, (x, y + caption), (height, width))
    return sheet


def wrapped(shots: Sequence[Shot | None]) -> list[list[Shot | None]]:
    """The same shots in one row, or in as few of about equal length as keep the sheet from being a ribbon."""
    aspects = [shot.picture.shape[-1] / shot.picture.shape[-2] for shot in shots if shot is not None]
    most = min(len(shots), max(1, round(math.sqrt(len(shots) * WIDEST / max(aspects)))))
    columns = math.ceil(len(shots) / math.ceil(len(shots) / most))
    return [list(shots[n : n + columns]) for n in range(0, len(shots), columns)]


def _shown_size(pictures: Sequence[Tensor], rows: int, columns: int) -> tuple[int, int]:
    height, width = max(((p.shape[-2], p.shape[-1]) for p in pictures), key=max)
    room = LONGEST / max(rows * height, columns * width)
    return (height, width) if room >= 1 else fit((height, width), max(1, int(room * max(height, width))))


def _paste(sheet: PIL.Image.Image, shot: Shot, at: tuple[int, int], size: tuple[int, int]) -> None:
    """What is transparent shows the paper; a picture of another shape keeps it."""
    own = (shot.picture.shape[-2], shot.picture.shape[-1])
    shown = fit(own, round(max(own) * min(size[0] / own[0], size[1] / own[1])))
    image = resize(shot.picture, shown)
    if shot.alpha is not None:
        alpha = resize(shot.alpha, shown)
        image = image * alpha + (1 - alpha)
    sheet.paste(to_pil(image), at)


def _font(height: int) -> PIL.ImageFont.FreeTypeFont:
    import matplotlib  # brings DejaVu Sans along, so that a sheet looks the same everywhere

    return PIL.ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), height)


def _cut(text: str, font: PIL.ImageFont.FreeTypeFont, width: int) -> str:
    """The text, or as much of it as fits with '…' at its end."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
