"""What is handed out: a source distribution that is whole, and a wheel that holds what the source says today."""

import ast
import ctypes
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import setuptools

from impasto.network.engines.native_library import VERSION, why_not

HOUSE = Path(__file__).parents[2]
SETUP = HOUSE / "setup.py"
GENERATED = {"PKG-INFO", "setup.cfg"}
"""What setuptools adds to a source distribution, beside an .egg-info folder."""

IGNORED = (
    "benchmarks/kept/a.png",
    "docs/photo_impasto.png",
    "src/impasto/network/engines/_native.cpython-310-x86_64-linux-gnu.so",
    "tests/.hypothesis/examples/a",
    "tests/images/__pycache__/reader.cpython-311.pyc",
    "tests/.pytest_cache/README.md",
    ".ci/.ruff_cache/a",
)
"""Files such as git ignores here, in the folders that are handed out."""

ENGINE_SOURCES = [
    f"src/impasto/network/engines/{name}"
    for name in ("native.c", "native_bf16.c", "native_moments.c", "native_pooling.h")
]

VERSION_99 = "impasto_version(void) { return 99; }"


def files_of_git(*options: str) -> set[str]:
    """Files of the working tree by their paths in it; skips where this is no working tree of git."""
    if not (HOUSE / ".git").exists():
        pytest.skip("this is no checkout of git, with which to compare")
    told = subprocess.run(["git", "ls-files", "-z", *options], cwd=HOUSE, capture_output=True, text=True, check=True)
    return {name for name in told.stdout.split("\0") if name and (HOUSE / name).exists()}


def built(kind: str, tree: Path, folder: Path) -> Path:
    """An 'sdist' or a 'wheel' of a source tree, by the project's own build backend, as pip asks for it."""
    code = f"from setuptools.build_meta import build_{kind} as build; build({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (made,) = folder.iterdir()
    return made


def copied(tree: Path) -> Path:
    """A copy of what a build reads, in a new folder."""
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(HOUSE / name, tree / name)
    (tree / "docs").mkdir()
    shutil.copy(HOUSE / "docs/impasto.1", tree / "docs")
    shutil.copytree(HOUSE / "src", tree / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", "*.so"))
    return tree


@pytest.mark.slow
def test_a_source_distribution_holds_every_file_of_the_repository_and_nothing_that_git_ignores(tmp_path):
    tracked, present = files_of_git(), files_of_git("--cached", "--others", "--exclude-standard")
    tree, out = tmp_path / "tree", tmp_path / "out"
    out.mkdir()
    for name in present:  # a copy: a build writes beside the source
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HOUSE / name, tree / name)
    for name in IGNORED:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"ignored")
    with tarfile.open(built("sdist", tree, out)) as archive:
        names = [member.name.split("/", 1)[1] for member in archive if member.isfile()]
    found = {name for name in names if name not in GENERATED and not name.startswith("src/impasto.egg-info/")}
    assert tracked - found == set()
    assert found - present == set()


@pytest.mark.slow
@pytest.mark.skipif(
    why_not() is not None or shutil.which("gcc") is None, reason="THE NATIVE ENGINE CAN'T BE BUILT HERE"
)
def test_a_wheel_from_a_tree_full_of_old_builds_holds_only_what_the_source_says(tmp_path):
    tree, wheels, unpacked = copied(tmp_path), tmp_path / "wheels", tmp_path / "unpacked"
    wheels.mkdir()
    code = tree / "src/impasto/network/engines/native.c"
    changed = code.read_text("utf-8").replace("impasto_version(void) { return VERSION; }", VERSION_99)
    code.write_text(changed, "utf-8")
    os.utime(code, (0, 0))  # as of an older commit: setuptools by itself goes by times and skips it
    suffix = f"cpython-3{sys.version_info.minor}-x86_64-linux-gnu.so"
    library = Path(f"build/lib.linux-x86_64-cpython-3{sys.version_info.minor}/impasto/network/engines/_native.{suffix}")
    old = [
        library,
        library.parents[2] / "gone.py",
        Path("build/bdist.linux-x86_64/wheel/impasto/gone_too.py"),
        Path("src/impasto/network/engines") / library.name,
        Path("src/impasto/network/engines/_native.cpython-310-x86_64-linux-gnu.so"),
    ]
    for path in old:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(b"old")
    with zipfile.ZipFile(built("wheel", tree, wheels)) as wheel:
        wheel.extractall(unpacked)
    found = {str(path.relative_to(unpacked)) for path in unpacked.glob("impasto/**/*") if path.is_file()}
    source = {str(path.relative_to(HOUSE / "src")) for path in (HOUSE / "src/impasto").rglob("*.py")}
    (native,) = (name for name in found if name.endswith(".so"))
    assert ctypes.CDLL(str(unpacked / native)).impasto_version() == 99
    assert found - {native} == source | {
        "impasto/py.typed",
        *files_of("impasto/settings/bundled"),
        *files_of("impasto/studio/static"),
    }


