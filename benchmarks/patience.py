"""Does the default picture look worse than one made by 500 steps of plain L-BFGS?

Three pairs at 512 px, by the defaults and by 500 steps at the final size alone, from the photo, towards the same
objective; side by side on a sheet, with the seconds each took and the loss at which each ended.

python benchmarks/patience.py [--keep FOLDER] [--quick]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import gallery
import kept
import record

PAIRS = (("astronaut", "the_scream"), ("chelsea", "starry_night"), ("coffee", "shipwreck"))
SIZE = 512
PLAIN = {"scales": 1, "epochs": 10, "steps_per_epoch": 50, "optimizer": "lbfgs"}
WAYS: dict[str, dict[str, Any]] = {"default": {}, "500 steps": PLAIN}
FOLDER = kept.FOLDER / "patience"
SHEET = record.HERE.parent / "docs" / "images" / "patience.jpg"
QUICK = {"size": 64, "epochs": 1, "steps_per_epoch": 3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, default=FOLDER, help="where the raw PNGs stay")
    parser.add_argument("--sheet", type=Path, default=SHEET, help="where the sheet goes")
    parser.add_argument("--quick", action="store_true", help="one tiny pair, painted anew, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, pairs = chosen.keep, PAIRS
        if chosen.quick:
            folder, pairs, chosen.sheet = Path(name), (("coffee", "mosaic"),), Path(name, "sheet.jpg")
        found = {
            pair: {way: painted(*pair, way, folder, QUICK if chosen.quick else {"size": SIZE}) for way in WAYS}
            for pair in pairs
        }
        show(found, folder, chosen.sheet)
    facts = {"question": "The default against 500 steps of plain L-BFGS towards the same objective"}
    record.report("patience", facts, [row(pair, notes) for pair, notes in found.items()], chosen.results)


def painted(photo: str, style: str, way: str, folder: Path, knobs: dict[str, Any]) -> dict[str, Any]:
    """What is known of a picture, which is painted now unless it's there."""
    place, files = folder / f"{photo}-{style}-{way.replace(' ', '_')}", gallery.inputs(photo, style, folder)
    knobs = {**WAYS[way], **knobs}
    made = kept.made_by(knobs, files)
    if (note := kept.recall(place, made)) is not None:
        return note
    place.mkdir(parents=True, exist_ok=True)
    job = {name: str(file) for name, file in files.items()}
    return kept.keep(place, made, gallery.run(who="impasto", knobs=knobs, folder=str(place), **job))


def row(pair: tuple[str, str], notes: dict[str, dict[str, Any]]) -> dict[str, object]:
    """A pair's line of the table."""
    default, plain = (notes[way] for way in WAYS)
    return {
        "pair": ", ".join(pair),
        "default, s": round(default["seconds"], 1),
        "500 steps, s": round(plain["seconds"], 1),
        "its loss": round(default["loss"], 4),
        "theirs": round(plain["loss"], 4),
    }


def show(found: dict[tuple[str, str], dict[str, dict[str, Any]]], folder: Path, sheet_file: Path) -> None:
    """A row for each pair: photo, default, 500 steps."""
    from impasto.images import reading
    from impasto.report import contact_sheet

    rows = []
    for (photo, style), notes in found.items():
        place = folder / f"{photo}-{style}-default"
        images = [contact_sheet.LabelledImage(reading.load(place / "photo.png").pixels, [photo])]
        for way, note in notes.items():
            file = folder / f"{photo}-{style}-{way.replace(' ', '_')}" / "ours.png"
            images.append(contact_sheet.LabelledImage(reading.load(file).pixels, [f"{way}: {note['seconds']:.0f} s"]))
        rows.append(images)
    sheet_file.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet.draw(rows, "The default and 500 steps of plain L-BFGS").save(sheet_file, quality=80, optimize=True)


if __name__ == "__main__":
    main()
