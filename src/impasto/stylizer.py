"""The coarse-to-fine loop that paints: a generator of events, driven by whoever wants the picture."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from impasto import optimizers, palette
from impasto.checkpoint import RunState
from impasto.errors import DivergedError, SettingsError
from impasto.events import EpochDone, Event, Finished, Restarted, ScaleDone, Started, Stepped
from impasto.images import fit, resize
from impasto.memory import Plan, free_memory, make_plan, resident_memory, scratch_folder
from impasto.objective import Objective
from impasto.optimizers import Evaluate
from impasto.run import Run
from impasto.scratch import MEMORY, Scratch
from impasto.settings import ObjectiveName, Settings
from impasto.starts import first_canvas
from impasto.storeys import network_pixels
from impasto.targets import Weighting, measure_targets, normalized
from impasto.vgg import Engine, smallest_side

COARSEST = 128
"""Longest side in pixels that automatic scales don't go below."""

PROBE = 128
"""Side in pixels of the picture on which the network's speed is measured."""

MOST_RESTARTS = 3
"""How often a run begins again, each time with shorter steps, after one that led to NaN or ∞."""


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
    sizes = [*(fit(size, n) for n in longest), size]
    return tuple(Scale(s, n) for s, n in zip(sizes, _share(total, count, settings.step_ratio), strict=True))


def _share(total: int, count: int, ratio: float) -> list[int]:
    """Steps of each of `count` scales, at least 1, that add up to `total`, each `ratio` times the one before."""
    weights = [ratio**k for k in range(count)]
    shares = [1 + int((total - count) * w / sum(weights)) for w in weights]
    shares[shares.index(max(shares))] += total - sum(shares)
    return shares


