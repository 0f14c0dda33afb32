"""Steps on a GPU, as pastiche, a tutorial and impasto take them: a process each, in turns, both sizes in each.

A worker for gpu.py: python benchmarks/gpu_steps.py NAME DEVICE STEPS HEIGHT WIDTH CONTENT STYLE [HEIGHT …]. All
minimise pastiche's default objective by L-BFGS with one evaluation a step, from the photo.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import contestants
import harness
import pictures
import record
import tutorial

SIZES, TINY = ((384, 512), (768, 1024)), ((32, 48), (48, 64))
ROUNDS = 5
OTHERS = {
    "pastiche": "pastiche, as it comes",
    "pastiche_float32": "pastiche, TF32 off",
    "tutorial": "PyTorch tutorial, as it comes",
}
"""As they come, cuDNN may round their numbers to TF32: torch's default."""
OURS = {
    "float32": "impasto, float32",
    "float32_nchw": "impasto, float32, channels first",
    "float32_launched": "impasto, float32, no graph",
    "tf32": "impasto, tf32",
    "bfloat16": "impasto, bfloat16",
}
COMPILED = {"bfloat16": OURS["bfloat16"], "bfloat16_compiled": "impasto, bfloat16, compiled"}


def measure(device: str, until: float, *, compiled: bool, quick: bool) -> dict[str, Any]:
    """Seconds a step of each contestant, as long as there is time; those that fail are told with their error."""
    names = COMPILED if compiled else OTHERS | OURS
    if device == "cpu":
        names = {name: told for name, told in names.items() if name != "tf32" and not name.endswith("compiled")}
    if quick:
        names = {name: told for name, told in names.items() if name in ("pastiche", "tutorial", "float32")}
    if quick and compiled:
        from gpu import row

        return {"rows": [row("step", "compiled", "not rehearsed", "", holds=None)]}
    sizes, steps, rounds = (TINY, 1, 1) if quick else (SIZES, 10, ROUNDS)
    samples: dict[str, list[harness.Sample]] = {}
    errors: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        given = [str(x) for size in sizes for x in (*size, *pictures.prepared(Path(folder), size))]
        workers: dict[str, harness.Worker] = {}
        for name in names:
            command = [str(record.HERE / "gpu_steps.py"), name, device, str(steps), *given]
            try:
                workers[name] = stack.enter_context(harness.Worker(command, {}))
            except SystemExit as error:
                errors[name] = str(error)
        for number in range(len(sizes) * (rounds + 1)):
            if time.perf_counter() > until and number >= 2 * len(sizes):
                break
            for name, worker in list(workers.items()):
                try:
                    found = worker.work()
                except SystemExit as error:
                    errors[name] = str(error)
                    del workers[name]
                    continue
                if number >= len(sizes):  # the first round of each size warms up
                    samples.setdefault(f"{name} {number % len(sizes)}", []).append(found)
    rows = []
    for place, size in enumerate(sizes):
        first = next((s for name in names if (s := samples.get(f"{name} {place}"))), [])
        for name, told in names.items():
            rows.append(_row(told, size, samples.get(f"{name} {place}", []), first, steps, errors.get(name)))
    return {"rows": rows, "samples": {name: [s.seconds / steps for s in taken] for name, taken in samples.items()}}


def _row(
    told: str,
    size: tuple[int, int],
    taken: list[harness.Sample],
    first: list[harness.Sample],
    steps: int,
    error: str | None,
) -> dict[str, str]:
    from gpu import row

    what = f"{told}, {size[1]}×{size[0]}"
    if error is not None or not taken:
        return row("step", what, f"FAILED: {error or 'no time was left'}", "", holds=False)
    seconds = harness.spread([1000 * sample.seconds / steps for sample in taken])
    many = min(len(first), len(taken))
    faster = harness.ratios([s.seconds for s in first[:many]], [s.seconds for s in taken[:many]])
    return row("step", what, f"{seconds} ms, {faster.median:.3g} times as fast as the first", "", holds=None)


def prepared(name: str, device: str, steps: int, given: list[str]) -> Callable[[], object]:
    """So many steps at each size in turn, the device being waited for at the end of them."""
    import torch

    from impasto.storage.devices import finish

    groups = [given[at : at + 4] for at in range(0, len(given), 4)]
    taking = cycle([taker(name, device, (int(h), int(w)), *files) for h, w, *files in groups])

    def work() -> None:
        step = next(taking)
        for _ in range(steps):
            step()
        finish(torch.device(device))

    return work


def taker(name: str, device: str, size: tuple[int, int], content: str, style: str) -> Callable[[], object]:
    """What takes one step."""
    import torch

    if name.startswith("pastiche"):
        from pastiche.pastiche import PasticheArtist

        torch.backends.cudnn.allow_tf32 = name == "pastiche"
        return PasticheArtist(content, [style], size=list(size), style_size=list(size), device=device).draw
    if name == "tutorial":
        return tutorial.Loop(tutorial.with_torch(), content, style, device=device).step
    from impasto.jobs.stylization import Stylization
    from impasto.objective import captured
    from impasto.run.events import Stepped
    from impasto.settings.settings import Settings

    precision, _, how = name.partition("_")
    run = {"engine": "torch", "scales": 1, "epochs": 10000, "steps_per_epoch": 100, "tile": 0, "history": 20}
    knobs = run | contestants.knobs(size) | {"device": device, "precision": precision, "compile": how == "compiled"}
    painting = Stylization(content, [style], Settings(**knobs))
    if how == "nchw":
        painting.network.engine.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportAttributeAccessIssue]
    if how == "launched":
        captured.RECORDERS.clear()
    events = painting.events()
    return lambda: next(event for event in events if isinstance(event, Stepped))


if __name__ == "__main__":
    harness.serve(lambda: prepared(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