def files_of(folder: str) -> set[str]:
    """All files of a folder of the package's, whatever they hold."""
    return {str(path.relative_to(HOUSE / "src")) for path in (HOUSE / "src" / folder).rglob("*") if path.is_file()}


@pytest.mark.slow
def test_an_editable_installation_that_cannot_build_the_library_leaves_no_old_one(tmp_path, monkeypatch):
    tree, wheels = copied(tmp_path), tmp_path / "wheels"
    wheels.mkdir()
    old = tree / "src/impasto/network/engines/_native.cpython-310-x86_64-linux-gnu.so"
    old.write_bytes(b"old")
    monkeypatch.setenv("CC", "false")  # a compiler that always fails
    built("editable", tree, wheels)
    assert not old.exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("clang") is None, reason="CLANG IS NOT INSTALLED")
def test_the_library_that_clang_builds_needs_no_openmp(tmp_path, monkeypatch):
    tree, wheels, unpacked = copied(tmp_path), tmp_path / "wheels", tmp_path / "unpacked"
    wheels.mkdir()
    monkeypatch.setenv("CC", "clang")
    with zipfile.ZipFile(built("wheel", tree, wheels)) as wheel:
        wheel.extractall(unpacked)
    (library,) = unpacked.rglob("_native.so")
    code = f"import ctypes; print(ctypes.CDLL({str(library)!r}).impasto_version())"  # in a process without torch
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(told.stdout) == VERSION


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("x86_64-w64-mingw32-gcc") is None, reason="MINGW-W64 IS NOT INSTALLED")
@pytest.mark.skipif(shutil.which("clang") is None, reason="CLANG IS NOT INSTALLED")
def test_what_windows_is_told_to_run_makes_a_library_with_all_calls(tmp_path, monkeypatch):
    monkeypatch.setattr(setuptools, "setup", lambda **_: None)
    made = runpy.run_path(str(SETUP))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.chdir(HOUSE)
    build = made["BuildExt"](setuptools.Distribution({"ext_modules": [made["NATIVE"]]}))
    build.build_lib, commands = str(tmp_path), []
    build.ensure_finalized()
    build.spawn = commands.append
    build.build_extension(made["NATIVE"])
    ((*command, library),) = commands
    gcc = subprocess.run(["x86_64-w64-mingw32-gcc", "-print-libgcc-file-name"], capture_output=True, text=True)
    debians = ["--target=x86_64-w64-mingw32", f"-L{Path(gcc.stdout).parent}"]
    subprocess.run([*command, library, *debians], check=True)
    told = subprocess.run(["x86_64-w64-mingw32-objdump", "-p", library], capture_output=True, text=True, check=True)
    source = "".join((SETUP.parent / path).read_text("utf-8") for path in ENGINE_SOURCES)
    calls = set(re.findall(r"^EXPORT [\w ]+?\*?(impasto_\w+)\(", source, flags=re.MULTILINE))
    assert {"impasto_conv", "impasto_conv_bf16", "impasto_version"} < calls
    assert {word for word in told.stdout.split() if word.startswith("impasto_")} == calls


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 9, 0)])
def test_a_python_that_is_too_old_is_told_which_one_is_needed_before_anything_is_fetched(version, monkeypatch):
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SystemExit) as refused:
        runpy.run_path(str(SETUP))
    assert str(refused.value) == f"impasto needs Python 3.11 or later, and this is Python 3.{version[1]}: " + (
        "make the environment with a newer one, such as python3.11 -m venv .venv"
    )
    assert 'requires-python = ">=3.11"' in (HOUSE / "pyproject.toml").read_text("utf-8")
    ast.parse(SETUP.read_text("utf-8"), feature_version=(3, 7))  # no words that an old Python stumbles over
