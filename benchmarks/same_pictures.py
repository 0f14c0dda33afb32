"""Does a refactoring keep every picture the same to the bit?

A table of small runs is painted by an earlier commit and by this checkout, one after the other on this machine with as
many threads, and the pictures are compared by the SHA-256 of their decoded pixels. Both are driven by their command
lines alone, which stay what they are. States, recipes and presets that the old code left are taken over by the new.

python benchmarks/same_pictures.py --against COMMIT [--only NAME] [--output FILE]
python benchmarks/same_pictures.py --base-src OTHER/src  # without building that commit

The exit code is 1 if any picture differs or wasn't painted.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import record

ROOT = record.HERE.parent
LIMIT = 1800
"""Seconds after which a checkout that is still painting its table is stopped."""

SMALL = {"--size": "64", "--epochs": "2", "--steps-per-epoch": "3"}
SHALLOW = {"--style-layers": "relu1_1,relu2_1,relu3_1", "--content-layers": "relu3_1"}
"""Relative to the usual layers these take a third of the time."""
DEFAULTS = {
    "paint": SMALL,
    "sweep": SMALL | {"--steps-per-epoch": "2"} | SHALLOW,
    "texture": SMALL | {"--size": "64x48"},
    "reconstruct": SMALL | {"--size": "48"},
    "swatches": {"--size": "64"},
}
"""What each command is given unless the table says otherwise."""

PAIR, TWO = "paint photo.png painting.png", "paint photo.png painting.png weave.png"
DEEP = {
    "default": PAIR,
    "torch": f"{PAIR} --engine torch --tile 0 --epochs 1",
    "native": f"{PAIR} --engine native --tile 0 --epochs 1",
    "two stages, native": f"{PAIR} --engine native --tile 64 --size 128 --epochs 1",
    "two stages, torch": f"{PAIR} --engine torch --tile 64 --size 128 --epochs 1 --steps-per-epoch 2",
    "two stages, masks and colour": f"{TWO} --tile 64 --size 96 --mask left.png,rest --color keep --epochs 1",
    "gatys": f"{PAIR} --objective gatys --pooling average --padding zero --init noise",
    "negligible": f"{PAIR} --objective gatys --negligible 0.4 --steps-per-epoch 12 --size 48",
    "three scales": f"{PAIR} --scales 3 --size 80 --style-layers relu1_1,relu2_1,relu3_1,relu4_1",
    "preset faithful": f"{PAIR} --preset faithful",
    "preset painterly": f"{PAIR} --preset painterly",
    "swatch as style": "paint photo.png watercolour --epochs 1 --steps-per-epoch 2",
    "texture": "texture painting.png",
    "texture, seamless": "texture painting.png --seamless --size 64x48 --style-layers relu1_1,relu2_1,relu3_1",
    "texture, adam": "texture painting.png --optimizer adam --style-layers relu1_1,relu2_1,relu3_1",
    "texture, w2": "texture painting.png --style-loss w2 --style-layers relu1_1,relu2_1,relu3_1",
    "texture, gatys": "texture painting.png --objective gatys --scales 2 --seamless --size 64 --epochs 1",
    "reconstruct": "reconstruct photo.png --layers relu1_1,relu3_1 --steps-per-epoch 2 --keep {}/cells",
    "swatches": "swatches --sheet {}/sheet.png --write dots",
}
"""Command lines with the usual layers; they are given `-o {}/picture.png`, where {} stands for the case's folder."""

