"""How much memory do prints take? A step on a square of 4096 px, and a canvas of 20,000×20,000 px part by part.

Every row is the most that was resident in its part, the pictures and the network included. The step is a whole run of
one step in a process of its own. The print is real: canvases of its full size in files, enlarged, moved by the
optimiser and written as BigTIFF; only the network is shown no more than a few rows of tiles, over the full width, and
the time of all is reckoned from them.

python benchmarks/print_size.py [--side 20000 --max-memory 6GB --rows 3] [--step-side 4096 --step-memory 3GB] [--quick]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pictures
import record

from impasto.storage import process

if TYPE_CHECKING:
    from impasto.storage.scratch import Scratch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=20000)
    parser.add_argument("--max-memory", default="6GB")
    parser.add_argument("--rows", type=int, default=3, help="rows of tiles that the network is shown of the print")
    parser.add_argument("--photo", type=int, default=1024, help="side of the photo and of the painting for the print")
    parser.add_argument("--step-side", type=int, default=4096)
    parser.add_argument("--step-memory", default="3GB")
    parser.add_argument("--optimizer", default="adam", help="of the print; the step has the default one")
    parser.add_argument("--parts", nargs="+", choices=("step", "print"), default=["step", "print"])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, for the tests")
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.side, chosen.step_side, chosen.photo = 700, 64, 64
    if chosen.part:
        {"step": one_step, "print": print_by_parts}[chosen.part](chosen)
        return
    rows = [row for part in chosen.parts for row in in_a_process(part)]
    record.report("print_size", {"question": "Most resident memory of prints"}, rows, chosen.results)


def in_a_process(part: str) -> list[dict[str, Any]]:
    """The rows that a part prints."""
    command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--part", part]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def tell(what: str, seconds: float, peak: float, files: float, note: str) -> None:
    """One row, on stdout."""
    row = {"what": what, "seconds": round(seconds, 1), "peak MB": round(peak), "files MB": round(files / 1e6)}
    print(json.dumps(row | {"note": note}), flush=True)


class Part:
    """A part of the work, whose time and greatest resident memory, looked at a hundred times a second, make a row."""

    def __init__(self, what: str, scratch: "Scratch", note: str = "") -> None:
        self.what, self.scratch, self.note = what, scratch, note
        self.most, self._on = 0, True
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def so_far(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.began

    def __enter__(self) -> "Part":
        self.began = time.perf_counter()
        self.scratch.peak = self.scratch.held
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        seconds, self._on = self.so_far, False
        self._thread.join()
        tell(self.what, seconds, self.most / 1e6, self.scratch.peak, self.note)

    def _watch(self) -> None:
        import psutil

        process = psutil.Process()
        while self._on:
            self.most = max(self.most, process.memory_info().rss)
            time.sleep(0.01)


@process.owned()  # as the command line does
def one_step(chosen: argparse.Namespace) -> None:
    """From the start of a process to the first step of a run at one scale, as `impasto paint` does it."""
    import resource

    side = chosen.step_side
    with tempfile.TemporaryDirectory() as folder:
        content, style = map(str, pictures.prepared(Path(folder), (side, side)))
        from impasto.jobs.stylization import Stylization
        from impasto.run.events import Started, Stepped
        from impasto.settings.settings import Settings

        settings = Settings(size=side, scales=1, epochs=1, steps_per_epoch=1, max_memory=chosen.step_memory)
        events = Stylization(content, [style], settings).events()
        plan = next(event for event in events if isinstance(event, Started)).plan.memory
        seconds = next(event for event in events if isinstance(event, Stepped)).seconds
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    note = (
        f"--max-memory {chosen.step_memory}: tiles of {plan.tile} px, history {plan.history}; {plan.peak / 1e6:.0f} MB"
    )
    tell(f"a step at {side}×{side} px", seconds, peak, plan.disk, f"{note} planned")


@process.owned()  # as the command line does
def print_by_parts(chosen: argparse.Namespace) -> None:
    """A print's canvases, and everything that is done to them."""
    from impasto.images import reading, writing
    from impasto.images.size import resize
    from impasto.jobs.surroundings import memory_kept
    from impasto.network import weights
    from impasto.network.engines.choice import make_engine
    from impasto.run.plan import Shapes, plan_run
    from impasto.settings.settings import Settings
    from impasto.storage.scratch import Scratch

    side = chosen.side
    settings = Settings(size=side, max_memory=chosen.max_memory, optimizer=chosen.optimizer)
    with tempfile.TemporaryDirectory() as folder:
        photo, style = (
            reading.load(path).pixels for path in pictures.prepared(Path(folder), (chosen.photo, chosen.photo))
        )
    network = make_engine(settings, weights.load())
    whole_plan = plan_run(settings, Shapes((side, side), 1), network)
    if chosen.quick:
        memory = replace(whole_plan.memory, tile=256, folder=Path(tempfile.gettempdir()))
        whole_plan = replace(whole_plan, memory=memory)
    plan = whole_plan.memory
    assert plan.folder is not None, "so much memory is free that nothing needs to be in files: lower --max-memory"
    scratch = Scratch(plan.folder)
    planned = f"--max-memory {chosen.max_memory}: tiles of {plan.tile} px, {plan.peak / 1e6:.0f} MB planned"
    where = f"{side}×{side} px"
    with Part(f"enlarging a photo to {where}", scratch, planned):
        canvas = resize(photo, (side, side), scratch)
    with memory_kept(whole_plan):
        a_few_rows(canvas, style, network, settings, plan.tile, chosen.rows, scratch)
    with Part(f"the arithmetic of two steps of {settings.optimizer} at {where}", scratch):
        canvas = two_steps(canvas, settings, plan.history, scratch)
    with tempfile.TemporaryDirectory(dir=plan.folder) as folder, Part(f"writing {where} as BigTIFF", scratch):
        writing.save(Path(folder) / "print.tif", canvas, note="a print")


