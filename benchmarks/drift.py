"""Does a painted film drift: does it get darker, flatter or sharper, the longer a shot lasts?

A camera swings to and fro before a picture, with a little noise in each frame, and is back at the same view every
PERIOD frames. There the painted frame is compared with the first: mean and standard deviation of its levels, sharpness
(mean absolute Laplacian) and style distance, see flicker.py. What the first of these frames, painted in few steps
from the one before, loses against a full run isn't drift; what is lost from one of them to the next is.

python benchmarks/drift.py [--size 96] [--frames 201] [--styles mosaic marble] [--quick]
"""

import argparse
import math
from pathlib import Path
from typing import Any

import cv2
import flicker
import numpy as np
import record
import torch

from impasto.jobs.video.painter import FramePainter
from impasto.jobs.video.steadiness import QUALITIES
from impasto.settings.settings import Settings

PERIOD = 40
SWING = 12.0
"""Pixels, of a picture 96 px wide."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96, help="longest side in pixels")
    parser.add_argument("--frames", type=int, default=201)
    parser.add_argument("--styles", nargs="+", default=["mosaic", "marble"])
    parser.add_argument("--quick", action="store_true", help="two tiny frames and few steps, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    knobs: dict[str, Any] = {"size": chosen.size, "threads": 1}
    period = PERIOD
    if chosen.quick:
        knobs |= {"size": 48, **flicker.QUICK}
        chosen.styles, chosen.frames, period = ["dots"], 3, 2
    bench = flicker.Bench(Settings(**knobs))
    film = swinging(int(knobs["size"]), chosen.frames, period)
    rows = [row for style in chosen.styles for row in measure(bench, style, film, period)]
    facts = {"question": "Whether a long shot drifts", "size": chosen.size, "frames": chosen.frames}
    record.report("drift", facts, rows, chosen.results)


def measure(bench: flicker.Bench, style: str, film: list[Any], period: int) -> list[dict[str, object]]:
    """The frames of the first view, each beside the very first."""
    painter = FramePainter([style], bench.settings, QUALITIES["good"], bench.kept)
    painted, rows = [painter.first(film[0])], []
    for number, frame in enumerate(film):
        if number:
            painted = [painter.next(frame, painted)]
        if number % period == 0:
            picture = np.ascontiguousarray(painted[0].picture[0].permute(1, 2, 0).numpy())
            rows.append(
                {
                    "style": style,
                    "frame": number,
                    "mean level": round(float(picture.mean()), 4),
                    "deviation": round(float(picture.std()), 4),
                    "sharpness": round(flicker.sharpness([picture]), 4),
                    "style distance": round(bench.style_distance(frame, picture, style), 4),
                }
            )
    return rows


def swinging(size: int, count: int, period: int) -> list[Any]:
    """Views (h, w, 3) in [0, 1] of scikit-image's cat, moved across and down."""
    from skimage import data

    photo = cv2.resize(data.chelsea(), (3 * size, 2 * size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        aside = SWING * size / 96 * math.sin(2 * math.pi * number / period)
        matrix = np.array([[1, 0, size + aside], [0, 1, size * 0.5 + aside / 3]], np.float32)
        view = cv2.warpAffine(photo, matrix, (size, 3 * size // 4), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        noisy = view + 0.004 * random.standard_normal(view.shape)
        found.append(np.clip(noisy, 0, 1).astype(np.float32))
    return found


if __name__ == "__main__":
    main()
