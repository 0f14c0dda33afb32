"""Builds the native engine, a plain shared library that ctypes loads; where it can't be built, impasto does without."""

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - or pip may fetch torch, only to say that versions conflict
    sys.exit(
        "impasto needs Python 3.11 or later, and this is Python {}.{}: make the environment with a newer one, such as "
        "python3.11 -m venv .venv".format(*sys.version_info[:2])
    )

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
from setuptools.errors import CompileError

ENGINES = Path("src/impasto/network/engines")

NATIVE = Extension(
    "impasto.network.engines._native",
    [str(ENGINES / "native.c")],
    depends=[
        str(ENGINES / name)
        for name in ("threads.h", "native_bf16.h", "native_bf16.c", "native_moments.c", "native_pooling.h")
    ],
    extra_compile_args=["-std=gnu11", "-O3", "-g0", "-ffp-contract=fast", "-Wno-psabi"],
    optional=True,
)


class Build(build):
    """A build from nothing: setuptools would keep what an earlier one left, unless its source looks newer."""

    def run(self) -> None:
        """Remove earlier builds, then build."""
        for folder in (self.build_lib, self.build_temp, *Path(self.build_base).glob("bdist.*")):
            shutil.rmtree(folder, ignore_errors=True)
        super().run()


class BuildExt(build_ext):
    """The library, of which no old one stays among the source where it is built there, even if it can't be built.

    With GCC on Linux, loops are shared out by OpenMP. It isn't linked: torch has loaded it already, see
    impasto.network.engines.native_library. Other compilers' OpenMP isn't torch's, so there native.c has its own pool.
    """

    def run(self) -> None:
        """Remove old libraries, then build."""
        if self.inplace:
            for old in (*ENGINES.glob("_native*.so"), *ENGINES.glob("_native*.pyd")):
                old.unlink()
        super().run()

    def get_ext_filename(self, fullname):
        """The library's name without a Python's: ctypes loads it into any."""
        plain, suffix = super().get_ext_filename(fullname).split(".")[0], "pyd" if sys.platform == "win32" else "so"
        return f"{plain}.{suffix}"

    def build_extension(self, ext):
        """Compile with the flags that suit the compiler; on Windows by clang, as MSVC has no vector types."""
        if sys.platform == "win32":
            made = Path(self.get_ext_fullpath(ext.name))
            made.parent.mkdir(parents=True, exist_ok=True)
            self.spawn(["clang", *ext.extra_compile_args, "-shared", *ext.sources, "-o", str(made)])
            return
        if sys.platform == "linux" and not self._compiles_by_clang():
            ext.extra_compile_args.append("-fopenmp")
        else:
            ext.extra_compile_args.append("-pthread")
            ext.extra_link_args.append("-pthread")
        try:
            super().build_extension(ext)
        except CompileError:  # an assembler that is older than its compiler doesn't know AMX
            ext.extra_compile_args.append("-DWITHOUT_BF16")
            super().build_extension(ext)

    def _compiles_by_clang(self):
        told = subprocess.run(
            [*self.compiler.compiler_so, "-dM", "-E", "-x", "c", os.devnull],
            capture_output=True,
            text=True,
            check=False,
        )
        return "__clang__" in told.stdout


class BdistWheel(bdist_wheel):
    """One wheel a platform for all Pythons: the library is plain C, without Python in it."""

    def get_tag(self):
        """Any Python 3, no Python's binary interface, this platform."""
        return "py3", "none", super().get_tag()[2]


class Sdist(sdist):
    """A source distribution that is the same to the byte wherever it is built, given SOURCE_DATE_EPOCH."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        """Pack the folder sorted, as root's, with one date."""
        date = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))

        def plain(entry):
            entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime = 0, 0, "root", "root", date
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            return entry

        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(Path(base_dir).rglob("*")):
                archive.add(path, recursive=False, filter=plain)
        Path(f"{base_name}.tar.gz").write_bytes(gzip.compress(packed.getvalue(), mtime=date))
        return f"{base_name}.tar.gz"


setup(
    ext_modules=[NATIVE],
    cmdclass={"build": Build, "build_ext": BuildExt, "bdist_wheel": BdistWheel, "sdist": Sdist},
)
