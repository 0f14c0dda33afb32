"""Where the pictures of a figure go: rows, justified, beside a large one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

WIDTHS = (16.0, 15.0, 14.0, 13.0)
"""Widths in inches that a figure may have: the first in which its pictures aren't higher than `HIGHEST`."""
HIGHEST = 7.2
MARGIN, GAP, CAPTION = 0.4, 0.14, 0.27
"""Inches: around the page, between pictures and above each."""


class Box(NamedTuple):
    """A place on the page in inches, from its left and top."""

    x: float
    y: float
    w: float
    h: float


def arrange(rows: Sequence[Sequence[float]], large: float, width: float) -> tuple[list[list[Box]], Box]:
    """Boxes for rows of pictures of these aspects (w / h), justified, and beside them one as high as all rows.

    Everything together is `width` wide; above each row there's room for a caption.
    """
    per_inch = [1 / sum(aspects) for aspects in rows]  # a row's height for each inch of its width without gaps
    gaps = [GAP * (len(aspects) - 1) for aspects in rows]
    between = (len(rows) - 1) * (GAP + CAPTION)
    fixed = between - sum(k * gap for k, gap in zip(per_inch, gaps, strict=True))
    block = (width - 2 * GAP - large * fixed) / (1 + large * sum(per_inch))
    boxes, y = [], CAPTION
    for aspects, k, gap in zip(rows, per_inch, gaps, strict=True):
        height, x, row = k * (block - gap), 0.0, []
        for aspect in aspects:
            row.append(Box(x, y, aspect * height, height))
            x += aspect * height + GAP
        boxes.append(row)
        y += height + GAP + CAPTION
    high = y - GAP - 2 * CAPTION
    return boxes, Box(block + 2 * GAP, CAPTION, large * high, high)


def arrange_page(rows: Sequence[Sequence[float]], large: float) -> tuple[float, list[list[Box]], Box]:
    """The page's width, and what `arrange` makes of it; pictures too tall for any page are made smaller."""
    pages = [(width, *arrange(rows, large, width - 2 * MARGIN)) for width in WIDTHS]
    width, _, beside = pages[-1]
    pages.append((width, *arrange(rows, large, (width - 2 * MARGIN) * HIGHEST / beside.h)))
    return next((page for page in pages if page[2].h <= HIGHEST), pages[-1])
