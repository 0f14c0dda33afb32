"""The coarse-to-fine loop that paints: a generator of events, driven by whoever wants the picture."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from impasto import optimizers
from impasto.errors import DivergedError, SettingsError
from impasto.events import EpochDone, Event, Finished, ScaleDone, Started, Stepped
from impasto.images import fit, resize
from impasto.memory import Plan, free_memory, make_plan, resident_memory
from impasto.objective import Objective, Weighting, measure_targets, normalized
from impasto.optimizers import Evaluate, Evaluation
from impasto.settings import ObjectiveName, Settings
from impasto.tiles import network_pixels
from impasto.vgg import Engine, smallest_side

COARSEST = 128
"""Longest side in pixels that automatic scales don't go below."""

FEWER_STEPS = 0.6
"""Steps at a scale relative to the next coarser one: a finer scale costs four times as much and has less left to do."""


PROBE = 128
"""Side in pixels of the picture on which the network's speed is measured."""

NOISE = 0.2
"""Standard deviation of the white noise that `init='noise'` starts from."""


@dataclass(frozen=True)
class Scale:
    """One size of the coarse-to-fine run: (height, width) in pixels, and its optimisation steps."""

    size: tuple[int, int]
    steps: int


@dataclass(frozen=True)
class Prospect:
    """What a run will be: its scales, how the last is fitted into memory, and the seconds it may take."""

    scales: tuple[Scale, ...]
    plan: Plan
    seconds: float


def plan_scales(settings: Settings, size: tuple[int, int]) -> tuple[Scale, ...]:
    """The sizes from coarse to fine, each twice the last, for a final (h, w) in pixels; steps add up to the run's.

    Raises `SettingsError` where the picture is too small for its deepest layer or there are fewer steps than scales.
    """
    smallest = smallest_side((*settings.content_layers, *settings.style_layers))
    if min(size) < smallest:
        raise SettingsError(
            f"--size is {settings.size}, which makes the picture {size[1]}×{size[0]} px, but the layers need at "
            f"least {smallest} px on each side: use a bigger size or shallower layers."
        )
    total = settings.epochs * settings.steps_per_epoch
    if settings.scales == "auto":
        count = 1 + max(0, int(math.log2(max(size) / COARSEST)))
        while count > 1 and (min(size) >> (count - 1) < smallest or count > total):
            count -= 1
    else:
        count = settings.scales
        if min(size) >> (count - 1) < smallest:
            raise SettingsError(
                f"--scales is {count}, which makes the coarsest picture {size[1] >> (count - 1)}×"
                f"{size[0] >> (count - 1)} px, but the layers need at least {smallest} px on each side: "
                "use fewer scales."
            )
        if count > total:
            raise SettingsError(f"--scales is {count} but the run has {total} steps: use more steps or fewer scales.")
    longest = [max(1, round(max(size) / 2**k)) for k in range(count - 1, 0, -1)]
    return tuple(
        Scale(s, n) for s, n in zip([*(fit(size, n) for n in longest), size], _share(total, count), strict=True)
    )


def _share(total: int, count: int) -> list[int]:
    weights = [FEWER_STEPS**k for k in range(count)]
    steps = [max(1, int(total * w / sum(weights))) for w in weights]
    steps[0] += total - sum(steps)
    return steps


def first_canvas(settings: Settings, photo: Tensor, painting: Tensor, image: Tensor | None = None) -> Tensor:
    """The canvas that a run starts from, like `photo` (1, 3, h, w), in [0, 1], by `Settings.init`.

    'content' is the photo; 'noise' is white noise around mid grey; 'style' is noise with the mean and covariance of
    the painting's colours; a file's name means `image`, resized.
    """
    if settings.init_is_image:
        assert image is not None, "the caller loads the image that Settings.init names"
        return resize(image, (photo.shape[-2], photo.shape[-1])).to(photo)
    if settings.init == "content":
        return photo.clone()
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(settings.seed)).to(photo)
    if settings.init == "noise":
        return (0.5 + NOISE * noise).clamp(0, 1)
    colours = painting.flatten(2)[0]
    covariance = torch.cov(colours) + 1e-6 * torch.eye(3).to(colours)
    mixed = torch.einsum("ij,njhw->nihw", torch.linalg.cholesky(covariance), noise)
    return (colours.mean(dim=1).view(1, 3, 1, 1) + mixed).clamp(0, 1)


