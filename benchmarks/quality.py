"""How good are the pictures? Style against content, palette and artefacts, of every way to paint over many pairs.

A way is a set of knobs, or another program's pictures in a folder (PHOTO-STYLE.png). Its pictures stay in a folder
(--keep) and aren't painted twice by the same code, so that a run that was interrupted goes on and parts add up. The
page has the mean of each measure (see judges.py) by way, and a figure of the front: style against content, strengths
joined by a line.

Needs what critic.py needs, and scikit-image and scikit-learn for the photos.

python benchmarks/quality.py [--ways NAME …] [--photos NAME …] [--styles NAME …] [--pairs PHOTO-STYLE …] [--size N]
    [--keep FOLDER] [--others FOLDER …] [--name NAME] [--quick]
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import critic
import kept
import pictures
import PIL.Image
import record

from impasto.storage.process import short_waits

with short_waits():  # before torch is loaded
    import judges

PHOTOS = {
    **{name: f"skimage/data/{name}.png" for name in ("astronaut", "chelsea", "coffee", "motorcycle_left", "camera")},
    "rocket": "skimage/data/rocket.jpg",
    "china": "sklearn/datasets/images/china.jpg",
    "flower": "sklearn/datasets/images/flower.jpg",
}
STYLES = ("starry_night", "the_scream", "shipwreck")
"""Paintings in /work/shared/images; with the eight photos 24 pairs."""

STRENGTHS = (0.1, 0.25, 0.5, 0.75, 1.0)
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "ten times the steps": {"epochs": 100},
    **{f"strength {strength:g}": {"strength": strength} for strength in STRENGTHS},
    **{
        f"{loss}, strength {s:g}": {"style_loss": loss, "strength": s}
        for loss in ("gram", "mean-std", "histogram", "swd", "remd", "nnst")
        for s in STRENGTHS
    },
    **{f"preset {name}": {"preset": name} for name in ("painterly", "sketch", "repainted", "portrait", "drawing")},
}
FOLDER = kept.FOLDER / "quality"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, metavar="WAY", default=["default", *(f"strength {s:g}" for s in STRENGTHS)]
    )
    parser.add_argument("--photos", nargs="+", choices=PHOTOS, default=list(PHOTOS))
    parser.add_argument("--styles", nargs="+", choices=STYLES, default=list(STYLES))
    parser.add_argument("--pairs", nargs="+", metavar="PHOTO-STYLE", help="these alone, of photos and styles")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--keep", type=Path, default=FOLDER, help="where the pictures stay")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="folders of other programs' pictures")
    parser.add_argument("--name", default="quality", help="of the results: quality_320 for a page of that name")
    parser.add_argument("--quick", action="store_true", help="one tiny pair in two ways, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    if why := critic.missing():
        raise SystemExit(why)
    common: dict[str, Any] = {"size": chosen.size}
    if chosen.quick:
        chosen.ways, chosen.photos, chosen.styles = ["default", "strength 1"], ["coffee"], ["the_scream"]
        common = {"size": 64, "epochs": 1, "steps_per_epoch": 3}
    pairs = [
        (photo, style)
        for photo, style in product(chosen.photos, chosen.styles)
        if chosen.pairs is None or f"{photo}-{style}" in chosen.pairs
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if chosen.quick else chosen.keep
        found = [judged(way, photo, style, common, folder) for photo, style in pairs for way in chosen.ways]
    found += [row for other in chosen.others for row in judged_others(other, pairs)]
    facts = {"question": f"Style, content and artefacts at {common['size']} px, means over the pairs", "found": found}
    record.report(chosen.name, facts, means(found), chosen.results)
    shown = chosen.results if chosen.quick else record.HERE.parent / "docs/images"
    draw(means(found), shown / f"front{chosen.name.removeprefix('quality')}.png")


def source(photo: str) -> Path:
    """The file of a photo."""
    return pictures.packaged(PHOTOS[photo])


def painting(style: str) -> Path:
    """The file of a painting."""
    return pictures.PAINTING.with_name(f"{style}.jpg")


def judged(way: str, photo: str, style: str, common: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The measures of a pair's picture, which is painted now unless it's there."""
    files = {"photo": source(photo), "painting": painting(style)}
    place = folder / f"{photo}-{style}-{common['size']}-{way.replace(' ', '_').replace(',', '')}"
    knobs = WAYS[way] | common
    made = kept.made_by(knobs, files)
    if (note := kept.recall(place, made)) is None:
        place.mkdir(parents=True, exist_ok=True)
        seconds = paint(files, knobs, place / "ours.png")
        opened = [_opened(path) for path in (place / "ours.png", files["photo"], files["painting"])]
        note = kept.keep(place, made, {"seconds": seconds, "measures": asdict(judges.judge(*opened))})
    row = {"way": way, "pair": f"{photo}, {style}", "seconds": note["seconds"], **note["measures"]}
    print(json.dumps({name: round(v, 3) if isinstance(v, float) else v for name, v in row.items()}), flush=True)
    return row


def judged_others(folder: Path, pairs: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """The measures of another program's pictures, those that are there."""
    rows = []
    for photo, style in pairs:
        if (file := folder / f"{photo}-{style}.png").is_file():
            opened = [_opened(path) for path in (file, source(photo), painting(style))]
            measures = asdict(judges.judge(*opened))
            rows.append({"way": folder.name, "pair": f"{photo}, {style}", "seconds": None, **measures})
    return rows


def paint(files: dict[str, Path], knobs: dict[str, Any], output: Path) -> float:
    """Paint a picture into a file; processor seconds, the network's loading left out."""
    from impasto.images import writing
    from impasto.jobs.network import load_network
    from impasto.jobs.stylization import Stylization
    from impasto.settings import presets
    from impasto.settings.settings import Settings

    preset = presets.load(knobs["preset"]).knobs if "preset" in knobs else {}
    settings = Settings(**preset | {name: value for name, value in knobs.items() if name != "preset"})
    network = load_network(settings)
    began = time.process_time()
    *_, last = Stylization(files["photo"], [files["painting"]], settings, network=network).events()
    taken = time.process_time() - began
    writing.save(output, last.picture, overwrite=True)
    return taken


def means(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean of each measure by way, over the pairs that have it."""
    rows = []
    for way in dict.fromkeys(row["way"] for row in found):
        mine = [row for row in found if row["way"] == way]
        row: dict[str, Any] = {"way": way, "pairs": len(mine)}
        for name in (name for name in mine[0] if name not in ("way", "pair")):
            known = [one[name] for one in mine if one[name] is not None]
            row[name] = fmean(known) if known else "–"
        rows.append(row)
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Style against content by way; strengths of one loss are joined by a line."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 5))
    axis.set_prop_cycle(color=plt.get_cmap("tab20").colors)
    lines: dict[str, list[tuple[float, float, str]]] = {}
    for row in rows:
        line, at, strength = row["way"].rpartition("strength ")
        name = f"{line}strengths".strip() if at else row["way"]
        lines.setdefault(name, []).append((row["content"], row["style"], strength))
    for name, points in lines.items():
        points = sorted(points)  # content moves more at each higher strength
        axis.plot([p[0] for p in points], [p[1] for p in points], "o-", label=name)
        for content, style, strength in points if len(points) > 1 else ():
            axis.annotate(strength, (content, style), fontsize=8)
    axis.set(xlabel="content: share that relu4_2 moved", ylabel="style: distance to the painting, another network's")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _opened(path: Path) -> PIL.Image.Image:
    with PIL.Image.open(path) as picture:
        return picture.convert("RGB")


if __name__ == "__main__":
    main()
