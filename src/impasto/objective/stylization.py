"""Stylization as a problem: a canvas that keeps the content and takes the styles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.images.size import Size, enlarge, resize, size_of
from impasto.network.engine import Engine
from impasto.objective.colour_mode import colour_mode_of
from impasto.objective.initial_canvas import initial_canvas
from impasto.objective.inputs import Inputs, measuring_tile, style_at
from impasto.objective.objective import LocalPasses, LocalTerm, MakePasses, make_objective
from impasto.objective.problem import ScaleProblem
from impasto.objective.targets import Comparison, KnownStyles, Targets, measure_targets
from impasto.objective.transforms import StylizationTransform
from impasto.objective.weights import loss_weights, target_fraction
from impasto.settings.settings import Settings
from impasto.storage.scratch import MEMORY, Scratch

MeasuredTargets = dict[tuple[str, Size, int | None, float | None], Targets]
"""Targets that were measured, by colour mode, the canvas's size, the tile, which may follow free memory, and strength.

Where no map shares the strength out, targets don't depend on it: it is None.
"""


class StylizationProblem:
    """Content and styles as a `Problem`, for a canvas whose final size is `size`.

    `tile`, `spare` and `canvas_device` (None: the engine's) are the plan's. Problems that differ in nothing that
    targets depend on may share those that were `measured`, and any of one network what is `known` of styles. `passes`
    says who computes the tiles of an evaluation, `more` are terms beside its own. A problem goes by its settings as a
    run changes them.
    """

    def __init__(
        self,
        inputs: Inputs,
        settings: Settings,
        engine: Engine,
        size: Size,
        *,
        tile: int | None = None,
        spare: int = 0,
        scratch: Scratch = MEMORY,
        canvas_device: torch.device | None = None,
        measured: MeasuredTargets | None = None,
        known: KnownStyles | None = None,
        passes: MakePasses = LocalPasses,
        more: Sequence[LocalTerm] = (),
    ) -> None:
        self.inputs, self.settings, self.engine, self.size = inputs, settings, engine, size
        self.tile, self.spare, self.scratch = tile, spare, scratch
        self.device = engine.device if canvas_device is None else canvas_device
        self.measured, self.known, self.passes, self.more = measured, known, passes, tuple(more)
        self.mode = colour_mode_of(settings, inputs)
        self._transform: StylizationTransform | None = None  # of the scale that is worked on
        self._targets: Targets | None = None

    def first_canvas(self, size: Size) -> Tensor:
        """See `Problem`."""
        content = resize(self.mode.content, size, self.scratch)
        start = initial_canvas(self.settings, content, self.mode.styles[0], self.inputs.init, self.scratch)
        return self.canvas_from(start)

    def enlarged(self, canvas: Tensor, size: Size) -> Tensor:
        """See `Problem`; some of the content's detail that the coarser canvas couldn't hold is added."""
        detail = self._detail(size_of(canvas), size)
        finer = enlarge(canvas, size, self.scratch)
        if detail is None:
            return finer
        return self.scratch.map(lambda x, d: (x + d).clamp(0, 1), finer, detail.to(canvas))

    def at(self, size: Size, start: Tensor | None = None) -> ScaleProblem:
        """See `Problem`."""
        transform = self.transform(size)
        if self._targets is None:
            self._targets = self._measured_at(transform)
        objective = make_objective(
            self.engine,
            self._targets,
            loss_weights(self.settings, size, self.size),
            size,
            normalized=self.settings.normalized,
            matches=self._matches(self._targets, transform, start),
            tile=self.tile,
            spare=self.spare,
            scratch=self.scratch,
            passes=self.passes,
            more=self.more,
        )
        return ScaleProblem(objective, transform)

    def _matches(self, targets: Targets, transform: StylizationTransform, start: Tensor | None) -> list[Tensor] | None:
        """What is nearest to the canvas that a scale starts from, with the content mixed in; None for the content."""
        if targets.neighbours is None or start is None:
            return None
        columns = targets.neighbours.columns_of(self.engine, transform.image(start), self.tile)
        share = 1.0 if transform.strength_map is None else transform.strength_map
        return targets.neighbours.match(columns, 1 - self.settings.strength * share)

    def transform(self, size: Size) -> StylizationTransform:
        """See `Problem`."""
        if self._transform is None or self._transform.size != size:
            self._transform = StylizationTransform(
                self.mode, self.inputs.masks, self.inputs.strength_map, size, self.scratch, self.settings
            )
            self._targets = None
        return self._transform

    def change(self, settings: Settings) -> bool:
        """See `Problem`; another colour mode makes another kind of canvas."""
        before, self.settings = self.settings, settings
        if self.inputs.strength_map is not None and settings.strength != before.strength:
            self._targets = None
        if self._transform is not None:
            self._transform.settings = settings
        if settings.color is before.color:
            return False
        self.mode = colour_mode_of(settings, self.inputs)
        self._transform = self._targets = None
        return True

    def canvas_from(self, picture: Tensor) -> Tensor:
        """See `Problem`."""
        return self.mode.canvas(picture, self.scratch).to(self.device)

    def _measured_at(self, transform: StylizationTransform) -> Targets:
        """The targets at a size: as another problem has measured them, or measured now."""
        strength = None if transform.strength_map is None else self.settings.strength
        key = (self.settings.color, transform.size, self.tile, strength)
        if self.measured is not None and key in self.measured:
            return self.measured[key]
        targets = self._measure(transform)
        if self.measured is not None:
            self.measured[key] = targets
        return targets

    def _measure(self, transform: StylizationTransform) -> Targets:
        s, size = self.settings, transform.size
        comparison = Comparison(
            s.style_layers,
            s.content_layers,
            s.style_loss,
            s.content_loss,
            transform.masks,
            [None if mask is None else mask.to(self.device) for mask in self.inputs.style_masks],
            s.mask_erosion,
            s.seed,
            transform.local_weights(s.strength),
        )
        return measure_targets(
            self.engine,
            comparison,
            transform.content().to(self.device),
            (style_at(size, style, s, self.scratch).to(self.device) for style in self.mode.styles),
            s.style_weights or [1.0] * len(self.mode.styles),
            tile=measuring_tile(size, s, self.tile),
            scratch=self.scratch,
            known=self.known,
        )

    def _detail(self, coarse: Size, size: Size) -> Tensor | None:
        """What the content shows at a size and not at a coarser one, as much of it as `Settings.detail` says.

        With all of it, a canvas that is the content stays the content: the step up in a Laplacian pyramid (Burt &
        Adelson 1983). 'auto' is what the target fraction leaves of the content; nothing where the run doesn't start
        from it.
        """
        s, share, local = self.settings, self.settings.detail, None
        if share == "auto":
            from_content = s.normalized and s.init == "content"
            share = 1 - target_fraction(s.strength) if from_content else 0.0
            if from_content and (shares := self.transform(size).strength_map) is not None:
                local = 1 - target_fraction(s.strength * shares)
        if not share and local is None:
            return None
        fine, low = (resize(self.mode.content, at, self.scratch) for at in (size, coarse))
        low = enlarge(low, size, self.scratch)
        if local is None:
            detail = self.scratch.map(lambda f, c: share * (f - c), fine, low)
        else:
            detail = self.scratch.map_rows(lambda f, c, m: m * (f - c), 3, fine, low, local)
        return self.mode.canvas_of_detail(detail)