class Stylizer:
    """Paints by descending on the pixels, from a coarse picture to the final size."""

    def __init__(self, settings: Settings, *, network: Engine) -> None:
        self.settings = settings
        self.network = network
        self.device = network.device

    def plan(self, size: tuple[int, int]) -> Plan:
        """How (h, w) pixels will be painted within the memory there is; raises `SettingsError` where they can't be."""
        folder = scratch_folder(self.settings) if self.device.type == "cpu" else None
        room = 0 if folder is None else shutil.disk_usage(folder).free
        if self.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self.device)
            resident = total - free
        else:
            free, resident = free_memory(), resident_memory()
        engine = self.network.name
        return make_plan(self.settings, size, engine=engine, resident=resident, free=free, folder=folder, room=room)

    def prospect(self, size: tuple[int, int]) -> Prospect:
        """The scales, the plan and the time of painting a photo of (h, w) pixels; takes a fraction of a second."""
        target = fit(size, self.settings.size)
        scales, plan = plan_scales(self.settings, target), self.plan(target)
        return Prospect(scales, plan, self.seconds(scales, plan))

    def seconds(self, scales: Iterable[Scale], plan: Plan) -> float:
        """The time that all steps may take, by the network's speed on this machine now."""
        layers = (*self.settings.content_layers, *self.settings.style_layers)
        work = sum(scale.steps * network_pixels(scale.size, layers, plan.tile) for scale in scales)
        return work * self._seconds_per_pixel(layers)

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

    def paint(
        self, content: Tensor, styles: Sequence[Tensor], init: Tensor | None = None, *, resume: RunState | None = None
    ) -> Iterator[Event]:
        """Events of painting `content` (1, 3, h, w) in [0, 1] in the manner of `styles`, images of any sizes.

        `init` is the image that `Settings.init` names, if it names one. `resume` is where a run with the same inputs
        and settings was: this one goes on from there to the same pixels, to the bit. Close the generator to stop.
        Raises `DivergedError` with the last good picture when loss, gradient or canvas stop being finite for good.
        """
        began = time.perf_counter() - (0.0 if resume is None else resume.seconds)
        prospect = self.prospect((content.shape[-2], content.shape[-1]))
        scales, plan = prospect.scales, prospect.plan
        sizes, steps = tuple(s.size for s in scales), tuple(s.steps for s in scales)
        scratch = Scratch(plan.folder)
        colours = palette.make(self.settings.color, content, styles)
        content, styles, picture = colours.photo, colours.paintings, partial(colours.picture, scratch=scratch)
        optimizer = optimizers.make(
            self.settings.optimizer,
            learning_rate=self.settings.learning_rate,
            history=plan.history,
            scratch=scratch,
        )
        if resume is None:
            photo = resize(content, scales[0].size, scratch)
            canvas = colours.canvas(first_canvas(self.settings, photo, styles[0], init, scratch)).to(self.device)
            run = Run(canvas, optimizer, picture, scratch, began)
            del photo, canvas
        else:
            run = Run(resume.canvas.to(self.device), optimizer, picture, scratch, began)
            run.go_on(resume.to(self.device), [(scale.size, scale.steps) for scale in scales])
        yield Started(
            sizes, steps, str(self.device), plan.tile, plan.history, plan.peak, prospect.seconds, plan.disk, plan.folder
        )

        if run.step and run.step % self.settings.steps_per_epoch == 0:  # the state was saved before this was told
            yield EpochDone(run.step // self.settings.steps_per_epoch, picture(run.canvas))
        for number, scale in enumerate(scales[max(0, run.scale - 1) :], start=max(1, run.scale)):
            share = math.prod(scale.size) / math.prod(plan.size)
            objective = self._objective(content, styles, scale.size, plan.tile, scratch, share_of_pixels=share)
            if number > run.scale:
                run.enter(number, scale.size)
            evaluate = run.best.guarded(colours.seen(objective.evaluate))
            yield from self.descend(run, evaluate, scale.size, sum(steps[:number]))
            yield ScaleDone(number, picture(run.canvas))
        best = run.best
        yield Finished(picture(best.canvas), best.loss, best.parts, run.step, time.perf_counter() - began)

    def descend(self, run: Run, evaluate: Evaluate, size: tuple[int, int], last: int) -> Iterator[Event]:
        """The steps of a scale, up to the run's step `last`; then the best canvas is the run's."""
        while run.step < last:
            try:
                now = run.advance(evaluate)
            except DivergedError:
                if run.restarts == MOST_RESTARTS:
                    raise
                run.start_again()
                yield Restarted(run.step + 1, run.restarts, MOST_RESTARTS)
                continue
            epoch = math.ceil(run.step / self.settings.steps_per_epoch)
            seconds = time.perf_counter() - run.began
            shot, state = partial(run.picture, run.canvas), partial(run.state, seconds)
            yield Stepped(run.step, epoch, run.scale, size, now.loss, now.parts, seconds, shot, state)
            del now, shot  # a gradient and a canvas: whole ones needn't be kept through the next step
            if run.step == epoch * self.settings.steps_per_epoch:
                yield EpochDone(epoch, run.picture(run.canvas))
        with suppress(DivergedError):  # then the last step wasn't the best
            evaluate(run.canvas)
        run.canvas = run.best.canvas

    def _objective(
        self,
        content: Tensor,
        styles: Sequence[Tensor],
        size: tuple[int, int],
        tile: int | None,
        scratch: Scratch = MEMORY,
        *,
        share_of_pixels: float,
    ) -> Objective:
        s = self.settings
        photo = resize(content, size, scratch).to(self.device)
        # A painting is brought to the canvas's longest side, so that strokes keep their size relative to the picture.
        paintings = (resize(p, fit((p.shape[-2], p.shape[-1]), max(size)), scratch).to(self.device) for p in styles)
        weighting = Weighting(
            alpha=s.content_weight,
            beta=s.style_weight,
            content=layer_shares(s.content_layers, s.content_layer_weights),
            style=layer_shares(s.style_layers, s.layer_weights),
            tv=s.tv_weight,
        )
        shares = s.style_weights or [1.0] * len(styles)
        targets = measure_targets(self.network, weighting, photo, paintings, shares, tile=tile, scratch=scratch)
        match s.objective:
            case ObjectiveName.NORMALIZED:
                weighting = normalized(weighting, targets, scratch)
            case ObjectiveName.GATYS:
                # The paper's content loss sums over positions and its style loss averages: at a coarser scale α
                # grows as the positions get fewer, so that every scale seeks the final size's balance.
                weighting = replace(
                    weighting, alpha=weighting.alpha / share_of_pixels, tv=weighting.tv / share_of_pixels
                )
        return Objective(self.network, weighting, targets, tile=tile, scratch=scratch)


def layer_shares(layers: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """The weight of each layer: the ones given, or equal ones that sum to 1 (w_l = 1/5 for the paper's five)."""
    return dict(zip(layers, weights or [1 / len(layers)] * len(layers), strict=True)) if layers else {}
