"""What does a preset make of every kind of input? A sheet of fourteen contents in eight styles, to be looked at.

Contents are of the kinds that go wrong: faces, a crowd, night, fog, snow, flat shapes, line drawings, text, grey,
low-resolution and over-sharpened photos. Styles are paintings, swatches, pen on white paper, a small file, and a photo
of a painting with glare. Pictures stay in a folder (--keep) and aren't painted twice by the same code.

python benchmarks/sheets.py [--presets NAME …] [--size N] [--epochs N] [--contents NAME …] [--styles NAME …]
    [--keep FOLDER] [--quick]
"""

import argparse
import random
import tempfile
from collections.abc import Callable
from itertools import product
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import kept
import numpy as np
import pictures
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
import record

PAPER, INK = 250, 30


def packaged(name: str) -> PIL.Image.Image:
    """A photo of a wheel's."""
    with PIL.Image.open(pictures.packaged(name)) as opened:
        return opened.convert("RGB")


def crowd() -> PIL.Image.Image:
    """Sixty small faces side by side."""
    faces = np.load(pictures.packaged("skimage/data/lfw_subset.npy"))[:60]
    rows = [np.concatenate(list(faces[n : n + 10]), axis=1) for n in range(0, 60, 10)]
    grey = PIL.Image.fromarray((np.concatenate(rows) * 255).astype(np.uint8))
    return grey.resize((500, 300), PIL.Image.Resampling.BICUBIC).convert("RGB")


def fog() -> PIL.Image.Image:
    """A pavilion of which a third of the contrast is left."""
    return PIL.Image.blend(
        packaged("sklearn/datasets/images/china.jpg"), PIL.Image.new("RGB", (640, 427), "#c8ccd0"), 0.67
    )


def snow() -> PIL.Image.Image:
    """A cat in a snowfall."""
    image, at = packaged("skimage/data/chelsea.png"), random.Random(1)
    draw = PIL.ImageDraw.Draw(image)
    for _ in range(500):
        x, y, r = at.uniform(0, image.width), at.uniform(0, image.height), at.uniform(1, 4)
        draw.ellipse([x - r, y - r, x + r, y + r], fill="white")
    return image


def drawing() -> PIL.Image.Image:
    """A house under a sun, in thin lines."""
    image = PIL.Image.new("RGB", (480, 360), "white")
    draw = PIL.ImageDraw.Draw(image)
    draw.rectangle([140, 160, 340, 310], outline="black", width=2)
    draw.line([130, 160, 240, 80, 350, 160], fill="black", width=2)
    draw.rectangle([215, 230, 265, 310], outline="black", width=2)
    draw.ellipse([380, 30, 440, 90], outline="black", width=2)
    for n in range(12):
        x, y = cos(n * pi / 6), sin(n * pi / 6)
        draw.line([410 + 36 * x, 60 + 36 * y, 410 + 48 * x, 60 + 48 * y], fill="black", width=2)
    draw.line([20, 310, 460, 310], fill="black", width=2)
    return image


def flat() -> PIL.Image.Image:
    """Hills and a moon as plain shapes."""
    image = PIL.Image.new("RGB", (480, 360), "#f4c95d")
    draw = PIL.ImageDraw.Draw(image)
    draw.ellipse([300, 40, 380, 120], fill="#f7f7f2")
    draw.polygon([(0, 360), (0, 220), (150, 140), (330, 360)], fill="#7d4f50")
    draw.polygon([(160, 360), (360, 180), (480, 260), (480, 360)], fill="#3d5a6c")
    return image


def low_resolution() -> PIL.Image.Image:
    """A cup of 90 px, enlarged."""
    return packaged("skimage/data/coffee.png").resize((90, 60)).resize((480, 320), PIL.Image.Resampling.BICUBIC)


def sharpened() -> PIL.Image.Image:
    """A pavilion with pale rims around everything."""
    return packaged("sklearn/datasets/images/china.jpg").filter(PIL.ImageFilter.UnsharpMask(3, 400, 0))


def pen() -> PIL.Image.Image:
    """Hatching in ink on white paper."""
    at = random.Random(1)
    image = PIL.Image.new("L", (1000, 800), PAPER)
    draw = PIL.ImageDraw.Draw(image)
    for _ in range(130):
        x, y, angle, lines = at.uniform(0, 1000), at.uniform(0, 800), at.uniform(0, pi), at.randint(8, 40)
        for n in range(lines):
            aside, long = (n - lines / 2) * at.uniform(5, 7), at.uniform(25, 75)
            middle = x - aside * sin(angle), y + aside * cos(angle)
            ends = [middle[0] - long * cos(angle), middle[1] - long * sin(angle)]
            ends += [middle[0] + long * cos(angle), middle[1] + long * sin(angle)]
            draw.line(ends, fill=at.randint(INK - 20, INK + 40), width=at.choice([1, 2, 2, 3]))
    return image.resize((800, 640), PIL.Image.Resampling.LANCZOS).convert("RGB")


def painting(name: str) -> PIL.Image.Image:
    """A painting that lies beside this checkout."""
    with PIL.Image.open(pictures.PAINTING.with_name(f"{name}.jpg")) as opened:
        return opened.convert("RGB")


