"""Which of several pictures of a pair is better, when nobody knows whose is whose?

Draws a sheet for each pair: the photo, the painting, and every contestant's picture under a letter, in an order of its
own. The key lies in a file of its own. Whoever judges writes {"PHOTO-STYLE": ["B", "A", "C"], …}, the best first,
before the key is opened; then the same command with --verdicts counts.

A contestant is a folder of pictures PHOTO-STYLE.png.

python benchmarks/blind.py SHEETS --contestants FOLDER FOLDER … [--verdicts FILE] [--seed N] [--photos NAME …]
    [--styles NAME …]
"""

import argparse
import json
import random
import string
from itertools import product
from pathlib import Path

import PIL.Image
import quality

SIDE = 400
"""Longest side in pixels of a picture on a sheet."""

KEY = "key.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheets", type=Path, help="where the sheets and their key are")
    parser.add_argument("--contestants", type=Path, nargs="+", help="folders of pictures PHOTO-STYLE.png")
    parser.add_argument("--verdicts", type=Path, help="a file of verdicts, to be counted")
    parser.add_argument("--photos", nargs="+", choices=quality.PHOTOS, default=list(quality.PHOTOS))
    parser.add_argument("--styles", nargs="+", choices=quality.STYLES, default=list(quality.STYLES))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    chosen = parser.parse_args()
    if chosen.verdicts is not None:
        key = json.loads((chosen.sheets / KEY).read_text(encoding="utf-8"))
        print(json.dumps(counted(key["pairs"], json.loads(chosen.verdicts.read_text(encoding="utf-8"))), indent=1))
        return
    if not chosen.contestants:
        raise SystemExit("Give folders of pictures with --contestants, or what was judged with --verdicts.")
    key = draw(chosen.sheets, chosen.contestants, list(product(chosen.photos, chosen.styles)), chosen.seed)
    (chosen.sheets / KEY).write_text(json.dumps({"seed": chosen.seed, "pairs": key}, indent=1) + "\n", encoding="utf-8")


def draw(sheets: Path, folders: list[Path], pairs: list[tuple[str, str]], seed: int) -> dict[str, dict[str, str]]:
    """A sheet for each pair of which every folder has a picture; whose picture has which letter, by pair."""
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names) or len(names) > len(string.ascii_uppercase):
        raise SystemExit(f"Contestants are known by their folders' names, 26 at most, all different: {names}.")
    order, key = random.Random(seed), {}
    sheets.mkdir(parents=True, exist_ok=True)
    for photo, style in pairs:
        name = f"{photo}-{style}"
        if not all((folder / f"{name}.png").is_file() for folder in folders):
            continue
        shuffled = order.sample(folders, len(folders))
        key[name] = {letter: folder.name for letter, folder in zip(string.ascii_uppercase, shuffled, strict=False)}
        shown = [quality.source(photo), quality.painting(style), *(folder / f"{name}.png" for folder in shuffled)]
        sheet(["photo", "painting", *key[name]], shown).save(sheets / f"{name}.png")
    return key


def sheet(labels: list[str], files: list[Path]) -> PIL.Image.Image:
    """Pictures side by side, each under its label."""
    from impasto.images import reading
    from impasto.images.size import fit, resize, size_of
    from impasto.report import contact_sheet

    cells = []
    for label, file in zip(labels, files, strict=True):
        pixels = reading.load(file).pixels
        cells.append(contact_sheet.LabelledImage(resize(pixels, fit(size_of(pixels), SIDE)), [label]))
    return contact_sheet.draw([cells], "Which is the better picture of the photo in the manner of the painting?")


def counted(key: dict[str, dict[str, str]], verdicts: dict[str, list[str]]) -> dict[str, dict[str, int]]:
    """How often each contestant was put before each other one."""
    found: dict[str, dict[str, int]] = {}
    for pair, letters in verdicts.items():
        ranked = [key[pair][letter] for letter in letters]
        for place, better in enumerate(ranked):
            for worse in ranked[place + 1 :]:
                row = found.setdefault(better, {})
                row[worse] = row.get(worse, 0) + 1
    return found


if __name__ == "__main__":
    main()
