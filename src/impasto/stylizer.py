"""The coarse-to-fine loop that paints: a generator of events, driven by whoever wants the picture."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto import optimizers
from impasto.checkpoint import RunState
from impasto.errors import DivergedError, SettingsError
from impasto.events import EpochDone, Event, Finished, Restarted, ScaleDone, Started, Stepped
from impasto.images import fit, resize
from impasto.memory import Plan, free_memory, make_plan, resident_memory, scratch_folder
from impasto.objective import Objective
from impasto.optimizers import Evaluate
from impasto.run import Best, Run
from impasto.scene import Scene
from impasto.scratch import MEMORY, Scratch
from impasto.settings import ObjectiveName, Settings, flag
from impasto.sparing import Sparing
from impasto.starts import first_canvas
from impasto.storeys import network_pixels
from impasto.targets import Manner, Targets, Weighting, measure_targets, normalized
from impasto.vgg import Engine, smallest_side

COARSEST = 128
"""Longest side in pixels that automatic scales don't go below."""

PROBE = 128
"""Side in pixels of the picture on which the network's speed is measured."""

MOST_RESTARTS = 3
"""How often a run begins again, each time with shorter steps, after one that led to NaN or ∞."""

STEERABLE = frozenset(
    {"strength", "color", "content_weight", "style_weight", "tv_weight", "layer_weights", "content_layer_weights"}
)
"""Knobs that may change while a run goes on: none of them changes what was measured of the inputs but colour."""

MOST_ENLARGED = 4
"""How much larger than the coarsest canvas a painting may be made so that its layers see something."""

CONTENT_RANGE = 5.0
"""α at strength 0 relative to the default; 1 at 0.5, and its inverse at 1, where little else holds the photo."""


class Measure(Protocol):
    """How a run's targets are measured at one scale: `measure_targets`, or the same with a memory."""

    def __call__(
        self,
        engine: Engine,
        weighting: Weighting,
        content: Tensor,
        styles: Iterable[Tensor],
        shares: Sequence[float] = (),
        *,
        manner: Manner | None = None,
        tile: int | None = None,
        scratch: Scratch = MEMORY,
    ) -> Targets:
        """What the photo and the paintings ask for, see `measure_targets`."""
        ...


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


def check_paintings(
    settings: Settings, scales: Sequence[Scale], paintings: Sequence[tuple[str, tuple[int, int]]]
) -> None:
    """Refuse paintings, a name and (h, w) each, that are so thin that layers need them far larger than the canvas.

    Raises `SettingsError`.
    """
    if not settings.style_layers:
        return
    smallest, longest = smallest_side(settings.style_layers), max(scales[0].size)
    for name, size in paintings:
        if min(fit(size, MOST_ENLARGED * longest)) < smallest:
            raise SettingsError(
                f"The style {name!r} is {size[1]}×{size[0]} px, but the layers need at least {smallest} px on each "
                f"side where its longest is {MOST_ENLARGED * longest} px: crop it, or use fewer --scales, a bigger "
                "--size or shallower --style-layers."
            )


def _share(total: int, count: int, ratio: float) -> list[int]:
    """Steps of each of `count` scales, at least 1, that add up to `total`, each `ratio` times the one before."""
    weights = [ratio**k for k in range(count)]
    shares = [1 + int((total - count) * w / sum(weights)) for w in weights]
    shares[shares.index(max(shares))] += total - sum(shares)
    return shares


