"""Is --size 256 a faithful small version of --size 1024?

Three pairs of a photo and a painting, painted at 256, 512 and 1024 px by the default settings with the same seed, then
all brought to the smallest size by the mean over areas of sRGB values, and compared with the largest. Beside the
preview stand what it must not be confused with: the photo itself, and a preview painted at another strength.

SSIM is Wang et al.'s (2004) with their Gaussian window (σ = 1.5, 11×11 px, K₁ = 0.01, K₂ = 0.03), by scikit-image, of
luminance (Rec. 709 weights) and of red, green and blue; colour is the mean over pixels of CIEDE2000, in sRGB.

The photos have 512 to 640 px: at 1024 they are enlarged and bring no detail that smaller sizes lack.

python benchmarks/preview.py [--sizes 256 512 1024] [--strength 0.25] [--keep FOLDER] [--quick]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import gallery
import kept
import numpy as np
import record

PAIRS = (("astronaut", "starry_night"), ("coffee", "the_scream"), ("china", "shipwreck"))
QUICK = (("coffee", "mosaic"),)
SIZES = (256, 512, 1024)
OTHER_STRENGTH = 0.25
FOLDER = kept.FOLDER / "preview"
WINDOW = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
"""Of structural similarity: truncated at 3.5 σ, which makes 11×11 px."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="the preview's first, the final one's last")
    parser.add_argument("--strength", type=float, default=OTHER_STRENGTH, help="of the preview that's compared too")
    parser.add_argument("--keep", type=Path, default=FOLDER, help="where the raw PNGs stay")
    parser.add_argument("--quick", action="store_true", help="one tiny pair, painted anew, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    sizes, knobs = sorted(chosen.sizes), {}
    if chosen.quick:
        sizes, knobs = [32, 48, 64], {"epochs": 1, "steps_per_epoch": 3}
    if len(sizes) < 2:
        raise SystemExit(f"--sizes names {len(sizes)}: give at least the preview's and the final one's.")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) if chosen.quick else chosen.keep
        for photo, style in QUICK if chosen.quick else PAIRS:
            rows += compared(photo, style, folder, sizes, chosen.strength, knobs)
            print(json.dumps(rows[-1]), flush=True)
    facts = {"question": f"A preview of {sizes[0]} px beside the picture of {sizes[-1]} px, both at {sizes[0]} px"}
    means = {f"{what}: {m}": value for what, found in averaged(rows).items() for m, value in found.items()}
    overall = [{"pair": "mean", "compared": what} | found for what, found in averaged(rows).items()]
    record.report("preview", facts | {"window": WINDOW, "mean": means}, [*rows, *overall], chosen.results)


def compared(
    photo: str, style: str, folder: Path, sizes: Sequence[int], strength: float, knobs: dict[str, Any]
) -> list[dict[str, Any]]:
    """A pair's rows: previews of each size, one at another strength, and the photo, each with the final picture."""
    places = {f"preview of {size} px": painted(photo, style, folder, {"size": size} | knobs) for size in sizes}
    final = places.pop(f"preview of {sizes[-1]} px")
    weaker = painted(photo, style, folder, {"size": sizes[0], "strength": strength} | knobs)
    places[f"preview of {sizes[0]} px at strength {strength:g}"] = weaker
    preview = places[f"preview of {sizes[0]} px"]
    size = pixels(preview / "painted.png").shape[:2]

    def small(file: Path) -> np.ndarray:
        return shrunk(pixels(file), (size[0], size[1]))

    end, seen = small(final / "painted.png"), small(preview / "photo.png")
    rows = {f"{name}, final": (small(place / "painted.png"), end) for name, place in places.items()}
    rows |= {"photo, final": (seen, end), "photo, preview": (seen, small(preview / "painted.png"))}
    return [{"pair": f"{photo}, {style}", "compared": name} | likeness(a, b) for name, (a, b) in rows.items()]


def painted(photo: str, style: str, folder: Path, knobs: dict[str, Any]) -> Path:
    """The folder of a picture painted by `knobs`, which is painted now unless it's there; photo.png has its size."""
    from impasto.images import writing
    from impasto.images.size import resize, size_of
    from impasto.jobs.stylization import Stylization
    from impasto.run.events import Finished
    from impasto.settings.settings import Settings

    files = gallery.inputs(photo, style, folder)
    named = "_".join(str(knobs[knob]) for knob in ("size", "strength") if knob in knobs)
    place, made = folder / f"{photo}-{style}-{named}", kept.made_by(knobs, files)
    if kept.recall(place, made) is not None:
        return place
    place.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    job = Stylization(files["photo"], [files["painting"]], Settings(**knobs))
    end = next(event for event in job.events() if isinstance(event, Finished))
    writing.save(place / "painted.png", end.picture, overwrite=True)
    size = size_of(end.picture)
    writing.save(place / "photo.png", resize(job.content.pixels, size), overwrite=True)
    kept.keep(place, made, {"seconds": time.perf_counter() - began, "size": size})
    return place


def pixels(file: Path) -> np.ndarray:
    """(h, w, 3) sRGB in [0, 1]."""
    import PIL.Image

    with PIL.Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"), np.float64) / 255


def shrunk(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mean over the area of each pixel of the smaller `size` (h, w)."""
    from skimage.transform import resize_local_mean

    return resize_local_mean(image, size, channel_axis=-1)


def likeness(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Structural similarity of luminance and of each channel, and mean CIEDE2000, of two images (h, w, 3)."""
    from skimage.color import deltaE_ciede2000, rgb2gray, rgb2lab
    from skimage.metrics import structural_similarity

    channels = {"luminance": (rgb2gray(a), rgb2gray(b))}
    channels |= {name: (a[..., n], b[..., n]) for n, name in enumerate(("red", "green", "blue"))}
    found = {
        name: float(structural_similarity(one, other, data_range=1.0, **WINDOW))
        for name, (one, other) in channels.items()
    }
    return found | {"colour": float(deltaE_ciede2000(rgb2lab(a), rgb2lab(b)).mean())}


def averaged(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """For each comparison the mean of its measures over the pairs."""
    measures = [name for name in rows[0] if name not in ("pair", "compared")]
    kinds = dict.fromkeys(row["compared"] for row in rows)
    return {kind: {m: mean(row[m] for row in rows if row["compared"] == kind) for m in measures} for kind in kinds}


if __name__ == "__main__":
    main()
