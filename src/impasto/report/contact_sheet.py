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

from impasto.images.size import Size, fit, resize, size_of
from impasto.images.writing import to_pil

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


class LabelledImage(NamedTuple):
    """A picture (1, 3, h, w) in [0, 1], with its alpha (1, 1, h, w) if it has one, under lines of text."""

    picture: Tensor
    lines: Sequence[str]
    alpha: Tensor | None = None


def draw(rows: Sequence[Sequence[LabelledImage | None]], title: str) -> PIL.Image.Image:
    """Rows of pictures, all shown as large as the largest of them; None leaves a place empty."""
    largest = _largest([cell.picture for row in rows for cell in row if cell is not None], rows)
    scaled = [[None if cell is None else _scaled(cell, largest) for cell in row] for row in rows]
    letters = min(max(round(LETTER * max(largest)), LETTERS[0]), LETTERS[1])
    font, gap, line = _font(letters), max(4, round(GAP * max(largest))), round(1.4 * letters)
    caption = line * max(len(cell.lines) for row in rows for cell in row if cell) + round(0.3 * letters)
    heights = [max((image.height for image in row if image), default=0) for row in scaled]
    room = max(largest[1], NARROWEST)
    width = gap + max(map(len, rows)) * (room + gap)
    sheet = PIL.Image.new("RGB", (width, 2 * line + sum(caption + height + gap for height in heights)), PAPER)
    page = PIL.ImageDraw.Draw(sheet)
    page.text((gap, round(0.5 * line)), _cut(title, font, width - 2 * gap), GREY, font)
    y = 2 * line
    for row, images, height in zip(rows, scaled, heights, strict=True):
        for n, (cell, image) in enumerate(zip(row, images, strict=True)):
            if cell is None or image is None:
                continue
            x = gap + n * (room + gap)
            for i, text in enumerate(cell.lines):
                page.text((x, y + i * line), _cut(text, font, room), INK, font)
            sheet.paste(image, (x, y + caption))
        y += caption + height + gap
    return sheet


def in_rows(cells: Sequence[LabelledImage | None]) -> list[list[LabelledImage | None]]:
    """The same cells in one row, or in as few of about equal length as keep the sheet from being a ribbon."""
    aspects = [cell.picture.shape[-1] / cell.picture.shape[-2] for cell in cells if cell is not None]
    most = min(len(cells), max(1, round(math.sqrt(len(cells) * WIDEST / max(aspects)))))
    columns = math.ceil(len(cells) / math.ceil(len(cells) / most))
    return [list(cells[n : n + columns]) for n in range(0, len(cells), columns)]


def _largest(pictures: Sequence[Tensor], rows: Sequence[Sequence[object]]) -> Size:
    """(h, w) that every picture is fitted into: the greatest there are, or less where the sheet would be too large."""
    height, width = max(p.shape[-2] for p in pictures), max(p.shape[-1] for p in pictures)
    room = LONGEST / max(len(rows) * height, max(map(len, rows)) * width)
    return (height, width) if room >= 1 else fit((height, width), max(1, int(room * max(height, width))))


def _scaled(cell: LabelledImage, largest: Size) -> PIL.Image.Image:
    """What is transparent shows the paper; a picture of another shape keeps it."""
    own = size_of(cell.picture)
    size = fit(own, round(max(own) * min(largest[0] / own[0], largest[1] / own[1])))
    image = resize(cell.picture, size)
    if cell.alpha is not None:
        alpha = resize(cell.alpha, size)
        image = image * alpha + (1 - alpha)
    return to_pil(image)


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
