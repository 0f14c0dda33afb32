"""Texture synthesis (Gatys, Ecker & Bethge 2015, NIPS) as a job: a style alone, on a canvas of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from impasto.jobs.inputs import Source, open_style
from impasto.jobs.network import load_network
from impasto.jobs.surroundings import driven, usual_modes
from impasto.network.tiles import stride
from impasto.objective.periodic import periodic_canvas
from impasto.objective.texture import TextureProblem, measured_size
from impasto.run.events import Event
from impasto.run.plan import Shapes, plan_run, scales_of
from impasto.run.stylizer import Stylizer
from impasto.settings.settings import Settings
from impasto.settings.texture import texture_settings


class Texture:
    """One texture: the style, settings, network and plan, all checked and loaded; iterate over `events()` to make it.

    `size` is (w, h) in pixels. With `seamless` copies of it side by side show no seam.
    """

    @usual_modes()
    def __init__(self, style: Source, size: tuple[int, int], settings: Settings, *, seamless: bool = False) -> None:
        self.size = (size[1], size[0])
        self.seamless = seamless
        settings = texture_settings(settings, self.size)
        self.settings = settings
        self.style = open_style(style, settings, max(self.size))
        own = self.style.size
        shapes = Shapes(self.size, styles=1, style_sizes=lambda size: [measured_size(size, self.size, own, settings)])
        if seamless:
            halo = periodic_canvas(self.size, settings.style_layers).halo
            shapes = replace(shapes, halo=halo, grid=stride(settings.style_layers))
        scales = scales_of(settings, shapes)
        self.network = load_network(settings)
        with usual_modes(settings.threads):
            self.plan = plan_run(settings, shapes, self.network.engine, scales=scales)
        self.scratch = self.plan.memory.scratch()

    def events(self) -> Iterator[Event]:
        """The run's events, see `Stylizer.run`; raises `ImpastoError`."""
        return driven(self._events(), self.plan, self.network.engine, self.settings)

    def _events(self) -> Iterator[Event]:
        """The same in the modes of whoever asks."""
        problem = TextureProblem(
            self.style.pixels,
            self.settings,
            self.network.engine,
            self.size,
            seamless=self.seamless,
            tile=self.plan.memory.tile,
            spare=self.plan.memory.spare,
            scratch=self.scratch,
            canvas_device=self.plan.memory.canvas_device,
        )
        yield from Stylizer(self.settings).run(problem, self.plan)

    def alpha(self, picture: Tensor) -> None:
        """None: a texture is opaque."""
