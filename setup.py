"""Builds the native engine, a plain shared library that ctypes loads; where it can't be built, impasto does without."""

import sys

from setuptools import Extension, setup

# Not linked to OpenMP: torch has loaded it already, see impasto.network.engines.native_library.
NATIVE = Extension(
    "impasto.network.engines._native",
    ["src/impasto/network/engines/native.c"],
    extra_compile_args=["-std=gnu11", "-O3", "-g0", "-fopenmp", "-ffp-contract=fast", "-Wno-psabi"],
    optional=True,
)

setup(ext_modules=[NATIVE] if sys.platform == "linux" else [])
