"""Paints the thumbnails of the bundled styles that the studio's shelf shows: static/swatches/NAME.webp.

python tools/swatches.py
"""

from pathlib import Path

import PIL.Image

from impasto.swatches import catalogue

FOLDER = Path(__file__).resolve().parents[1] / "src/impasto/studio/static/swatches"
SIDE = 240
"""Pixels: a tile has 80, and some screens three for each."""


def thumbnail(name: str) -> PIL.Image.Image:
    """A swatch, small."""
    return PIL.Image.fromarray(catalogue.paint(name, (SIDE, SIDE)))


def main() -> None:
    """Paint them all."""
    FOLDER.mkdir(exist_ok=True)
    for name in catalogue.names():
        thumbnail(name).save(FOLDER / f"{name}.webp", "WEBP", quality=82)


if __name__ == "__main__":
    main()