class Stylizer:
    """Paints by descending on the pixels, from a coarse picture to the final size."""

    def __init__(self, settings: Settings, *, network: Engine) -> None:
        self.settings = settings
        self.network = network
        self.device = network.device

    def plan(self, size: tuple[int, int]) -> Plan:
        """How (h, w) pixels will be painted within the memory there is; raises `SettingsError` where they can't be."""
        if self.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self.device)
            resident = total - free
        else:
            free, resident = free_memory(), resident_memory()
        return make_plan(self.settings, size, engine=self.network.name, resident=resident, free=free)

    def prospect(self, size: tuple[int, int]) -> Prospect:
        """The scales, the plan and the time of painting a photo of (h, w) pixels; takes a fraction of a second."""
        target = fit(size, self.settings.size)
        scales, plan = plan_scales(self.settings, target), self.plan(target)
        layers = (*self.settings.content_layers, *self.settings.style_layers)
        work = sum(scale.steps * network_pixels(scale.size, layers, plan.tile) for scale in scales)
        return Prospect(scales, plan, work * self._seconds_per_pixel(layers))

    def _seconds_per_pixel(self, layers: Sequence[str]) -> float:
        """Seconds that a pixel takes through the network and back, measured on a small picture."""
        pixels = torch.rand((1, 3, PROBE, PROBE), generator=torch.Generator().manual_seed(0))
        pixels = pixels.to(self.device).requires_grad_()
        taken = math.inf
        for _ in range(2):  # the first pass prepares the network
            began = time.perf_counter()
            sum(f.sum() for f in self.network.features(pixels, layers).values()).backward()  # pyright: ignore[reportAttributeAccessIssue]
            taken = min(taken, time.perf_counter() - began)
        return taken / PROBE**2

    def paint(self, content: Tensor, styles: Sequence[Tensor], init: Tensor | None = None) -> Iterator[Event]:
        """Events of painting `content` (1, 3, h, w) in [0, 1] in the manner of `styles`, images of any sizes.

        `init` is the image that `Settings.init` names, if it names one. Close the generator to stop. Raises
        `DivergedError` with the last good picture when the loss or its gradient stops being finite.
        """
        began = time.perf_counter()
        prospect = self.prospect((content.shape[-2], content.shape[-1]))
        scales, plan = prospect.scales, prospect.plan
        size = plan.size
        sizes, steps = tuple(s.size for s in scales), tuple(s.steps for s in scales)
        yield Started(sizes, steps, str(self.device), plan.tile, plan.history, plan.peak, prospect.seconds)

        canvas = first_canvas(self.settings, resize(content, scales[0].size), styles[0], init).to(self.device)
        optimizer = optimizers.make(
            self.settings.optimizer, learning_rate=self.settings.learning_rate, history=plan.history
        )
        best = Best(canvas)
        step = 0
        for number, scale in enumerate(scales, start=1):
            objective = self._objective(
                content, styles, scale.size, plan.tile, share_of_pixels=math.prod(scale.size) / math.prod(size)
            )
            canvas = resize(canvas, scale.size)
            optimizer = optimizer.resized(scale.size)
            best = Best(canvas)
            evaluate = best.guarded(objective.evaluate)
            for _ in range(scale.steps):
                canvas, now = optimizer.step(canvas, evaluate)
                step += 1
                epoch = math.ceil(step / self.settings.steps_per_epoch)
                seconds = time.perf_counter() - began
                yield Stepped(step, epoch, number, scale.size, now.loss, now.parts, seconds, partial(picture, canvas))
                if step == epoch * self.settings.steps_per_epoch:
                    yield EpochDone(epoch, picture(canvas))
            evaluate(canvas)
            canvas, _ = best.found()
            yield ScaleDone(number, picture(canvas))
        canvas, result = best.found()
        yield Finished(picture(canvas), result.loss, result.parts, step, time.perf_counter() - began)

    def _objective(
        self,
        content: Tensor,
        styles: Sequence[Tensor],
        size: tuple[int, int],
        tile: int | None,
        *,
        share_of_pixels: float,
    ) -> Objective:
        s = self.settings
        photo = resize(content, size).to(self.device)
        # A painting is brought to the canvas's longest side, so that strokes keep their size relative to the picture.
        paintings = [resize(p, fit((p.shape[-2], p.shape[-1]), max(size))).to(self.device) for p in styles]
        weighting = Weighting(
            alpha=s.content_weight,
            beta=s.style_weight,
            content=layer_shares(s.content_layers, s.content_layer_weights),
            style=layer_shares(s.style_layers, s.layer_weights),
            tv=s.tv_weight,
        )
        targets = measure_targets(self.network, weighting, photo, paintings, s.style_weights, tile=tile)
        match s.objective:
            case ObjectiveName.NORMALIZED:
                weighting = normalized(weighting, targets)
            case ObjectiveName.GATYS:
                # The paper's content loss sums over positions and its style loss averages: at a coarser scale α
                # grows as the positions get fewer, so that every scale seeks the final size's balance.
                weighting = replace(
                    weighting, alpha=weighting.alpha / share_of_pixels, tv=weighting.tv / share_of_pixels
                )
        return Objective(self.network, weighting, targets, tile=tile)


