"""Small networks, smooth pictures, and short ways to an objective and a run, for all tests."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from impasto.images.size import fit, size_of
from impasto.jobs.executors.executor import Begun, Done, Item, News, Told, found
from impasto.network.engine import Engine
from impasto.network.weight_files import CLASSIFIER, CONVOLUTIONS
from impasto.network.weights import Convention, Weights
from impasto.objective.inputs import Inputs
from impasto.objective.objective import Objective, make_objective
from impasto.objective.stylization import MeasuredTargets, StylizationProblem
from impasto.objective.targets import Comparison, measure_targets
from impasto.objective.weights import LossWeights
from impasto.run.events import Event
from impasto.run.memory_plan import MemoryPlan
from impasto.run.plan import Pace, RunPlan, Shapes, plan_run
from impasto.run.scales import Scale
from impasto.run.state import RunState
from impasto.run.stylizer import Stylizer
from impasto.settings.schedule import ScheduledChange
from impasto.settings.settings import Settings
from impasto.storage.scratch import Scratch

TINY_CHANNELS = {"1": 4, "2": 6, "3": 5, "4": 7, "5": 3}


def tiny_weights(seed: int = 0, *, classifier: bool = False, dtype: torch.dtype = torch.float64) -> Weights:
    """VGG19's geometry with a handful of channels: what holds for it holds for the real one, in milliseconds."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        fan_in = int(np.prod(shape[1:]))
        return torch.randn(shape, generator=generator, dtype=dtype) * (2 / fan_in) ** 0.5

    tensors: dict[str, torch.Tensor] = {}
    before = 3
    for name in CONVOLUTIONS:
        after = TINY_CHANNELS[name[4]]
        tensors[f"{name}.weight"] = random(after, before, 3, 3)
        tensors[f"{name}.bias"] = random(after, 9).sum(1) * 0.1
        before = after
    if classifier:
        sizes = {"fc6": (before * 49, 16), "fc7": (16, 16), "fc8": (16, 10)}
        assert sizes.keys() == CLASSIFIER.keys()
        for name, (inputs, outputs) in sizes.items():
            tensors[f"{name}.weight"] = random(outputs, inputs)
            tensors[f"{name}.bias"] = random(outputs, 4).sum(1) * 0.1
    convention = Convention(mean=(0.48, 0.45, 0.41), std=(0.23, 0.22, 0.22))
    return Weights(tensors, convention, "tiny", "0" * 64)


def smooth_image(height: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A smooth random picture (1, 3, h, w) in [0, 1]: something between noise and a photo."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, 5, 5), generator=generator, dtype=dtype)
    fine = torch.rand((1, 3, height, width), generator=generator, dtype=dtype)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    return (0.8 * smooth + 0.2 * fine).clamp(0, 1)


def objective_of(
    engine: Engine,
    weights: LossWeights,
    content: torch.Tensor,
    styles: Iterable[torch.Tensor],
    shares: Sequence[float] = (),
    *,
    normalized: bool = False,
    tile: int | None = None,
    spare: int = 0,
    **compared: Any,
) -> Objective:
    """The objective of canvases like `content`, with targets measured of it and of the styles."""
    comparison = Comparison(tuple(weights.style), tuple(weights.content), **compared)
    targets = measure_targets(engine, comparison, content, styles, shares, tile=tile)
    return make_objective(engine, targets, weights, size_of(content), normalized=normalized, tile=tile, spare=spare)


class PlannedRun:
    """A run of a stylization, planned as a job plans it, on an engine of the tests' own."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        content: torch.Tensor,
        styles: Sequence[torch.Tensor],
        *,
        init: torch.Tensor | None = None,
        masks: Sequence[torch.Tensor] = (),
        style_masks: Sequence[torch.Tensor | None] = (),
        strength_map: torch.Tensor | None = None,
        schedule: Sequence[ScheduledChange] = (),
        measured: MeasuredTargets | None = None,
    ) -> None:
        shapes = Shapes(fit(size_of(content), settings.size), len(styles))
        self.plan = plan_run(settings, shapes, engine, speed=1e-6)
        memory = self.plan.memory
        self.problem = StylizationProblem(
            Inputs(content, tuple(styles), masks, style_masks, init, strength_map),
            settings,
            engine,
            self.plan.size,
            tile=memory.tile,
            spare=memory.spare,
            scratch=Scratch(memory.folder),
            measured=measured,
        )
        self.stylizer = Stylizer(settings, schedule)

    def events(self, resume: RunState | None = None) -> Iterator[Event]:
        return self.stylizer.run(self.problem, self.plan, resume)

    def change(self, **knobs: Any) -> None:
        self.stylizer.change(**knobs)


def plan_of(*scales: tuple[tuple[int, int], int]) -> RunPlan:
    """A plan of these scales, ((h, w), steps) each, that nothing has to fit into."""
    nothing = (0.0,) * len(scales)
    return RunPlan(tuple(Scale(*scale) for scale in scales), MemoryPlan(None, 0, 0, 0), Pace(nothing, nothing, float))


def written_tests() -> list[str]:
    """The names of all tests there are."""
    files = Path(__file__).parent.glob("*/test_*.py")
    return [name for file in files for name in re.findall(r"^def (test_\w+)\(", file.read_text("utf-8"), re.MULTILINE)]


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file can grow beyond that many bytes: to the process that is a disk which fills up while it writes."""
    resource = pytest.importorskip("resource", reason="this system has no limit on the size of files")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


class ExecutorHere:
    """An executor in this process, one item after another; tasks are asked to end after so many notes of theirs."""

    def __init__(self, most: float = float("inf")) -> None:
        self.most = most

    def map(self, task: str, items: Iterable[Item]) -> Iterator[News | None]:
        """See `Executor`."""
        for number, item in enumerate(items):
            told: list[Item] = []
            yield Begun(number)
            result = found(task)(item, told.append, lambda told=told: len(told) >= self.most)
            yield from (Told(number, what) for what in told)
            yield Done(number, result)

    def end(self) -> None:
        """Ask the tasks to end at once."""
        self.most = 0
