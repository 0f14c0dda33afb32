"""The parts of gpu.py, each in a process of its own: python benchmarks/gpu_parts.py NAME DEVICE [--quick].

Its last line is JSON: the rows of the table, and what they were made of.
"""

import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pictures
import torch
from gpu import row
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.jobs.stylization import Stylization
from impasto.network import weights
from impasto.objective import captured
from impasto.objective.evaluation import Evaluation
from impasto.objective.stylization import StylizationProblem
from impasto.run.events import Finished, Stepped
from impasto.run.plan import available
from impasto.settings.choices import StyleLossName
from impasto.settings.settings import Settings
from impasto.storage import devices

LOSSES, GRADIENTS = 1e-4, 1e-3
"""By how much a GPU's float32 may differ from the CPU's, as shares of the largest."""

KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "gatys": {"objective": "gatys"},
    "adam": {"optimizer": "adam"},
    "keep": {"color": "keep"},
}


def kinds(*, quick: bool) -> dict[str, dict[str, Any]]:
    """The settings that are tried."""
    return {name: KINDS[name] for name in ("default", "adam")} if quick else KINDS


def rehearse(device: str) -> None:
    """Where the CPU stands in for a GPU, it is treated as one."""
    if device == "cpu":
        devices.QUEUED.add("cpu")
        captured.RECORDERS["cpu"] = captured.record_nothing


def job(device: str, folder: str, size: tuple[int, int], **knobs: Any) -> Stylization:
    """A job on a device."""
    content, style = map(str, pictures.prepared(Path(folder), size))
    chosen = {"size": max(size), "scales": 1, "epochs": 1, "device": device, "engine": "torch"} | knobs
    return Stylization(content, [style], Settings(**chosen))


def evaluated(painting: Stylization) -> tuple[Evaluation, bool]:
    """The objective of a job at a canvas that is neither photo nor painting, and whether it was captured."""
    engine, memory = painting.network.engine, painting.plan.memory
    problem = StylizationProblem(
        painting.inputs.tensors(), painting.settings, engine, painting.plan.size, tile=memory.tile, spare=memory.spare
    )
    current = problem.at(painting.plan.size)
    start = problem.first_canvas(painting.plan.size)
    noise = torch.rand(start.shape, generator=torch.Generator().manual_seed(0)).to(start)
    evaluation = current.evaluation()
    now = current.transform.wrap(evaluation)(0.8 * start + 0.2 * noise)
    return now, bool(getattr(evaluation, "captured", False))


def agreement(device: str, folder: str, *, quick: bool) -> dict[str, Any]:
    """Losses and gradients beside the CPU's float32."""
    size = (48, 64) if quick else (256, 320)
    tried = {name: KINDS[name] | {"tile": 0} for name in ("default", "gatys")}
    usual = {name: evaluated(job("cpu", folder, size, **knobs))[0] for name, knobs in tried.items()}
    rehearse(device)
    rows, found = [], {}
    for precision in ("float32", "bfloat16", *(["tf32"] if device.startswith("cuda") else [])):
        for name, knobs in tried.items():
            now, before = evaluated(job(device, folder, size, precision=precision, **knobs))[0], usual[name]
            parts = max(abs(now.parts[n] - p) / abs(p) for n, p in before.parts.items() if p)
            gradient = now.gradient.cpu()
            apart = ((gradient - before.gradient).abs().max() / before.gradient.abs().max()).item()
            found[f"{precision} {name}"] = {"losses": parts, "gradient": apart}
            exact = precision == "float32"
            told = f"losses {parts:.1g}, gradient {apart:.1g} apart"
            holds = (parts <= LOSSES and apart <= GRADIENTS) if exact else None
            asked = f"≤ {LOSSES:g}, ≤ {GRADIENTS:g}" if exact else ""
            rows.append(row("agreement", f"{precision}, {name}", told, asked, holds=holds))
    return {"rows": rows, "apart": found}


def resume(device: str, folder: str, *, quick: bool) -> dict[str, Any]:
    """Whether runs repeat, and go on from their state, to the bit."""
    rehearse(device)
    size, rows = (48, 64) if quick else (192, 256), []
    for name, knobs in kinds(quick=quick).items():
        ends, state = [], None
        for number in range(3):
            painting = job(device, folder, size, scales=1 if quick else 2, steps_per_epoch=16 if quick else 24, **knobs)
            for event in painting.events(state if number == 2 else None):
                if isinstance(event, Stepped) and event.step == 13 and event.state is not None:
                    state = event.state().to(torch.device("cpu"))
                if isinstance(event, Finished):
                    ends.append(event.picture)
        again, resumed = torch.equal(ends[0], ends[1]), torch.equal(ends[0], ends[2])
        told = f"again {'the same' if again else 'ANOTHER'}, resumed {'the same' if resumed else 'ANOTHER'}"
        rows.append(row("resume", name, told, "to the bit", holds=again and resumed))
    return {"rows": rows}