LIGHT = {
    **{name: f"{PAIR} --optimizer {name}" for name in ("gd", "adam", "lbfgs")},
    "layer weights": f"{PAIR} --layer-weights 1,2,3",
    "history 1": f"{PAIR} --history 1 --steps-per-epoch 6",
    "adam, learning rate": f"{PAIR} --optimizer adam --learning-rate 0.1",
    "tiles, native": f"{PAIR} --engine native --tile 64 --size 96",
    "tiles, torch": f"{PAIR} --engine torch --tile 64 --size 96",
    "tiles, remd": f"{PAIR} --style-loss remd --tile 64 --size 96",
    "tiles, self-similarity": f"{PAIR} --content-loss self-similarity --tile 64 --size 96",
    **{f"style loss {name}": f"{PAIR} --style-loss {name}" for name in ("gram", "mean-std", "w2", "histogram")},
    **{f"style loss {name}": f"{PAIR} --style-loss {name}" for name in ("swd", "remd", "nnst")},
    **{f"content loss {name}": f"{PAIR} --content-loss {name}" for name in ("features", "self-similarity")},
    "two content layers": f"{PAIR} --content-layers relu2_2,relu3_2 --content-layer-weights 1,3",
    "content and style weight": f"{PAIR} --content-weight 0.5 --style-weight 2",
    "styles blended": f"{TWO} --style-weights 1,3",
    "masks": f"{TWO} --mask left.png,rest",
    "masks leave some photo": f"{TWO} --mask left.png,disc.png",
    "masks, eroded": f"{TWO} --mask left.png,rest --mask-erosion",
    "masks, nnst": f"{TWO} --mask left.png,rest --style-loss nnst",
    "style masks": f"{TWO} --style-mask disc.png,all",
    "both masks": f"{TWO} --mask disc.png,rest --style-mask all,left.png --mask-erosion --tile 64 --size 96",
    "colour keep": f"{PAIR} --color keep",
    "colour match": f"{PAIR} --color match",
    "colour keep, masks": f"{TWO} --color keep --mask left.png,disc.png --scales 2",
    **{f"strength {strength}": f"{PAIR} --strength {strength}" for strength in ("0", "0.3", "1")},
    **{f"style scale {scale}": f"{PAIR} --style-scale {scale}" for scale in ("0.5", "2")},
    "style scale 2, histogram": f"{PAIR} --style-scale 2 --style-loss histogram",
    "total variation": f"{PAIR} --tv-weight 0.5",
    "pooling average": f"{PAIR} --pooling average",
    "padding zero": f"{PAIR} --padding zero",
    **{f"init {init}": f"{PAIR} --init {init} --seed 7" for init in ("noise", "style", "histogram", "init.png")},
    "init noise share": f"{PAIR} --init-noise 0.4",
    "one scale": f"{PAIR} --scales 1",
    "two scales": f"{PAIR} --scales 2",
    "two scales, detail": f"{PAIR} --scales 2 --detail 0.7 --step-ratio 2",
    "config": f"{PAIR} --config settings.toml",
    "transparent, snapshots": "paint cutout.png painting.png --snapshots 1,2",
    "turned, to JPEG": "paint turned.jpg painting.png -o {}/picture.jpg",
    "16 bits, to TIFF": "paint grey.png painting.png -o {}/picture.tif",
    "sweep": "sweep photo.png painting.png --vary strength=0.2,0.8 --vary style-scale=0.5,1 --keep {}/cells",
}
"""The same with `SHALLOW` layers."""

LONG = "--epochs 3 --steps-per-epoch 8"
RESUMED = {
    "gd": f"{PAIR} {LONG} --optimizer gd",
    "adam": f"{PAIR} {LONG} --optimizer adam",
    "lbfgs": f"{PAIR} {LONG} --optimizer lbfgs",
    "torch": f"{PAIR} {LONG} --engine torch",
    "scales, masks": f"{TWO} {LONG} --size 96 --scales 2 --mask left.png,rest --color keep --tile 64",
    "negligible": f"{PAIR} --epochs 3 --steps-per-epoch 12 --size 48 --objective gatys --negligible 0.4",
}
"""Runs that are also interrupted half-way and then go on."""

REPEATED = {
    "plain": f"{PAIR} --scales 2 --init histogram --seed 3",
    "masks": f"{TWO} --mask left.png,rest --style-mask all,disc.png --style-weights 1,2 --init init.png --tile 64",
    "adam": f"{PAIR} --optimizer adam --style-loss swd --color match --engine torch",
}
"""Runs that are painted again from their recipes."""

SCHEDULE = [
    {"after": 3, "knobs": {"strength": 0.9, "color": "keep"}},
    {"after": 5, "knobs": {"tv_weight": 0.3, "layer_weights": [0.2, 0.3, 0.5], "content_weight": 0.1}},
    {"after": 14, "knobs": {"color": "style", "style_weight": 2.0}},
]
PRESET = "--style-layers relu1_1,relu2_1,relu3_1 --layer-weights 1,2,3 --style-loss w2 --strength 0.7 --scales 2"

FILES = "--scales 1 --history 10 --tile 256 --epochs 1 --scratch auto"
IN_FILES = {
    "features": f"--size 640 {FILES} --steps-per-epoch 1 --style-layers relu1_1,relu2_1 --content-layers relu2_2",
    "bands": f"--size 1408 {FILES} --steps-per-epoch 1 --style-layers relu1_1 --content-layers relu1_1",
}
"""What is painted with its canvases in files: one with features there too, one of a canvas of more than one band."""

