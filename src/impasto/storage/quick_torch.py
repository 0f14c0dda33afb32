"""Torch imported a seventh sooner, in a process of impasto's own: nobody looks for rubbish while it is.

Measured in docs/decisions/0028-first-look.md. Nothing here imports torch.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # at run time it would load importlib.resources with tempfile, for two names that nothing asks for
    Loader = MetaPathFinder = object


@contextmanager
def quick_torch() -> Iterator[None]:
    """Where torch is imported in this block, it takes less time; blocks may be nested."""
    finder = None if "torch" in sys.modules else _Finder()
    if finder is not None:
        sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder is not None:
            sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Finds torch as usual, and wraps how it is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "torch" else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Uncollected(spec.loader)
        return spec


class _Uncollected(Loader):
    """Loads a module while the garbage collector rests, as importing makes next to no garbage.

    What was imported is frozen then: no later collection looks at it, the one at the exit included.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader  # the one that the module is to tell of
        collecting = gc.isenabled()
        gc.disable()
        try:
            self.loader.exec_module(module)
        finally:
            if collecting:
                gc.enable()
        gc.freeze()
