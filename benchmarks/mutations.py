"""Do the tests notice small faults in the code that pictures, recipes and states rest on?

Faults are put into a module one at a time (see `mutants`), drawn by a seed, each in a process forked from one that has
torch and pytest loaded. It runs the tests that reach the fault, those of its own room and quick ones first, until one
fails, `--most` seconds' worth of them. Which tests reach what is found out first (a quarter of an hour), and kept in
build/mutations with the results: what was tried is not tried twice.

python benchmarks/mutations.py [--mutants 400] [--seed 1] [--only losses/moments.py …] [--again] [--table]
"""

import argparse
import ast
import contextlib
import importlib
import importlib.machinery
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import mutants as faults
from mutants import Mutant

HOUSE = Path(__file__).resolve().parents[1]
PACKAGE = HOUSE / "src/impasto"
KEPT = HOUSE / "build/mutations"
EQUIVALENT = HOUSE / "benchmarks/equivalent_mutants.json"
MODULES = [
    str(path.relative_to(PACKAGE))
    for pattern in (
        *("losses/*.py", "objective/*.py", "network/tile*.py"),
        *("jobs/recipe.py", "jobs/checkpoint.py", "jobs/checkpointer.py", "cli/outputs.py"),
    )
    for path in sorted(PACKAGE.glob(pattern))
    if path.name != "__init__.py"
]
TESTS = (
    *("losses/test_*.py", "objective/test_*.py", "network/test_tiles.py", "run/test_*.py", "jobs/test_*.py"),
    *("cli/test_*.py", "project/test_options.py", "project/test_flags.py"),
)
SEPARATE = ("test_kill.py",)
"""What tests processes of its own, which have no fault."""
ALWAYS = ("tests/project/test_house.py::test_what_was_made_stays_as_it_was_made",)
"""What reaches no line and looks at classes."""

PYTEST = [
    "-p",
    "no:xdist",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
    "-o",
    "addopts=-q --strict-markers",
    "-c",
    str(HOUSE / "pyproject.toml"),
]
LONGEST = 8
"""How many times as long as without the fault tests may take, beside `GRACE` seconds, before they count as hanging."""
GRACE = 40
FEW = 4.0
"""Seconds of tests in the first of two rounds, of which each loads impasto and its files of tests anew."""


class Reach:
    """Notes which lines of the modules each test runs, and how long it takes."""

    def __init__(self) -> None:
        self.lines: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        self.seconds: dict[str, float] = {}
        self._files = {str(PACKAGE / name): name for name in MODULES}
        self._now: set[tuple[str, int]] = set()

    def pytest_runtest_protocol(self, item, nextitem) -> None:
        self._now = self.lines[item.nodeid]
        sys.settrace(self._called)
        threading.settrace(self._called)

    def pytest_runtest_logreport(self, report) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.when == "call" and report.failed:
            self.lines.pop(report.nodeid, None)

    def _called(self, frame, event, argument):
        name = self._files.get(frame.f_code.co_filename)
        if name is None:
            return None

        def line(frame, event, argument):
            self._now.add((name, frame.f_lineno))
            return line

        return line(frame, event, argument)


class Watch:
    """Runs the tests in a given order and notes the first that fails."""

    def __init__(self, order: Sequence[str]) -> None:
        self.order = {name: number for number, name in enumerate(order)}
        self.failed = ""

    def pytest_collection_modifyitems(self, items) -> None:
        items.sort(key=lambda item: self.order[item.nodeid])

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    pytest_collectreport = pytest_runtest_logreport