class Best:
    """The canvas of least loss seen so far at one scale; refuses evaluations that aren't finite."""

    def __init__(self, canvas: Tensor) -> None:
        self.canvas = canvas
        self.evaluation: Evaluation | None = None

    def guarded(self, evaluate: Evaluate) -> Evaluate:
        """The same objective, which notes each canvas and raises `DivergedError` with the best one on NaN or ∞."""

        def evaluate_and_note(canvas: Tensor) -> Evaluation:
            now = evaluate(canvas)
            if not math.isfinite(now.loss) or not now.gradient.isfinite().all():
                raise DivergedError(
                    f"The loss became {now.loss} and the run stopped: the last good picture was kept; "
                    "use smaller weights or another --optimizer.",
                    picture(self.canvas),
                )
            if self.evaluation is None or now.loss <= self.evaluation.loss:
                self.canvas, self.evaluation = canvas, now
            return now

        return evaluate_and_note

    def found(self) -> tuple[Tensor, Evaluation]:
        """The best canvas and the objective there."""
        assert self.evaluation is not None, "nothing was evaluated yet"
        return self.canvas, self.evaluation


def layer_shares(layers: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """The weight of each layer: the ones given, or equal ones that sum to 1 (w_l = 1/5 for the paper's five)."""
    return dict(zip(layers, weights or [1 / len(layers)] * len(layers), strict=True)) if layers else {}


def picture(canvas: Tensor) -> Tensor:
    """A copy of the canvas that an event may own: on the CPU, detached, clamped to [0, 1]."""
    return canvas.detach().clamp(0, 1).cpu()


def check_paintings(
    settings: Settings, scales: Sequence[Scale], paintings: Sequence[tuple[str, tuple[int, int]]]
) -> None:
    """Refuse paintings, a name and (h, w) each, that the coarsest scale would make too small for their deepest layer.

    Raises `SettingsError`.
    """
    if not settings.style_layers:
        return
    smallest, longest = smallest_side(settings.style_layers), max(scales[0].size)
    for name, size in paintings:
        height, width = fit(size, longest)
        if min(height, width) < smallest:
            raise SettingsError(
                f"The style {name!r} is {size[1]}×{size[0]} px, which makes it {width}×{height} px at the coarsest "
                f"scale, but the layers need at least {smallest} px on each side: crop it, or use fewer --scales, a "
                "bigger --size or shallower --style-layers."
            )
