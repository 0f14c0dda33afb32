"""Every swatch by its name: what it shows, and the function that paints it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from impasto.swatches import dots, facets, flow, glass, gold, knife, marble, mosaic, pastel, watercolour, woodcut
from impasto.swatches.canvas import Canvas, Field


@dataclass(frozen=True)
class Swatch:
    """A picture that can be painted at any size: its name, what it shows in one sentence, and how."""

    name: str
    title: str
    paint: Callable[[Canvas], Field]


SWATCHES: Mapping[str, Swatch] = MappingProxyType(
    {
        swatch.name: swatch
        for swatch in (
            Swatch("flow", "A windy night over wheat, in swirling strokes of thick oil.", flow.paint),
            Swatch("dots", "A river in summer, in dots of pure colour that mix in the eye.", dots.paint),
            Swatch("mosaic", "A sun over the sea, in glass and gold tesserae.", mosaic.paint),
            Swatch("woodcut", "A mountain, a pine and the sea, in black cuts over three inks.", woodcut.paint),
            Swatch("watercolour", "Poppies, in wet washes and translucent petals.", watercolour.paint),
            Swatch("facets", "Overlapping shaded planes, in cubist ochres, greys and blues.", facets.paint),
            Swatch("glass", "A rose window, in streaked glass and lead.", glass.paint),
            Swatch("gold", "A robe among raised spirals, in gold leaf and gems of colour.", gold.paint),
            Swatch("pastel", "A red evening over a dark bay, in chalk on rough paper.", pastel.paint),
            Swatch("knife", "Red against teal and cream, in slabs dragged with a palette knife.", knife.paint),
            Swatch("marble", "Combed and swirled inks, as on the endpapers of old books.", marble.paint),
        )
    }
)
"""Every swatch by its name."""
