"""Texture synthesis (Gatys, Ecker & Bethge 2015, NIPS): a painting's manner alone, on a canvas of any size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import PIL.Image
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images import io as images
from impasto.images.size import fit, resize, size_of
from impasto.jobs.stylization import Source, fitting, open_style
from impasto.network import weights
from impasto.network.engine import Engine
from impasto.network.engines.choice import make_engine
from impasto.network.layers import smallest_side
from impasto.objective.colour_mode import ColourMode
from impasto.objective.initial_canvas import first_canvas
from impasto.objective.objective import Objective
from impasto.objective.periodic import enlarged, on_the_grid, torus
from impasto.objective.targets import LossWeights, Manner, measure_targets, normalized
from impasto.objective.weighting import layer_shares
from impasto.run import optimizers
from impasto.run.events import Event, Finished, ScaleDone, Started
from impasto.run.memory import Plan
from impasto.run.optimizers import Evaluate
from impasto.run.plan import expected_seconds, plan_memory
from impasto.run.progress import Run
from impasto.run.scales import plan_scales
from impasto.run.stylizer import descend
from impasto.settings.choices import ObjectiveName
from impasto.settings.schedule import Schedule
from impasto.settings.settings import Settings
from impasto.settings.texture import texture_settings
from impasto.storage.scratch import Scratch


class Texture:
    """One texture: the painting, settings and network, all checked and loaded; iterate over `events()` to make it.

    `size` is (w, h) in pixels. With `seamless` copies of it side by side show no seam.
    """

    def __init__(self, style: Source, size: tuple[int, int], settings: Settings, *, seamless: bool = False) -> None:
        self.size = (size[1], size[0])
        self.settings = settings = texture_settings(settings, self.size)
        plan_scales(settings, self.size)
        if seamless:
            torus(self.size, settings.style_layers)
        self.seamless = seamless
        self.style = open_style(style, settings)
        self.network = make_engine(settings, weights.load(settings.weights))
        self.plan = plan_texture(settings, self.size, self.network, seamless=seamless)
        self.scratch = Scratch(self.plan.folder)

    def events(self) -> Iterator[Event]:
        """The run's events, as `Stylizer.paint` has them; raises `ImpastoError`."""
        with fitting(self.plan):
            yield from texture(self.style.pixels, self.size, self.settings, self.network, seamless=self.seamless)

    def alpha(self, picture: Tensor) -> None:
        """None: a texture is opaque."""


def synthesize(
    style: Source, size: tuple[int, int], *, seamless: bool = False, settings: Settings | None = None, **knobs: Any
) -> PIL.Image.Image:
    """A texture of (w, h) pixels in the manner of a painting or swatch, RGB, 8 bits; `seamless` ones tile.

    Knobs are fields of `Settings`; those in `impasto.settings.texture.OWN` don't matter. Raises `ImpastoError`.
    """
    if settings is not None and knobs:
        raise SettingsError("Both settings and knobs were given: use settings.model_copy or knobs alone.")
    *_, last = Texture(style, size, settings or Settings(**knobs), seamless=seamless).events()
    assert isinstance(last, Finished), "the last event has the picture"
    return images.to_pil(last.picture)


def plan_texture(settings: Settings, size: tuple[int, int], network: Engine, *, seamless: bool) -> Plan:
    """How a texture of (h, w) pixels fits into memory; a seamless one is seen with its surroundings."""
    return replace(plan_memory(settings, network, _seen(size, settings, seamless)), size=size)