def a_few_rows(
    canvas: Any, style: Any, network: Any, settings: Any, tile: int | None, rows: int, scratch: "Scratch"
) -> None:
    """One evaluation, both passes, of the first rows of tiles of a canvas, and what all of it would take."""
    from impasto.network.tiled_network import evaluation_pixels, split_into_stages
    from impasto.objective.objective import make_objective
    from impasto.objective.targets import Comparison, measure_targets
    from impasto.objective.weights import loss_weights

    layers = (*settings.content_layers, *settings.style_layers)
    whole = (canvas.shape[2], canvas.shape[3])
    bottoms = sorted({part.interior.bottom for part in split_into_stages(whole, layers, tile)[0].tiles})
    strip = canvas[:, :, : bottoms[min(rows, len(bottoms)) - 1]]
    h, w = strip.shape[2:]
    share = evaluation_pixels(whole, layers, tile, 0, network.cost) / evaluation_pixels(
        (h, w), layers, tile, 0, network.cost
    )
    comparison = Comparison(settings.style_layers, settings.content_layers)
    with Part(f"the targets of {w}×{h} px of it", scratch):
        targets = measure_targets(network, comparison, strip, [style], tile=tile, scratch=scratch)
    weights = loss_weights(settings, whole, whole)
    objective = make_objective(network, targets, weights, (h, w), normalized=True, tile=tile, scratch=scratch)
    with Part(f"loss and gradient of {w}×{h} px of it", scratch) as part:
        objective.evaluate(strip)
        part.note = f"all of it: {part.so_far * share / 3600:.2g} h, reckoned by pixels that the network is shown"


def two_steps(canvas: Any, settings: Any, history: int, scratch: "Scratch") -> Any:
    """The canvas after two steps of the optimiser on a bowl around grey, which needs no network."""
    from impasto.objective.evaluation import Evaluation
    from impasto.run.optimizers.choice import make_optimizer

    def bowl(x: Any) -> Evaluation:
        return Evaluation(scratch.sum(lambda part: (part - 0.5).square().sum() / 2, x), {}, scratch.map(grey, x))

    def grey(x: Any) -> Any:
        return x - 0.5

    optimizer = make_optimizer(settings.optimizer, history=history, scratch=scratch)
    for _ in range(2):
        canvas, _ = optimizer.step(canvas, bowl)
    return canvas


if __name__ == "__main__":
    main()
