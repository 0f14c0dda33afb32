"""What all tests have at hand; the process that only hands them out loads no torch for it."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from impasto.network.vgg import VGG19

# A thread for each of pytest's processes, which doesn't spin while it waits: before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "0")


MAY_BE_MISSING = ("this processor lacks", "THE CRITIC IS NOT TRIED", "ncnn is only there", "ZZUF IS NOT INSTALLED")
"""Why a test may be skipped where every promise is to be kept: these make none."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-promises", action="store_true", help="fail where a test that holds a promise is skipped")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a failure of a skip, if asked to."""
    report = yield
    if report.skipped and item.config.getoption("--keep-promises") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(reason.removeprefix("Skipped: ").startswith(allowed) for allowed in MAY_BE_MISSING):
            report.outcome, report.longrepr = "failed", f"skipped, though it holds a promise: {reason}"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test that is marked `thin(n)`, leave one case in n to the fast tier, the others to the slow one."""
    cases: Counter[str] = Counter()
    for item in items:
        if (thin := item.get_closest_marker("thin")) is not None:
            name = item.nodeid.partition("[")[0]
            if cases[name] % thin.args[0]:
                item.add_marker(pytest.mark.slow)
            cases[name] += 1


def pytest_collection_finish() -> None:
    """Torch's half a million objects stay: the garbage collector needn't look through them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def tiny() -> VGG19:
    from helpers import tiny_weights
    from impasto.network.vgg import VGG19

    return VGG19(tiny_weights()).double()


@pytest.fixture(scope="session")
def real() -> VGG19:
    from impasto.network import weights
    from impasto.network.vgg import VGG19

    return VGG19(weights.load())


@pytest.fixture(scope="session", autouse=True)
def _no_trial() -> Iterator[None]:
    """`precision` auto is float32 in tests on every machine: no trial of speed may decide what they compute in.

    Those of runs in other processes are too short for one.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("impasto.network.engines.trial.bfloat16_wins", lambda: False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where impasto keeps what it keeps for its user: not among that user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield
