"""A real cluster on this machine, and an end for each test."""

from __future__ import annotations

import secrets
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HERE = Path(__file__).parent
STORE = 80 * 2**20
PATIENCE = 300
"""Seconds that a test may take."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A head that does nothing and two nodes of a CPU; `nodes` are these."""
    if "ray" in sys.modules:
        pytest.fail("Ray was loaded without a token")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_DEDUP_LOGS_SKIP_REGEX", "^")
        patch.setenv("PYTHONPATH", str(HERE))
        patch.setenv("OMP_NUM_THREADS", "7")  # which is not what tasks are to have
        patch.delenv("GOMP_SPINCOUNT", raising=False)
        from ray.cluster_utils import Cluster

        node = {"object_store_memory": STORE, "node_ip_address": "127.0.0.2"}
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **node})
        try:
            add = partial(cluster.add_node, num_cpus=1, **node)
            yield SimpleNamespace(
                address=cluster.address,
                session=Path(cluster.head_node.get_session_dir_path()),
                nodes=[add(), add()],
                add=add,
                remove=cluster.remove_node,
            )
        finally:
            cluster.shutdown()


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """No test waits for ever for a cluster."""

    def fail(number: int, frame: object) -> None:
        raise TimeoutError(f"the test took longer than {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