class Stylizer:
    """Paints by descending on the pixels, from a coarse picture to the final size."""

    def __init__(self, settings: Settings, *, network: Engine, measure: Measure = measure_targets) -> None:
        self.settings = settings
        self.network = network
        self.measure: Measure = measure
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
        layers, engine = (*self.settings.content_layers, *self.settings.style_layers), self.network.name
        work = sum(scale.steps * network_pixels(scale.size, layers, plan.tile, plan.spare, engine) for scale in scales)
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

    def steer(self, **knobs: Any) -> None:
        """Change knobs of `STEERABLE` between two events: the run goes on from its canvas with them.

        Raises `SettingsError` for other knobs, or values that aren't allowed.
        """
        if fixed := sorted(knobs.keys() - STEERABLE):
            free = ", ".join(sorted(map(flag, STEERABLE)))
            raise SettingsError(f"{flag(fixed[0])} can't be changed while painting: start again, or change {free}.")
        self.settings = Settings(**self.settings.model_dump() | knobs)

    def paint(
        self,
        content: Tensor,
        styles: Sequence[Tensor],
        init: Tensor | None = None,
        *,
        masks: Sequence[Tensor] = (),
        style_masks: Sequence[Tensor | None] = (),
        resume: RunState | None = None,
    ) -> Iterator[Event]:
        """Events of painting `content` (1, 3, h, w) in [0, 1] in the manner of `styles`, images of any sizes.

        `init` is the image that `Settings.init` names, if it names one; `masks` (1, 1, h, w) in [0, 1] are the regions
        of the styles, of any size, `style_masks` the parts of them that count. `resume` is where a run with the same
        inputs and settings was: this one goes on from there to the same pixels, to the bit. Close the generator to
        stop, call `steer` between events to change weights. Raises `DivergedError` with the last good picture when
        loss, gradient or canvas stop being finite for good.
        """
        began = time.perf_counter() - (0.0 if resume is None else resume.seconds)
        prospect = self.prospect((content.shape[-2], content.shape[-1]))
        scales, plan = prospect.scales, prospect.plan
        sizes, steps = tuple(s.size for s in scales), tuple(s.steps for s in scales)
        scratch = Scratch(plan.folder)
        scene = Scene(content, tuple(styles), tuple(masks), tuple(style_masks), self.settings.color, plan, scratch)
        s = self.settings
        optimizer = optimizers.make(s.optimizer, learning_rate=s.learning_rate, history=plan.history, scratch=scratch)
        if resume is None:
            photo = resize(scene.photo, scales[0].size, scratch)
            canvas = first_canvas(s, photo, scene.paintings[0], init, scratch)
            run = Run(scene.colours.canvas(canvas, scratch).to(self.device), optimizer, scene.picture, scratch, began)
            del photo, canvas
        else:
            run = Run(resume.canvas.to(self.device), optimizer, scene.picture, scratch, began)
            run.go_on(resume.to(self.device), [(scale.size, scale.steps) for scale in scales])
            del resume  # or its tensors would take memory until the end
        yield Started(
            sizes, steps, str(self.device), plan.tile, plan.history, plan.peak, prospect.seconds, plan.disk, plan.folder
        )

        if run.step and run.step % s.steps_per_epoch == 0:  # the state was saved before this was told
            yield EpochDone(run.step // s.steps_per_epoch, run.picture(run.canvas))
        for number, scale in enumerate(scales[max(0, run.scale - 1) :], start=max(1, run.scale)):
            if number > run.scale:
                run.enter(number, scale.size, self._detail(scene, run.canvas, scale.size) if run.scale else None)
            yield from self._descend(run, scene, scale.size, sum(steps[:number]))
            yield ScaleDone(number, run.picture(run.canvas))
        run.optimizer = optimizer  # as it began: what it has learnt takes memory and isn't needed any more
        best = run.best
        yield Finished(run.picture(best.canvas), best.loss, best.parts, run.step, time.perf_counter() - began)

    def _detail(self, scene: Scene, canvas: Tensor, size: tuple[int, int]) -> Tensor | None:
        """What a photo shows at (h, w) pixels and not at the canvas's size, as much of it as `Settings.detail` says.

        With all of it, a canvas that is the photo stays the photo: the step up in a Laplacian pyramid (Burt & Adelson
        1983). 'auto' is what the strength leaves of the photo; nothing where the run doesn't start from it.
        """
        s, share = self.settings, self.settings.detail
        if share == "auto":
            from_photo = s.objective is ObjectiveName.NORMALIZED and s.init == "content"
            share = 1 - way(s.strength) if from_photo else 0.0
        if not share:
            return None
        fine, coarse = (resize(scene.photo, at, scene.scratch) for at in (size, (canvas.shape[-2], canvas.shape[-1])))
        detail = scene.scratch.map(lambda f, c: share * (f - c), fine, resize(coarse, size, scene.scratch))
        return scene.colours.canvas_of_detail(detail).to(canvas)

    def _descend(self, run: Run, scene: Scene, size: tuple[int, int], last: int) -> Iterator[Event]:
        """The steps of a scale towards what the settings ask for, also where they change meanwhile."""
        settings, objective = self.settings, self._objective(scene, size)
        run.sparing = sparing = Sparing(objective, settings.negligible, run.sparing_state)

        def changed() -> Evaluate | None:
            nonlocal settings, objective
            if self.settings is settings:
                return None
            settings, objective = self.settings, self._steered(run, scene, objective, settings)
            run.sparing = again = Sparing(objective, settings.negligible)
            return scene.seen(again.evaluate, size)

        yield from self.descend(run, scene.seen(sparing.evaluate, size), size, last, changed)
        if settings.negligible:  # what was left out is part of the result
            run.best = Best(run.canvas, run.picture, scene.scratch)
            run.best.guarded(scene.seen(objective.evaluate, size))(run.canvas)

    def descend(
        self,
        run: Run,
        evaluate: Evaluate,
        size: tuple[int, int],
        last: int,
        changed: Callable[[], Evaluate | None] = lambda: None,
    ) -> Iterator[Event]:
        """The steps of a scale, up to the run's step `last`; then the best canvas is the run's.

        `changed` gives another objective where there is one from the next step on.
        """
        guarded, per_epoch = run.best.guarded(evaluate), self.settings.steps_per_epoch
        while run.step < last:
            if (other := changed()) is not None:
                guarded = run.best.guarded(other)
            try:
                now = run.advance(guarded)
            except DivergedError:
                if run.restarts == MOST_RESTARTS:
                    raise
                run.start_again()
                yield Restarted(run.step + 1, run.restarts, MOST_RESTARTS)
                continue
            epoch = math.ceil(run.step / per_epoch)
            seconds = time.perf_counter() - run.began
            shot, state = partial(run.picture, run.canvas), partial(run.state, seconds)
            yield Stepped(run.step, epoch, run.scale, size, now.loss, now.parts, seconds, shot, state)
            del now, shot  # a gradient and a canvas: whole ones needn't be kept through the next step
            if run.step == epoch * per_epoch:
                yield EpochDone(epoch, run.picture(run.canvas))
        with suppress(DivergedError):  # then the last step wasn't the best
            guarded(run.canvas)
        run.canvas = run.best.canvas

    def _steered(self, run: Run, scene: Scene, objective: Objective, before: Settings) -> Objective:
        """The objective under the settings as they are now; the run goes on from its canvas."""
        size = (run.canvas.shape[-2], run.canvas.shape[-1])
        if self.settings.color is before.color:
            run.steered(run.canvas)
            units = objective.weighting.units
            return objective.reweighted(replace(self._weighting(size, scene), units=units))
        picture = run.picture(run.canvas)
        scene.recolour(self.settings.color)
        run.steered(scene.colours.canvas(picture, scene.scratch).to(self.device))
        return self._objective(scene, size)

    def _weighting(self, size: tuple[int, int], scene: Scene) -> Weighting:
        s = self.settings
        weighting = Weighting(
            alpha=s.content_weight,
            beta=s.style_weight,
            content=layer_shares(s.content_layers, s.content_layer_weights),
            style=layer_shares(s.style_layers, s.layer_weights),
            tv=s.tv_weight,
        )
        if s.objective is ObjectiveName.NORMALIZED:
            alpha = s.content_weight * CONTENT_RANGE ** (1 - 2 * s.strength)
            return replace(weighting, alpha=alpha, strength=way(s.strength))
        # The paper's content loss sums over positions and its style loss averages: at a coarser scale α grows as the
        # positions get fewer, so that every scale seeks the final size's balance.
        share = math.prod(size) / math.prod(scene.plan.size)
        return replace(weighting, alpha=weighting.alpha / share, tv=weighting.tv / share)

    def _objective(self, scene: Scene, size: tuple[int, int]) -> Objective:
        s, scratch, tile = self.settings, scene.scratch, scene.plan.tile
        photo = resize(scene.photo, size, scratch).to(self.device)
        longest = max(1, round(s.style_scale * max(size)))
        paintings = (self._painting(painting, longest, max(size), scratch) for painting in scene.paintings)
        manner = Manner(
            s.style_loss,
            s.content_loss,
            scene.masks_at(size),
            [None if mask is None else mask.to(self.device) for mask in scene.style_masks],
            s.mask_erosion,
            s.seed,
        )
        weighting = self._weighting(size, scene)
        shares = s.style_weights or [1.0] * len(scene.paintings)
        seen = tile or (max(size) if s.style_scale > 1 and s.style_loss.additive else None)
        targets = self.measure(
            self.network, weighting, photo, paintings, shares, manner=manner, tile=seen, scratch=scratch
        )
        if s.objective is ObjectiveName.NORMALIZED:
            weighting = normalized(weighting, targets, scratch)
        return Objective(self.network, weighting, targets, tile=tile, spare=scene.plan.spare, scratch=scratch)

    def _painting(self, painting: Tensor, longest: int, whole: int, scratch: Scratch) -> Tensor:
        """A painting at its longest side in pixels: strokes keep their size relative to the picture.

        One that is larger than the canvas is seen in tiles, or, by losses that can't be, as far as its middle. None is
        made so small that a layer wouldn't see it.
        """
        full, least = (painting.shape[-2], painting.shape[-1]), smallest_side(self.settings.style_layers or ["relu1_1"])
        if min(fit(full, longest)) < least:
            longest = math.ceil(least * max(full) / min(full))
        resized = resize(painting, fit(full, longest), scratch).to(self.device)
        if longest <= whole or self.settings.style_loss.additive:
            return resized
        h, w = resized.shape[-2:]
        top, left = max(0, (h - whole) // 2), max(0, (w - whole) // 2)
        return resized[..., top : top + whole, left : left + whole]


def layer_shares(layers: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """The weight of each layer: the ones given, or equal ones that sum to 1 (w_l = 1/5 for the paper's five)."""
    return dict(zip(layers, weights or [1 / len(layers)] * len(layers), strict=True)) if layers else {}


def way(strength: float) -> float:
    """How far from the photo's statistics to the painting's the targets of a strength lie: 0, .44, .75, .94, 1.

    Steep at first, so that the middle of the knob is a painting and its end the last bit of one.
    """
    return 1 - (1 - strength) ** 2