MEGABYTE = 10**6
EXIF_FOLDER, USER_COMMENT, ASCII = 0x8769, 0x9286, b"ASCII\0\0\0"
MADE, ORDERS = Path("made"), Path("handed/orders.json")
PICTURES = (".png", ".jpg", ".tif")


class Failed(Exception):  # noqa: N818 - a finding of the comparison
    """A picture couldn't be painted, or isn't what it has to be within one checkout: why."""


@dataclass(frozen=True)
class Shot:
    """What a checkout made of one picture of the table, or why it made none."""

    name: str
    seconds: float | None = None
    sha256: str | None = None
    fault: str = ""


@dataclass(frozen=True)
class Row:
    """One picture as both checkouts made it."""

    name: str
    old: Shot
    new: Shot

    @property
    def same(self) -> bool:
        """Whether both painted it, the same to the bit."""
        return self.old.sha256 is not None and self.old.sha256 == self.new.sha256


def main() -> int:
    """Compare two checkouts, or paint the table with one of them for the process that compares."""
    chosen = arguments()
    if chosen.paint is not None:
        paint_table(chosen.paint, chosen.handed, chosen.only)
        return 0
    with ended_orderly(), tempfile.TemporaryDirectory(prefix="same_pictures_") as name:
        place = Path(name).resolve()
        new = chosen.src.resolve()
        with base(chosen, place) as old:
            commits = {"old": described(old), "new": described(new)}
            make_inputs(place / "inputs")
            before = painted_by(old, place / "old", chosen.only)
            after = painted_by(new, place / "new", chosen.only, place / "old" / ORDERS.parent)
            before += [Shot(order["name"], sha256=order["sha256"]) for order in orders_in(place / "old" / ORDERS)]
    rows = compared(before, after)
    tell(rows)
    if chosen.output is not None:
        write(chosen.output, commits, rows)
    return 0 if rows and all(row.same for row in rows) else 1