class Looked(TorchDispatchMode):
    """Counts the numbers that the host looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "is_nonzero", "nonzero", "_linalg_eigh", "_linalg_svd"):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def waits(device: str, folder: str, *, quick: bool) -> dict[str, Any]:
    """How often the host waits in a step, as torch counts it on CUDA and as operators tell."""
    rehearse(device)
    rows, cuda = [], device.startswith("cuda")
    for name, knobs in kinds(quick=quick).items():
        painting = job(device, folder, (48, 64) if quick else (192, 256), steps_per_epoch=40, **knobs)
        stepped = (event for event in painting.events() if isinstance(event, Stepped))
        for _ in range(11):
            next(stepped)  # the next nine are between two looks at whether all is finite
        with warnings.catch_warnings(record=True) as told, Looked() as looked:
            warnings.simplefilter("always")
            if cuda:
                torch.cuda.set_sync_debug_mode("warn")
            for _ in range(9):
                next(stepped)
            if cuda:
                torch.cuda.set_sync_debug_mode("default")
        synced = sum("synchronizing" in str(warning.message) for warning in told)
        each = (synced + sum(looked.found.values())) / 9
        rows.append(row("waits", name, f"{each:.3g} a step {dict(looked.found) or ''}", "0", holds=each == 0))
    return {"rows": rows}


def capturing(device: str, folder: str, *, quick: bool) -> dict[str, Any]:
    """Which losses' evaluations can be captured as a graph."""
    rehearse(device)
    rows = []
    for loss in (StyleLossName.W2, StyleLossName.GRAM) if quick else StyleLossName:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            _, is_captured = evaluated(job(device, folder, (64, 80) if quick else (256, 320), style_loss=loss, tile=0))
        why = [str(w.message).splitlines()[0] for w in told if issubclass(w.category, captured.NotCaptured)]
        found = "captured" if is_captured else f"launched kernel by kernel {why}"
        rows.append(row("graph", loss.value, found[:300], "", holds=is_captured or None))
    return {"rows": rows}


def memory(device: str, folder: str, *, quick: bool, **knobs: Any) -> dict[str, Any]:
    """The memory that steps take beside what was planned, and their time."""
    rehearse(device)
    size, cuda = (96, 128) if quick else (3072, 4096), device.startswith("cuda")
    painting = job(device, folder, size, steps_per_epoch=4, **knobs)
    plan, stamps = painting.plan.memory, []
    for event in painting.events():
        if isinstance(event, Stepped):
            devices.finish(painting.network.engine.device)
            stamps.append(time.perf_counter())
    taken = min(b - a for a, b in pairwise(stamps))
    peak = torch.cuda.max_memory_allocated() if cuda else 0
    held = torch.cuda.max_memory_reserved() if cuda else 0
    free, total = torch.cuda.mem_get_info() if cuda else (0, 0)
    resident = total - free - torch.cuda.memory_reserved() if cuda else 0
    told = f"{taken:.3g} s a step; {peak / 1e6:,.0f} MB, {(held + resident) / 1e6:,.0f} MB with all that is reserved"
    where = f"tile {plan.tile}" + (f", {plan.host / 1e6:,.0f} MB of canvases with the host" if plan.host else "")
    asked, fits = f"≤ {plan.peak / 1e6:,.0f} MB planned", held + resident <= plan.peak
    found = row("memory", f"{size[1]}×{size[0]}, {where}", told, asked, holds=fits if cuda else None)
    return {"rows": [found], "peak": peak, "reserved": held, "planned": plan.peak, "host": plan.host, "step": taken}


def streamed(device: str, folder: str, *, quick: bool) -> dict[str, Any]:
    """The same where the device may take so little that canvases stay with the host."""
    if device == "cpu":  # whose plan knows no host beside it
        return {"rows": [row("memory", "canvases with the host", "not rehearsed", "", holds=None)]}
    resident = available(Settings(device=device), job(device, folder, (48, 64)).network.engine).resident
    return memory(device, folder, quick=quick, max_memory=f"{(resident + 3_000_000_000) // 10**6}MB")


def about(device: str, folder: str, *, quick: bool) -> dict[str, Any]:
    """The device."""
    found: dict[str, Any] = {"device": device, "torch": torch.__version__, "weights": weights.load().sha256}
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        found |= {"name": properties.name, "memory": properties.total_memory, "cuda": torch.version.cuda}
        found |= {"capability": list(torch.cuda.get_device_capability(device)), "cudnn": torch.backends.cudnn.version()}
    return found


DO = {
    "agreement": agreement,
    "resume": resume,
    "waits": waits,
    "captured": capturing,
    "memory": memory,
    "streamed": streamed,
    "about": about,
}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        print(json.dumps(DO[sys.argv[1]](sys.argv[2], made, quick="--quick" in sys.argv)))
