"""The libraries that the studio's page uses, fetched from npm into `static/vendor/`: the one list of them.

    python tools/vendor.py            # fetch them anew (npm, network), write VENDOR.json
    python tools/vendor.py --check    # compare what is there with this list: no network

A new version: change it here, run, look at what changed, and write the hashes it prints into the list.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

VENDOR = Path(__file__).parents[1] / "src" / "impasto" / "studio" / "static" / "vendor"


class Vendored(NamedTuple):
    """One file of an npm package, and what it's called here."""

    file: str
    package: str
    version: str
    source: str
    licence: str
    sha256: str


LIST = tuple(
    Vendored(*line.split())
    for line in """
preact.js        preact                11.2.0   dist/preact.mjs                              MIT           225d7a773766e6fb2cfcc45274fe41d2059f5782f3f2c4569aa5132a2d3a2902
preact-hooks.js  preact                11.2.0   hooks/dist/hooks.mjs                         MIT           5c65ab263688d0805862fd0807c779af02c2799c44fda0873dfcb870d0da70a0
htm.js           htm                   3.1.1    dist/htm.module.js                           Apache-2.0    ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4
signals-core.js  @preact/signals-core  1.14.5   dist/signals-core.module.js                  MIT           9cbedfaa6e7830244458b8cb7bf32b51d5d0fd36e848bde986f5ba082a543d97
signals.js       @preact/signals       2.11.4   dist/signals.module.js                       MIT           7baf246641697da7d67e9d71289fecb58a7f8e8cc5f315efa81e46f1b1f210fd
uplot.js         uplot                 1.6.32   dist/uPlot.esm.js                            MIT           5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba
uplot.css        uplot                 1.6.32   dist/uPlot.min.css                           MIT           0cf09be05fa0760ca9a3330ea374f6655f08766c7b2b370e462afe98852147ce
openseadragon.js openseadragon         6.1.1    build/openseadragon/openseadragon.min.js     BSD-3-Clause  4e6fe442742db946dfbe1e748486552078e28ba617412e91b81146443465d2c4
""".strip().splitlines()  # noqa: E501
)
"""File here, package, version, file in the package, licence, sha256 of the file here."""

SPECIFIERS = {
    "preact": "./preact.js",
    "preact/hooks": "./preact-hooks.js",
    "@preact/signals-core": "./signals-core.js",
}
"""Browsers take no bare names without an import map, and the page's policy allows no inline one."""


def adapted(source: str) -> str:
    """A library's text with bare specifiers made relative, and without the source map that isn't here."""
    for bare, relative in SPECIFIERS.items():
        source = re.sub(rf'(\bfrom|\bimport)(\s*)(["\']){re.escape(bare)}\3', rf"\1\2\g<3>{relative}\3", source)
    return re.sub(r"\n?(//|/\*)# sourceMappingURL=\S+( ?\*/)?", "", source).rstrip() + "\n"


def packed(package: str, version: str, folder: Path) -> dict[str, bytes]:
    """The files of a package by their paths in it."""
    command = ["npm", "pack", f"{package}@{version}", "--silent", "--pack-destination", str(folder)]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    with tarfile.open(folder / Path(name).name) as archive:
        members = {one.name.partition("/")[2]: archive.extractfile(one) for one in archive if one.isfile()}
        return {path: stream.read() for path, stream in members.items() if stream is not None}


def licence_file(package: str) -> str:
    """The name of a package's licence here."""
    return f"LICENCE.{package.strip('@').replace('/', '-')}.txt"


def refresh() -> None:
    """Fetch every package of the list and write its files, its licence and VENDOR.json."""
    VENDOR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for package, version in sorted({(one.package, one.version) for one in LIST}):
            files = packed(package, version, Path(folder))
            for one in (one for one in LIST if one.package == package):
                (VENDOR / one.file).write_text(adapted(files[one.source].decode()), encoding="utf-8", newline="\n")
            (VENDOR / licence_file(package)).write_bytes(next(files[n] for n in sorted(files) if n.startswith("LICEN")))
    (VENDOR / "VENDOR.json").write_text(manifest(), encoding="utf-8")


def manifest() -> str:
    """The list as VENDOR.json, for whoever has the page but not this script."""
    rows = [
        {"file": one.file, "name": one.package, "version": one.version, "sha256": one.sha256, "licence": one.licence}
        for one in LIST
    ]
    return json.dumps(rows, indent=2) + "\n"


def faults() -> list[str]:
    """One line for each file that isn't what the list says."""
    found = []
    for one in LIST:
        path = VENDOR / one.file
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        if sha256 != one.sha256:
            found.append(f"{one.file}: {sha256}, the list says {one.sha256 or 'nothing'}")
        if not (VENDOR / licence_file(one.package)).is_file():
            found.append(f"{one.file}: its licence {licence_file(one.package)} is missing")
    stated = VENDOR / "VENDOR.json"
    if not stated.is_file() or stated.read_text(encoding="utf-8") != manifest():
        found.append("VENDOR.json differs from the list: run tools/vendor.py")
    return found


def main() -> int:
    """Refresh unless only a check is asked for; 1 where something differs."""
    if "--check" not in sys.argv[1:]:
        refresh()
    found = faults()
    sys.stdout.write("\n".join(found) + "\n" if found else f"{len(LIST)} files as listed\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