def texture(
    style: Tensor, size: tuple[int, int], settings: Settings, network: Engine, *, seamless: bool = False
) -> Iterator[Event]:
    """Events of making a texture of (h, w) pixels from a painting (1, 3, h, w) in [0, 1], by `texture_settings`.

    From noise in the painting's colours, coarse to fine. The painting is taken in its own pixels, or shrunk to the
    canvas's longest side: a bigger canvas gets more of it, not more magnified.
    """
    began = time.perf_counter()
    plan = plan_texture(settings, size, network, seamless=seamless)
    scales = [replace(s, size=_on_grid(s.size, settings, seamless)) for s in plan_scales(settings, size)]
    scratch = Scratch(plan.folder)
    optimizer = optimizers.make(
        settings.optimizer, learning_rate=settings.learning_rate, history=plan.history, scratch=scratch
    )
    noises = (first_canvas(settings, style.new_empty(1, 3, *s.size), style, None, scratch) for s in scales)
    picture = partial(ColourMode(style, (style,)).picture, scratch=scratch)
    sizes, steps = tuple(scale.size for scale in scales), tuple(scale.steps for scale in scales)
    seen = [replace(s, size=_seen(s.size, settings, seamless)) for s in scales]
    seconds = expected_seconds(settings, network, seen, plan)
    yield Started(
        sizes, steps, str(network.device), plan.tile, plan.history, plan.peak, seconds, plan.disk, plan.folder
    )

    run: Run | None = None
    for number, (scale, noise) in enumerate(zip(scales, noises, strict=True), start=1):
        start = noise.to(network.device)
        painting = shrunk(style, max(scale.size), max(size), settings, scratch).to(network.device)
        evaluate = objective(start, painting, settings, network, plan.tile, scratch, seamless=seamless)
        if run is None:
            run = Run(start, optimizer, picture, Schedule(settings), scratch, began)
        if seamless:
            run.canvas = enlarged(run.canvas, scale.size, scratch)
        run.enter(number, scale.size)
        del start
        yield from descend(run, evaluate, scale.size, sum(steps[:number]))
        yield ScaleDone(number, picture(run.canvas))
    assert run is not None, "there is at least one scale"
    best = run.best
    yield Finished(picture(best.canvas), best.loss, best.parts, run.step, time.perf_counter() - began)


def objective(
    start: Tensor,
    painting: Tensor,
    settings: Settings,
    network: Engine,
    tile: int | None,
    scratch: Scratch,
    *,
    seamless: bool,
) -> Evaluate:
    """The style loss of canvases like `start` (1, 3, h, w), which also sets its unit if it is normalised.

    A seamless canvas is wrapped, and a mask keeps its copies from counting.
    """
    manner, around = Manner(settings.style_loss, seed=settings.seed), None
    if seamless:
        around = torus(size_of(start), settings.style_layers)
        manner, start = replace(manner, masks=[around.core().to(start)]), around.wrapped(start, scratch)
    style = layer_shares(settings.style_layers, settings.layer_weights)
    weighting = LossWeights(alpha=0.0, beta=settings.style_weight, content={}, style=style)
    targets = measure_targets(network, weighting, start, [painting], manner=manner, tile=tile, scratch=scratch)
    if settings.objective is ObjectiveName.NORMALIZED:
        weighting = normalized(weighting, targets, scratch)
    evaluate = Objective(network, weighting, targets, tile=tile, scratch=scratch).evaluate
    return evaluate if around is None else around.seen(evaluate, scratch)


def shrunk(style: Tensor, now: int, final: int, settings: Settings, scratch: Scratch) -> Tensor:
    """The painting for a scale whose longest side is `now` px of `final`, never too small for its layers."""
    size = size_of(style)
    longest = round(min(max(size), final) * settings.style_scale * now / final)
    least = -(-smallest_side(settings.style_layers) * max(size) // min(size))
    return resize(style, fit(size, max(longest, least)), scratch)


def _seen(size: tuple[int, int], settings: Settings, seamless: bool) -> tuple[int, int]:
    """What the network sees of (h, w) pixels."""
    return torus(size, settings.style_layers).wrapped_size if seamless else size


def _on_grid(size: tuple[int, int], settings: Settings, seamless: bool) -> tuple[int, int]:
    """A scale's size (h, w); a torus's sides are on the pooling grid at every scale."""
    return on_the_grid(size, settings.style_layers) if seamless else size
