"""Builds what is handed out, and tries it as a new user would: the checklist of a release, as far as a program can go.

    python tools/release.py          # build into dist/, and try it
    python tools/release.py --try-with python3.12 python3.13

1. The changelog begins with the version of pyproject.toml, and nothing is uncommitted.
2. Source distribution and, from it, wheel, built twice: the same bytes (SOURCE_DATE_EPOCH is the commit's date).
3. `twine check --strict`: what PyPI would refuse.
4. In an empty environment of each Python: the wheel installed with the pinned versions, `impasto doctor`, a picture
   painted, outside of the checkout.

By hand, after that: read CHANGELOG.md as a user; `git tag vX.Y.Z`; cibuildwheel for the other platforms (never tried by
us); `twine upload dist/*`; the documentation's site (`mkdocs build --strict`).
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from pathlib import Path

HOUSE = Path(__file__).parents[1]


def main() -> None:
    """Build, compare, check and try; stop with a sentence where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--try-with", nargs="+", default=[sys.executable], metavar="PYTHON")
    parser.add_argument("--output", type=Path, default=HOUSE / "dist")
    parser.add_argument("--uncommitted", action="store_true", help="build the tree as it is, changes and all")
    chosen = parser.parse_args()
    version = tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    check_changelog(version)
    changed = told("git", "status", "--porcelain", "--untracked-files=no")
    if changed and not chosen.uncommitted:
        raise SystemExit(f"uncommitted changes: commit them, or say --uncommitted\n{changed}")
    os.environ["SOURCE_DATE_EPOCH"] = told("git", "log", "-1", "--format=%ct")
    chosen.output.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        first, second = (built(Path(name) / turn) for turn in ("first", "second"))
        for one, other in zip(first, second, strict=True):
            same = hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()
            print(
                f"{one.name}: {one.stat().st_size / 1e6:.1f} MB, built twice: {'the same bytes' if same else 'DIFFERS'}"
            )
            if not same:
                raise SystemExit(f"{one.name} isn't reproducible")
        made = [chosen.output / path.name for path in first]
        for path, kept in zip(first, made, strict=True):
            kept.write_bytes(path.read_bytes())
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, made))
    for python in chosen.try_with:
        try_out(python, next(path for path in made if path.suffix == ".whl"))


def check_changelog(version: str) -> None:
    """Whether the changelog's first heading is of this version."""
    headings = re.findall(r"^## (.*)$", (HOUSE / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    if not headings or not headings[0].startswith((version, "Unreleased")):
        raise SystemExit(f"CHANGELOG.md begins with {headings[:1]}, not with {version}")


def built(folder: Path) -> list[Path]:
    """The source distribution of the checkout, and the wheel of that."""
    folder.mkdir()
    tree = folder / "tree"
    files = told("git", "ls-files", "-z").split("\0")
    for file in filter(None, files):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        if (HOUSE / file).exists():
            (tree / file).write_bytes((HOUSE / file).read_bytes())
            (tree / file).chmod((HOUSE / file).stat().st_mode)
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(folder), ".", cwd=tree)
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder / "from", filter="data")
    (unpacked,) = (folder / "from").iterdir()
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), ".", cwd=unpacked)
    return [source, *folder.glob("*.whl")]


def try_out(python: str, wheel: Path) -> None:
    """Install the wheel into an empty environment, and paint with it."""
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        run(python, "-m", "venv", name)
        inside, impasto = f"{name}/bin/python", f"{name}/bin/impasto"
        run(inside, "-m", "pip", "install", "--quiet", "-c", str(HOUSE / "constraints.txt"), f"{wheel}[demo]")
        seconds = time.perf_counter() - began
        size = sum(path.lstat().st_size for path in Path(name).rglob("*") if path.is_file())
        print(f"{told(inside, '--version')}: installed in {seconds:.0f} s, {size / 1e9:.2f} GB", flush=True)
        print(told(impasto, "doctor", cwd=name))
        run(impasto, "swatches", "--write", "dots", "--size", "128", cwd=name)
        run(
            impasto,
            "paint",
            "dots.png",
            "watercolour",
            "--preset",
            "sketch",
            "--size",
            "128",
            "-o",
            "out.png",
            cwd=name,
        )
        run(impasto, "rerun", "out.png", "-o", "again.png", cwd=name)
        for file in ("share/man/man1/impasto.1", "out.png", "again.png"):
            if not (Path(name) / file).is_file():
                raise SystemExit(f"{file} isn't there after an installation by {python}")
        print(f"{told(inside, '--version')}: everything works", flush=True)


def run(*command: str, cwd: str | Path = HOUSE) -> None:
    """Run a command, without this checkout on Python's path; stop where it fails."""
    told(*command, cwd=cwd)


def told(*command: str, cwd: str | Path = HOUSE) -> str:
    """What a command prints; where it fails, stop and show all it said."""
    surroundings = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=cwd, env=surroundings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
