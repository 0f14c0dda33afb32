"""Builds the native engine, a plain shared library that ctypes loads; where it can't be built, impasto does without."""

import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

if sys.version_info < (3, 11):  # noqa: UP036 - or pip may fetch torch, only to say that versions conflict
    sys.exit(
        "impasto needs Python 3.11 or later, and this is Python {}.{}: make the environment with a newer one, such as "
        "python3.11 -m venv .venv".format(*sys.version_info[:2])
    )

ENGINES = Path("src/impasto/network/engines")

# Not linked to OpenMP: torch has loaded it already, see impasto.network.engines.native_library.
NATIVE = Extension(
    "impasto.network.engines._native",
    [str(ENGINES / "native.c")],
    extra_compile_args=["-std=gnu11", "-O3", "-g0", "-fopenmp", "-ffp-contract=fast", "-Wno-psabi"],
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
    """The library, of which no old one stays among the source where it is built there, even if it can't be built."""

    def run(self) -> None:
        """Remove old libraries, then build."""
        if self.inplace:
            for old in ENGINES.glob("_native*.so"):
                old.unlink()
        super().run()


setup(
    ext_modules=[NATIVE] if sys.platform == "linux" else [],
    cmdclass={"build": Build, "build_ext": BuildExt},
)