def forked(work, seconds: float) -> tuple[str, str]:
    """What `work()` gives in a child, (outcome, a test's name); a child that dies or hangs has a fault that shows."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        outcome = ("killed", "by an exception")
        try:
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)
                outcome = work()
                os.chdir("/")
        finally:
            os.write(writing, json.dumps(outcome).encode())
            os._exit(0)
    os.close(writing)
    until = time.monotonic() + seconds
    ended = 0
    while not ended and time.monotonic() < until:
        ended, _ = os.waitpid(child, os.WNOHANG)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read() if ended else b""
    return tuple(json.loads(told)) if told else ("killed", "by its death" if ended else "by the time limit")


def tested(module: str, source: str | None, tests: Sequence[str]) -> tuple[str, str]:
    """Run in a child: ('survived', '') where every test passes with `source` for a module (None: as it is)."""
    import pytest

    usual, path = importlib.machinery.SourceFileLoader.get_code, str(PACKAGE / module)
    memory = 12 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    def get_code(loader, name):
        if source is not None and loader.path == path:
            return compile(source, path, "exec", dont_inherit=True)
        return usual(loader, name)

    importlib.machinery.SourceFileLoader.get_code = get_code
    watch = Watch(tests)
    try:
        importlib.import_module("impasto." + module.removesuffix(".py").replace("/", "."))
        code = pytest.main(
            [*PYTEST, "-x", "--rootdir", str(HOUSE), *(str(HOUSE / name) for name in tests)], plugins=[watch]
        )
    except BaseException as error:
        return "killed", type(error).__name__
    if code == 0:
        return "survived", ""
    return ("killed" if watch.failed or code != pytest.ExitCode.USAGE_ERROR else "untried"), watch.failed or str(code)


def found_reach() -> dict:
    """Which tests reach which lines, and their seconds: as is known, but found out for files newer than that."""
    kept = KEPT / "reach.json"
    known = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    since = kept.stat().st_mtime if known else 0.0
    files = sorted(path for pattern in TESTS for path in (HOUSE / "tests").glob(pattern))
    files = [str(path) for path in files if path.stat().st_mtime > since and path.name not in SEPARATE]
    if not files:
        return known

    def work() -> tuple[str, str]:
        import pytest

        reach = Reach()
        pytest.main([*PYTEST, "-m", "not slow and not corpus", "--rootdir", str(HOUSE), *files], plugins=[reach])
        theirs = tuple(f"{Path(file).relative_to(HOUSE)}::" for file in files)
        told = {name: what for name, what in known.items() if not name.startswith(theirs)}
        told |= {name: {"seconds": reach.seconds[name], "lines": sorted(lines)} for name, lines in reach.lines.items()}
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(told), encoding="utf-8")
        return "survived", ""

    print("finding out what is reached by", len(files), "files of tests", flush=True)
    forked(work, 3600)
    return json.loads(kept.read_text("utf-8"))


def tests_of(module: str, mutant: Mutant, reach: dict) -> list[str]:
    """The tests that run the fault's statement, or else its function, or else the module: their own room's first."""
    room = f"tests/{module.partition('/')[0]}/"

    def reached(lines: tuple[int, int] | None) -> list[str]:
        low, high = lines or (0, 10**9)
        return [
            name
            for name, told in reach.items()
            if any(file == module and low <= n <= high for file, n in told["lines"])
        ]

    found = reached(mutant.lines) if mutant.function else []
    found = found or (reached(mutant.function) if mutant.function else []) or reached(None)
    found.sort(key=lambda name: (not name.startswith(room) or reach[name]["seconds"] > 3, reach[name]["seconds"]))
    return found if mutant.function else [*ALWAYS, *found]


def drawn(number: int, seed: int, only: Sequence[str]) -> list[tuple[str, Mutant]]:
    """So many of all mutants, evenly from all modules."""
    everything = {name: faults.mutants((PACKAGE / name).read_text("utf-8"), seed) for name in MODULES}
    share = min(1.0, number / sum(map(len, everything.values())))
    chosen = [(name, m) for name, found in everything.items() for m in found[: -int(-share * len(found) // 1)]]
    for name, mutant in chosen:
        ast.parse(mutant.put_into((PACKAGE / name).read_text("utf-8")))
    return [(name, m) for name, m in chosen if not only or name in only]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=400, help="how many to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=(), help="modules, such as losses/moments.py")
    parser.add_argument("--most", type=float, default=15.0, help="seconds of tests for each, the quickest")
    parser.add_argument(
        "--again", action="store_true", help="only what survived the last time, by tests as they are now"
    )
    parser.add_argument("--table", action="store_true", help="run nothing, tell what was found")
    chosen = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", GOMP_SPINCOUNT="0")
    results = KEPT / f"results_{chosen.seed}.json"
    known = json.loads(results.read_text("utf-8")) if results.exists() else {}
    sample = drawn(chosen.mutants, chosen.seed, chosen.only)
    names = [f"{name}, {m.where}: {m.change((PACKAGE / name).read_text('utf-8'))}" for name, m in sample]
    names = [name + f" ({n})" * (n > 1) for i, name in enumerate(names) for n in [names[: i + 1].count(name)]]
    reasons = json.loads(EQUIVALENT.read_text("utf-8")) if EQUIVALENT.exists() else {}
    if not chosen.table:
        load_what_tests_need()
        reach = found_reach()
        for key, (name, mutant) in zip(names, sample, strict=True):
            if key in known and (key in reasons or not chosen.again or known[key]["outcome"] == "killed"):
                continue
            known[key] = one(name, mutant, reach, chosen.most)
            print(known[key]["outcome"], f"{known[key]['seconds']:.0f} s", key, known[key]["by"], flush=True)
            results.write_text(json.dumps(known, indent=1, ensure_ascii=False), encoding="utf-8")
    tell({key: known[key] for key in names if key in known}, reasons)


def one(module: str, mutant: Mutant, reach: dict, most: float) -> dict:
    """What the tests make of a mutant: a few quick ones, then the others that reach it, `most` seconds of them."""
    source = mutant.put_into((PACKAGE / module).read_text("utf-8"))
    began, seconds, outcome, by = time.monotonic(), 0.0, "survived", ""
    rounds: tuple[list[str], ...] = ([], [])
    limits = [0.0, 0.0]
    for name in tests_of(module, mutant, reach):
        takes = reach[name]["seconds"] if name in reach else 0.2
        if (seconds := seconds + takes) <= most or not rounds[0]:
            number = seconds > FEW and bool(rounds[0])
            rounds[number].append(name)
            limits[number] += takes
    for some, limit in zip(rounds, limits, strict=True):
        if some and outcome == "survived":
            outcome, by = forked(lambda some=some: tested(module, source, some), GRACE + LONGEST * limit)
    told = {"outcome": outcome, "by": by, "tests": sum(map(len, rounds)), "seconds": time.monotonic() - began}
    return told | {"all": seconds <= most}


def load_what_tests_need() -> None:
    """So that children needn't: everything but impasto itself, which has to be loaded with its fault."""
    sys.path[:0] = [str(HOUSE / "tests"), str(HOUSE / "tests/project")]
    os.chdir(HOUSE)
    for name in (
        *(
            "torch",
            "numpy",
            "pytest",
            "hypothesis",
            "PIL.Image",
            "pydantic",
            "safetensors.torch",
            "cyclopts",
            "filelock",
        ),
        *("rich.progress", "psutil", "platformdirs", "matplotlib.figure"),
    ):
        __import__(name)


def tell(found: dict, reasons: dict[str, str]) -> None:
    """The table in Markdown, and what survived."""
    rows: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for key, told in found.items():
        module = key.partition(",")[0]
        room = module if module.startswith(("jobs", "cli", "network")) else module.partition("/")[0] + "/"
        same = told["outcome"] == "survived" and key in reasons
        counts = [1, told["outcome"] == "killed", told["outcome"] == "survived" and not same, same]
        for row in (rows[room], rows["all"]):
            row[:] = [a + b for a, b in zip(row, counts, strict=True)]
    print("\n| code | mutants | killed | survived | equivalent |\n|---|---|---|---|---|")
    for room, counts in sorted(rows.items(), key=lambda pair: (pair[0] == "all", pair[0])):
        print(f"| {room} |", " | ".join(map(str, counts)), "|")
    for key, told in found.items():
        if told["outcome"] == "survived":
            print("-", key, "—", reasons.get(key, "?"))


if __name__ == "__main__":
    main()
