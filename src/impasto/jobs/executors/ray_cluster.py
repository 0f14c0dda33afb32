"""A Ray cluster, of many machines or this one: connecting to it, and what room it has.

Ray is imported where it is used. By itself it lets anybody on the network run code, so that it asks for a token here,
unless RAY_AUTH_MODE says otherwise: the cluster's is looked for where Ray looks for it, and one that is started here
gets a random one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.jobs.executors.executor import TRIES
from impasto.storage.files import reason

PROBED = 40.0
"""Seconds that a cluster may take to answer; Ray itself takes 20 to say that a token is wrong."""

STORE = 200 * 2**20
"""Bytes of shared memory for what travels, where Ray is started here; beyond, it goes to the disk."""

PROBE = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')"

TOKENS = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Variables of the environment that give Ray's token, or say where it is; without them it is ~/.ray/auth_token."""


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray, connected while the block runs; raises `ImpastoError` where that can't be."""
    ray = _imported(address)
    if ray.is_initialized():
        yield ray
        return
    if address != "local":
        _probe(address)
    on_sigterm = signal.getsignal(signal.SIGTERM)  # which Ray replaces, where this is the main thread
    here = {"include_dashboard": False, "object_store_memory": STORE}
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR", **(here if address == "local" else {}))
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        ray.shutdown()
        where = "on this machine" if address == "local" else f"at {address}"
        raise ImpastoError(f"Ray {where} can't be used ({reason(error)})", "see its logs in /tmp/ray") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield ray
    finally:
        ray.shutdown()


def _imported(address: str) -> Any:
    """Ray's package, told before it is loaded to ask for tokens, to keep quiet, and to give up in the end."""
    if "ray" not in sys.modules:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_task_oom_retries", str(TRIES - 1))  # endless by itself
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")  # or it prints pages about each process that died
        has_token = any(os.environ.get(name) for name in TOKENS) or (Path.home() / ".ray/auth_token").exists()
        if address == "local" and not has_token:
            os.environ[TOKENS[0]] = secrets.token_hex(32)
    try:
        import ray
    except ImportError as error:
        raise ImpastoError("Ray is not installed", "pip install 'impasto[ray]'") from error
    return ray


def _probe(address: str) -> None:
    """Raise `ImpastoError` where no cluster answers: found out in a process of its own, as Ray may wait for minutes."""
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdecimal() and "/" not in host):
        raise ImpastoError(f"{address!r} is no address of a Ray cluster", 'give "auto", "local" or HOST:PORT')
    where = f"at {address}" if host else "on this machine"
    silent = ImpastoError(
        f"No Ray cluster answers {where}",
        "start one with `ray start --head --port=6379`, and this on one of its machines",
    )
    if host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except (OSError, OverflowError):
            raise silent from None
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROBE, address],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBED,
        )
    except subprocess.TimeoutExpired:
        raise silent from None
    if done.returncode == 0:
        return
    if "Could not find any running Ray instance" in done.stderr:
        raise silent
    cure = "give its own in RAY_AUTH_TOKEN, or set RAY_AUTH_MODE=disabled for a cluster without tokens"
    if "InvalidAuthToken" in done.stderr:
        raise ImpastoError(f"The Ray cluster {where} wants another token", cure)
    if "AuthenticationError" in done.stderr:
        raise ImpastoError(f"There is no token for the Ray cluster {where}", cure)
    last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    raise ImpastoError(f"{silent.fault} ({last.rstrip('.')})", silent.cure)


def places_in(resources: dict[str, float], threads: int, gpu: bool) -> int:
    """How many tasks a machine with such resources runs at once."""
    places = int(resources.get("CPU", 0) // threads)
    return min(places, int(resources.get("GPU", 0))) if gpu else places