def arguments() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="COMMIT", help="the earlier commit, built in a worktree for a while")
    parser.add_argument("--base-src", type=Path, metavar="DIR", help="the src of an earlier checkout, instead")
    parser.add_argument("--src", type=Path, default=ROOT / "src", metavar="DIR", help="what is tried; default: this")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="only cases whose name holds this")
    parser.add_argument("--output", "--save", type=Path, metavar="FILE", help="JSON of hashes, seconds and machine")
    parser.add_argument("--paint", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--handed", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.paint is None and (chosen.against is None) == (chosen.base_src is None):
        parser.error("name either a commit with --against or the src of a checkout with --base-src")
    return chosen


@contextlib.contextmanager
def ended_orderly() -> Iterator[None]:
    """SIGTERM ends this process as an exception does: children are stopped, temporary files removed."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def base(chosen: argparse.Namespace, place: Path) -> Iterator[Path]:
    """The src of the earlier checkout; a worktree of its own with its native engine, if only a commit was named."""
    if chosen.base_src is not None:
        yield chosen.base_src.resolve()
        return
    tree = place / "worktree"
    git("worktree", "add", "--detach", str(tree), chosen.against)
    try:
        build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        made = subprocess.run(build, cwd=tree, capture_output=True, text=True, timeout=LIMIT, check=False)
        if made.returncode or not list((tree / "src").rglob("_native*.so")):
            raise SystemExit(f"The native engine of {chosen.against} can't be built:\n{made.stderr}")
        yield tree / "src"
    finally:
        git("worktree", "remove", "--force", str(tree))


def git(*words: str, folder: Path = ROOT) -> str:
    """What git says; ends this process where it fails."""
    found = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False)
    if found.returncode:
        raise SystemExit(f"git {' '.join(words)}: {found.stderr.strip()}")
    return found.stdout.strip()


def described(src: Path) -> str:
    """The commit of a checkout, and whether its code was changed since; its path where git doesn't know it."""
    try:
        return git("rev-parse", "--short", "HEAD", folder=src) + (
            "+changes" if git("status", "--porcelain", ".", folder=src) else ""
        )
    except SystemExit:
        return str(src)


def make_inputs(folder: Path) -> None:
    """Small pictures with edges, waves and a little noise, always the same."""
    folder.mkdir()
    chance = np.random.default_rng(20150826)
    y, x = np.mgrid[0:72, 0:96] / 96
    sky = np.stack([0.4 + 0.4 * y, 0.6 + 0.2 * x, 0.9 - 0.5 * y], axis=-1)
    disc = np.hypot(x - 0.6, y - 0.3)[..., None]
    photo = (
        np.where(disc < 0.2, [0.9, 0.7, 0.2] - disc, sky) * np.where(y > 0.55 + 0.1 * np.sin(9 * x), 0.5, 1)[..., None]
    )
    save(folder / "photo.png", photo + 0.02 * chance.standard_normal(photo.shape))
    save(folder / "init.png", photo[::-1, :, ::-1])
    save(folder / "cutout.png", np.concatenate([photo, np.clip(3 - 8 * disc, 0, 1)], axis=-1))
    orientation = PIL.Image.Exif()
    orientation[0x0112] = 6
    PIL.Image.fromarray(levels(photo)).save(folder / "turned.jpg", quality=92, exif=orientation)
    PIL.Image.fromarray((65535 * photo.mean(axis=-1)).astype(np.uint16)).save(folder / "grey.png")
    save(folder / "left.png", np.clip(4 * (0.6 - x + 0.2 * y), 0, 1))
    save(folder / "disc.png", (disc[..., 0] < 0.25).astype(float))
    y, x = np.mgrid[0:80, 0:112] / 80
    waves = [np.sin(19 * x + 5 * np.sin(7 * y)), np.sin(13 * y - 11 * x * y), np.cos(23 * np.hypot(x - 0.5, y))]
    save(folder / "painting.png", 0.5 + 0.35 * np.stack(waves, axis=-1) + 0.06 * chance.standard_normal((80, 112, 3)))
    threads = (np.floor(12 * x) + np.floor(12 * y)) % 2
    weave = threads[..., None] * [0.8, 0.3, 0.1] + (1 - threads)[..., None] * [0.1, 0.25, 0.5]
    save(folder / "weave.png", weave * (0.6 + 0.4 * chance.random((80, 112, 1))))
    (folder / "settings.toml").write_text('style-loss = "mean-std"\nstrength = 0.8\nlayer-weights = [3, 2, 1]\n')


def levels(image: np.ndarray) -> np.ndarray:
    """The 8 bits of values in [0, 1]."""
    return (255 * np.clip(image, 0, 1)).round().astype(np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    """Write values in [0, 1] as a picture."""
    PIL.Image.fromarray(levels(image)).save(path)


def painted_by(src: Path, folder: Path, only: str, handed: Path | None = None) -> list[Shot]:
    """The table as the checkout paints it, in a process of its own that works in `folder`."""
    shutil.copytree(folder.parent / "inputs", folder)
    (folder / "temporary").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IMPASTO_")}
    environment |= {
        "PYTHONPATH": str(src),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(record.cores()),
        "IMPASTO_PRESETS": "handed/presets",
        "TMPDIR": str(folder / "temporary"),
    }
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "--paint", str(src), "--only", only]
    command += [] if handed is None else ["--handed", str(handed)]
    print(f"== {folder.name}: {src}", file=sys.stderr, flush=True)
    try:
        end = subprocess.run(command, cwd=folder, env=environment, timeout=LIMIT, check=False).returncode
    except subprocess.TimeoutExpired:
        end = f"no end within {LIMIT} s"
    shots = folder / "shots.jsonl"
    found = [Shot(**json.loads(line)) for line in shots.read_text().splitlines()] if shots.exists() else []
    return [*found, Shot("the whole table", fault=f"its process ended with {end}")] if end else found


def compared(before: Sequence[Shot], after: Sequence[Shot]) -> list[Row]:
    """Both checkouts' pictures side by side."""
    old, new = ({shot.name: shot for shot in shots} for shots in (before, after))
    names = dict.fromkeys([*old, *new])
    return [Row(name, *(known.get(name, Shot(name, fault="not painted")) for known in (old, new))) for name in names]


def tell(rows: Sequence[Row]) -> None:
    """The table, and how many pictures are the same."""
    width = max((len(row.name) for row in rows), default=0)
    print(f"{'picture':<{width}}  {'':<9}  seconds old  seconds new")
    for row in rows:
        times = ["" if shot.seconds is None else f"{shot.seconds:.2f}" for shot in (row.old, row.new)]
        print(f"{row.name:<{width}}  {'same' if row.same else 'DIFFERENT':<9}  {times[0]:>11}  {times[1]:>11}".rstrip())
        for which, shot in (("old", row.old), ("new", row.new)):
            if shot.fault:
                print(f"{'':<{width}}  {which}: {shot.fault}")
    print(f"{sum(row.same for row in rows)} of {len(rows)} pictures are the same to the bit")


def write(path: Path, commits: Mapping[str, str], rows: Sequence[Row]) -> None:
    """The hashes with the machine, as other benchmarks' results have it."""
    import torch  # not before: a child's memory starts from its parent's

    table = [{"picture": row.name, "same": row.same, "old": asdict(row.old), "new": asdict(row.new)} for row in rows]
    seconds = {"old": sum(row.old.seconds or 0 for row in rows), "new": sum(row.new.seconds or 0 for row in rows)}
    found = {
        "question": "Does the new code paint every picture of the old one, the same to the bit?",
        "same": sum(row.same for row in rows),
        "pictures": len(rows),
        "commits": commits,
        "seconds": seconds,
        "command": record.command(),
        "machine": record.machine() | {"commit": commits["new"], "capability": torch.backends.cpu.get_cpu_capability()},
        "table": table,
    }
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


# From here on: the side of the process that paints.


def paint_table(src: Path, handed: Path | None, only: str) -> None:
    """Paint every case into made/, a line of shots.jsonl for each picture."""
    import impasto.cli

    if not Path(impasto.cli.__file__).resolve().is_relative_to(src):
        raise SystemExit(f"{impasto.cli.__file__} is not of {src}: let PYTHONPATH choose it.")
    MADE.mkdir()
    ORDERS.parent.mkdir()
    jobs = {name: job for name, job in cases().items() if only in name}
    if handed is not None:
        shutil.copytree(handed, "taken")
        jobs |= {order["name"]: take_over(order) for order in orders_in(Path("taken", ORDERS.name))}
    for number, (name, job) in enumerate(jobs.items(), start=1):
        print(f"{number}/{len(jobs)} {name}", file=sys.stderr, flush=True)
        folder = MADE / str(number)
        folder.mkdir()
        with Path("shots.jsonl").open("a") as file:
            file.writelines(json.dumps(asdict(shot)) + "\n" for shot in shots_of(name, job, folder))


def cases() -> dict[str, Callable[[Path], object]]:
    """What is done for each name, in a folder of its own: every picture that is left there counts."""
    found: dict[str, Callable[[Path], object]] = {name: plain(line) for name, line in DEEP.items()}
    found |= {name: plain(line, SHALLOW) for name, line in LIGHT.items()}
    found |= {f"resumed, {name}": resumed(f"resumed, {name}", line) for name, line in RESUMED.items()}
    found |= {f"repeated, {name}": repeated(f"repeated, {name}", line) for name, line in REPEATED.items()}
    found |= {"changed": changed, "preset of one's own": own_preset}
    return found | {f"in files, {name}": in_files(line) for name, line in IN_FILES.items()}


def shots_of(name: str, job: Callable[[Path], object], folder: Path) -> list[Shot]:
    """The pictures that a job leaves in its folder; the first has the job's time."""
    began = time.perf_counter()
    try:
        job(folder)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return [Shot(name, time.perf_counter() - began, fault=f"{type(error).__name__}: {error}")]
    taken = time.perf_counter() - began
    files = sorted(path for path in folder.rglob("*") if path.suffix in PICTURES)
    if not files:
        return [Shot(name, taken, fault="it left no picture")]
    names = [name if len(files) == 1 else f"{name}: {path.relative_to(folder).with_suffix('')}" for path in files]
    return [Shot(n, None if k else taken, digest(path)) for k, (n, path) in enumerate(zip(names, files, strict=True))]


def digest(path: Path) -> str:
    """SHA-256 of a picture's mode, size and decoded pixels: its file also holds dates and versions."""
    with PIL.Image.open(path) as picture:
        return hashlib.sha256(f"{picture.mode} {picture.size}\n".encode() + picture.tobytes()).hexdigest()


def run(words: Sequence[str]) -> tuple[int, str, str]:
    """A command line's exit code, and what it said on stdout and stderr."""
    from impasto.cli import main as impasto

    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = impasto(list(words))
        out.flush()
    return code, out.buffer.getvalue().decode(), err.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def done(*words: str) -> str:
    """What a command line says on stdout; raises `Failed` unless it succeeds."""
    code, out, err = run(words)
    if code:
        raise Failed(f"impasto {shlex.join(words)} ended with {code}: {err.strip()}")
    return out


def completed(
    line: str, folder: Path, extra: Mapping[str, str] | None = None, output: str = "picture.png"
) -> list[str]:
    """A line of the table as words, with all that it leaves to the defaults here."""
    words = shlex.split(line.replace("{}", str(folder)))
    defaults = DEFAULTS[words[0]] | dict(extra or {}) | {"-o": str(folder / output)}
    given = set(words)
    words += [word for flag, value in defaults.items() if flag not in given for word in (flag, value)]
    return words if words[0] == "swatches" else [*words, "--quiet"]


def plain(line: str, extra: Mapping[str, str] | None = None) -> Callable[[Path], object]:
    """A case that is one command line."""
    return lambda folder: done(*completed(line, folder, extra))


def resumed(name: str, line: str) -> Callable[[Path], None]:
    """A run that is interrupted, handed on to the new code as it is, and goes on to the picture that it has to be."""

    def job(folder: Path) -> None:
        done(*completed(line, folder, extra, "whole.png"))
        half = f"{number}_half.png"
        interrupt([*completed(line, folder, extra, half), "--checkpoint", "0"], folder / half, saves=5)
        shutil.copytree(folder / f"{half}.run", ORDERS.parent / f"{half}.run")
        hand_over(f"{name}: begun by the old", f"resume {{}}/{half}.run --quiet", half, folder / "whole.png")
        done("resume", str(folder / f"{half}.run"), "--quiet")
        check_same(folder / half, folder / "whole.png")

    number = name.replace(", ", "_").replace(" ", "_")
    extra = {} if "negligible" in name else SHALLOW
    return job


def repeated(name: str, line: str) -> Callable[[Path], None]:
    """A picture that is painted again from its recipe, which is handed on too."""

    def job(folder: Path) -> None:
        picture, copy = folder / "picture.png", ORDERS.parent / f"{name.replace(', ', '_')}.png"
        done(*completed(line, folder, SHALLOW))
        done("rerun", str(picture), "--quiet")
        shutil.copy(picture, copy)
        again = f"{copy.stem}_rerun.png"
        hand_over(f"{name}: the old one's recipe", f"rerun {{}}/{copy.name} --quiet", again, picture)
        check_same(folder / "picture_rerun.png", picture)

    return job


def changed(folder: Path) -> None:
    """Knobs that change on the way, which only a recipe can say; also interrupted, and handed on."""
    done(*completed(f"{PAIR} {LONG}", folder, SHALLOW, "unchanged.png"))
    write_schedule(folder / "unchanged.png", folder / "recipe.png")
    done("rerun", str(folder / "recipe.png"), "-o", str(folder / "changed.png"), "--quiet")
    if digest(folder / "changed.png") == digest(folder / "unchanged.png"):
        raise Failed("what was to change on the way changed nothing")
    half = folder / "changed_half.png"
    interrupt(["rerun", str(folder / "recipe.png"), "-o", str(half), "--quiet"], half, saves=1)
    shutil.copytree(folder / f"{half.name}.run", ORDERS.parent / f"{half.name}.run")
    shutil.copy(folder / "recipe.png", ORDERS.parent / "changed.png")
    order = f"resume {{}}/{half.name}.run --quiet"
    hand_over("changed: begun by the old", order, half.name, folder / "changed.png")
    again = "rerun {}/changed.png --quiet"
    hand_over("changed: the old one's recipe", again, "changed_rerun.png", folder / "changed.png")
    done("resume", str(folder / f"{half.name}.run"), "--quiet")
    check_same(half, folder / "changed.png")
    (folder / "recipe.png").unlink()  # the pixels of another one


def write_schedule(source: Path, target: Path) -> None:
    """Write a picture whose recipe also says `SCHEDULE`."""
    with PIL.Image.open(source) as picture:
        exif = picture.getexif()
        note = exif.get_ifd(EXIF_FOLDER)[USER_COMMENT]
        recipe = json.loads(note[len(ASCII) :].decode("ascii" if note.startswith(ASCII) else "utf-16-le"))
        recipe["impasto"]["schedule" if "format" in recipe["impasto"] else "steering"] = SCHEDULE
        exif.get_ifd(EXIF_FOLDER)[USER_COMMENT] = ASCII + json.dumps(recipe).encode()
        picture.save(target, exif=exif)


def own_preset(folder: Path) -> None:
    """A preset that is saved and used, and handed on in its folder."""
    done("presets", "save", "mine", *shlex.split(PRESET), "--description", "For the comparison.")
    words = completed(f"{PAIR} --preset mine", folder, SHALLOW)
    done(*words)
    elsewhere = shlex.join([*words[: words.index("-o")], "-o", "{}/by_preset.png", "--quiet"])
    hand_over("preset of one's own: the old one's", elsewhere, "by_preset.png", folder / "picture.png")


def in_files(line: str) -> Callable[[Path], None]:
    """A run within the least memory, whose canvases are in files."""

    def job(folder: Path) -> None:
        knobs = [*shlex.split(line), "--max-memory", least_memory(shlex.split(line))]
        words = shlex.split(PAIR)
        done(*words, *knobs, "-o", str(folder / "picture.png"), "--checkpoint", "off", "--quiet")

    return job


def least_memory(knobs: Sequence[str]) -> str:
    """A budget that a plan with files just fits in, from what this process holds; raises `Failed` if there is none."""
    import psutil

    held = psutil.Process().memory_info().rss // MEGABYTE
    for more in range(300, 1500, 25):
        code, _, err = run(["plan", "photo.png", *knobs, "--max-memory", f"{held + more}MB", "--json"])
        if code == 0:
            budget = f"{held + more + 50}MB"  # loading the network may leave a little more held
            plan = json.loads(done("plan", "photo.png", *knobs, "--max-memory", budget, "--json"))
            if plan["disk_bytes"] > 0:
                return budget
            raise Failed(f"canvases would be in memory with {budget}")
    raise Failed(f"no budget is enough: {err.strip()}")


def interrupt(words: Sequence[str], picture: Path, *, saves: int) -> None:
    """Run a command line until its state was saved so many times, then press Ctrl-C; raises `Failed` if that fails."""
    over = threading.Event()
    state = picture.with_name(f"{picture.name}.run") / "state.safetensors"
    finger = threading.Thread(target=press, args=(state, saves, over))
    before = signal.signal(signal.SIGINT, lambda *_: None)  # a run that is over by then must not be hurt
    finger.start()
    try:
        code, _, err = run(words)
    finally:
        over.set()
        finger.join()
        signal.signal(signal.SIGINT, before)
    if code != 130 or not state.exists():
        raise Failed(f"impasto {shlex.join(words)} was to be interrupted but ended with {code}: {err.strip()}")


def press(state: Path, saves: int, over: threading.Event) -> None:
    """Send SIGINT to this process once the file was seen in so many versions, unless it's `over` before."""
    seen: set[int] = set()
    while not over.wait(0.001):
        with contextlib.suppress(OSError):
            seen.add(state.stat().st_mtime_ns)
        if len(seen) >= saves:
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
            return


def check_same(found: Path, wanted: Path) -> None:
    """Raise `Failed` unless two pictures of one checkout are the same to the bit."""
    if digest(found) != digest(wanted):
        raise Failed(f"{found.name} is not the same as {wanted.name}, within one checkout")


def hand_over(name: str, line: str, picture: str, wanted: Path) -> None:
    """Order from the new code a command line in whose folder {} a `picture` like `wanted` has to result."""
    order = {"name": name, "line": line, "picture": picture, "sha256": digest(wanted)}
    ORDERS.write_text(json.dumps([*orders_in(ORDERS), order]))


def orders_in(path: Path) -> list[dict[str, str]]:
    """The orders of a file, none where there is no file."""
    return json.loads(path.read_text()) if path.exists() else []


def take_over(order: Mapping[str, Any]) -> Callable[[Path], None]:
    """Fulfil an order of the old code with what it handed over."""

    def job(folder: Path) -> None:
        before = os.environ["IMPASTO_PRESETS"]
        os.environ["IMPASTO_PRESETS"] = "taken/presets"
        try:
            done(*shlex.split(order["line"].replace("{}", "taken")))
        finally:
            os.environ["IMPASTO_PRESETS"] = before
        shutil.move(Path("taken", order["picture"]), folder)

    return job


if __name__ == "__main__":
    sys.exit(main())