def glare() -> PIL.Image.Image:
    """A photo of a painting, with a lamp's reflection on it."""
    image = painting("the_scream")
    lamp = PIL.Image.new("L", image.size, 0)
    w, h = image.size
    PIL.ImageDraw.Draw(lamp).ellipse([0.55 * w, 0.1 * h, 0.9 * w, 0.4 * h], fill=230)
    lamp = lamp.filter(PIL.ImageFilter.GaussianBlur(w / 20))
    return PIL.Image.composite(PIL.Image.new("RGB", image.size, "white"), image, lamp)


def swatch(name: str) -> PIL.Image.Image:
    """A style that impasto paints itself."""
    from impasto.swatches import catalogue

    return PIL.Image.fromarray(catalogue.paint(name, (512, 512)))


Made = Callable[[], PIL.Image.Image]

CONTENTS: dict[str, Made] = {
    "face": lambda: packaged("skimage/data/astronaut.png"),
    "portrait": lambda: packaged("matplotlib/mpl-data/sample_data/grace_hopper.jpg"),
    "crowd": crowd,
    "night": lambda: packaged("skimage/data/rocket.jpg"),
    "fog": fog,
    "snow": snow,
    "flat": flat,
    "drawing": drawing,
    "text": lambda: packaged("skimage/data/page.png"),
    "grey": lambda: packaged("skimage/data/camera.png"),
    "low resolution": low_resolution,
    "sharpened": sharpened,
    "stars": lambda: packaged("skimage/data/hubble_deep_field.jpg"),
    "things": lambda: packaged("skimage/data/motorcycle_left.png"),
}
STYLES: dict[str, Made] = {
    **{name: lambda name=name: painting(name) for name in ("starry_night", "the_scream", "shipwreck")},
    **{name: lambda name=name: swatch(name) for name in ("watercolour", "mosaic")},
    "pen": pen,
    "small": lambda: painting("starry_night").resize((100, 79), PIL.Image.Resampling.LANCZOS),
    "glare": glare,
}
PRESETS = ("balanced", "painterly", "repainted", "portrait", "drawing", "sketch")
FOLDER = kept.FOLDER / "sheets"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--contents", nargs="+", choices=CONTENTS, default=list(CONTENTS))
    parser.add_argument("--styles", nargs="+", choices=STYLES, default=list(STYLES))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, help="fewer than the preset's, for a first look at many")
    parser.add_argument("--keep", type=Path, default=FOLDER, help="where the pictures and the sheets stay")
    parser.add_argument("--quick", action="store_true", help="one tiny picture, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    common: dict[str, Any] = {"size": chosen.size} | ({"epochs": chosen.epochs} if chosen.epochs else {})
    if chosen.quick:
        chosen.presets, chosen.contents, chosen.styles = ["balanced"], ["flat"], ["pen"]
        common = {"size": 64, "epochs": 1, "steps_per_epoch": 2}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if chosen.quick else chosen.keep
        rows = [
            {"preset": preset, "pictures": sheet(preset, chosen.contents, chosen.styles, common, folder)}
            for preset in chosen.presets
        ]
    if chosen.quick:
        record.report("sheets", {"question": "Pictures on the sheet of each preset"}, rows, chosen.results)


def sheet(preset: str, contents: list[str], styles: list[str], common: dict[str, Any], folder: Path) -> int:
    """Paint what isn't there, and draw the preset's sheet, a row for each content; how many pictures are on it."""
    from impasto.images import reading
    from impasto.images.size import fit, resize, size_of
    from impasto.report.contact_sheet import LabelledImage, draw

    cells = {}
    for content, style in product(contents, styles):
        file = painted(preset, content, style, common, folder)
        pixels = reading.load(file).pixels
        size = fit(size_of(pixels), min(common["size"], max(size_of(pixels))))
        cells[content, style] = LabelledImage(resize(pixels, size), [f"{content}, {style}"])
    rows = [[cells[content, style] for style in styles] for content in contents]
    draw(rows, f"Preset {preset}, {common['size']} px").save(folder / f"{preset}-{common['size']}.png")
    return len(cells)


def painted(preset: str, content: str, style: str, common: dict[str, Any], folder: Path) -> Path:
    """The file of a picture, which is painted now unless it's there."""
    from impasto.images import writing
    from impasto.jobs.stylization import Stylization
    from impasto.settings import presets
    from impasto.settings.settings import Settings

    place = folder / f"{preset}-{content}-{style}-{common['size']}".replace(" ", "_")
    place.mkdir(parents=True, exist_ok=True)
    files = {"content": place / "content.png", "style": place / "style.png"}
    for role, made in (("content", CONTENTS[content]), ("style", STYLES[style])):
        made().save(files[role])
    knobs = presets.load(str(presets.BUNDLED / f"{preset}.toml")).knobs | common
    by = kept.made_by(knobs, files)
    if kept.recall(place, by) is None:
        *_, last = Stylization(files["content"], [files["style"]], Settings(**knobs)).events()
        writing.save(place / "picture.png", last.picture, overwrite=True)
        kept.keep(place, by, {})
        print(place.name, flush=True)
    return place / "picture.png"


if __name__ == "__main__":
    main()
