"""Painting a shot frame by frame: the first as any photo, each other from what the ones before it were painted like.

The plan is that of Ruder, Dosovitskiy & Brox 2016, 'Artistic style transfer for videos'; what departs from it is said
where it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.images.reading import SourceImage
from impasto.jobs.inputs import Source
from impasto.jobs.network import KeptNetwork
from impasto.jobs.stylization import KnownStyles, Stylization
from impasto.jobs.surroundings import driven
from impasto.jobs.video import flow
from impasto.jobs.video.flow import Frame, Movement
from impasto.jobs.video.steadiness import Steadiness
from impasto.losses.temporal import long_term_certainties
from impasto.objective.temporal import Earlier, FrameProblem, temporal_terms
from impasto.run.events import Finished
from impasto.settings.following import following_settings
from impasto.settings.settings import Settings

OLD_STROKES = 0.5
"""Share of the frame before in what a frame starts from where the flow isn't certain."""


@dataclass(frozen=True)
class PaintedFrame:
    """A frame that was painted: its picture (1, 3, h, w), and all that later frames of its shot depend on.

    `canvas` is what was optimised, `frame` the film's own, `painted_of` the same, but where the canvas was held: there
    it is the frame that was painted. `steps` tells how many each place has had since it was last uncovered, (h, w).
    `loss` is that of the shot's first frame, which temporal losses are measured by, `alpha` the film's own opacity.
    """

    picture: Tensor
    canvas: Tensor
    frame: Frame
    painted_of: Frame
    steps: Frame
    loss: float
    steps_taken: int = 0
    alpha: Frame | None = None


class FramePainter:
    """Paints frames of one size in styles; the network, and what is known of the styles, are kept from one to another.

    `styles` are files, swatches or images, `settings` those of a film: with nothing left open that frames must share.
    """

    def __init__(self, styles: Sequence[Source], settings: Settings, steadiness: Steadiness, kept: KeptNetwork) -> None:
        self.styles, self.settings, self.steadiness, self._kept = styles, settings, steadiness, kept
        self._known = KnownStyles()

    def first(self, frame: Frame) -> PaintedFrame:
        """A shot's first frame, painted as a photo is."""
        job = self._job(frame, self.settings)
        problem = FrameProblem(job.problem(known=self._known))
        last = _run(job, problem)
        assert problem.canvas is not None
        everywhere = np.full(frame.shape[:2], self.steadiness.ripe, np.float32)
        canvas = problem.canvas.cpu().clone()
        return PaintedFrame(last.picture, canvas, frame, frame, everywhere, last.loss, last.steps)

    def next(self, frame: Frame, earlier: Sequence[PaintedFrame], before: Tensor | None = None) -> PaintedFrame:
        """A frame after `earlier` ones, the nearest first, or, in a pass backwards, before them.

        `before` is the frame's own canvas of the pass before.
        """
        how, nearest = self.steadiness, earlier[0]
        moves = [self._movement(frame, one.frame) for one in earlier]
        noise = flow.noise_of(frame, nearest.frame, moves[0])
        still = flow.still(frame, nearest.painted_of, moves[0], noise)
        moves[0] = Movement(np.where(still[..., None], np.float32(0), moves[0].flow), moves[0].certainty)
        certainties = [np.where(still, np.float32(1), moves[0].certainty), *(move.certainty for move in moves[1:])]
        shares = long_term_certainties([_plane(certainty) for certainty in certainties])
        warped = [_warped(one.canvas, move) for one, move in zip(earlier, moves, strict=True)]
        had = flow.warp(nearest.steps, moves[0].flow, linear=True) * certainties[0]
        held = still & (had >= how.ripe)
        painted_of = np.where(held[..., None], nearest.painted_of, frame)
        if held.all() and before is None:
            return replace(nearest, frame=frame, painted_of=painted_of, steps=had)
        uncertain = float(1 - sum(shares[1:], start=shares[0]).mean())
        steps = max(1, round(how.steps * (1 + how.more_where_new * uncertain)))
        job = self._job(frame, following_settings(self.settings, steps))
        own = job.problem(known=self._known)
        size = job.plan.size
        content = own.canvas_from(own.transform(size).content()).cpu()
        within = _plane(flow.inside(moves[0].flow).astype(np.float32)) if how.flow else torch.zeros_like(shares[0])
        start = _blended(warped, shares, within, content, before, how.own_share)
        own.more = tuple(
            temporal_terms(
                [
                    Earlier(own.mode.image(w) if w.shape[1] == 3 else w.expand(-1, 3, -1, -1), s)
                    for w, s in zip(warped, shares, strict=True)
                ],
                how.weight * nearest.loss,
            )
        )
        problem = FrameProblem(own, start, _plane(held.astype(np.float32)))
        last = _run(job, problem)
        assert problem.canvas is not None
        canvas = problem.canvas.cpu().clone()
        return PaintedFrame(last.picture, canvas, frame, painted_of, had + steps, nearest.loss, steps)

    def _movement(self, now: Frame, earlier: Frame) -> Movement:
        return flow.movement(now, earlier) if self.steadiness.flow else flow.unmoved(now, earlier)

    def _job(self, frame: Frame, settings: Settings) -> Stylization:
        kept, content = self._kept, source_image(frame)
        network, speed = kept.network(settings), kept.speed(settings)
        return Stylization(content, self.styles, settings, network=network, speed=speed)


def source_image(frame: Frame) -> SourceImage:
    """A frame as an image."""
    return SourceImage(torch.from_numpy(frame).permute(2, 0, 1)[None].contiguous(), None, "", "frame", None)


def _run(job: Stylization, problem: FrameProblem) -> Finished:
    for event in driven(job.stylizer.run(problem, job.plan), job.plan, job.network.engine, job.settings):
        if isinstance(event, Finished):
            return event
    raise AssertionError("a run ends with Finished")


def _blended(
    warped: Sequence[Tensor],
    shares: Sequence[Tensor],
    within: Tensor,
    content: Tensor,
    before: Tensor | None,
    own_share: float,
) -> Tensor:
    """What a frame starts from: the earlier ones where they show it, elsewhere itself in the colours around there.

    The frame itself, as in Ruder et al., would show as a photo for a while where something is uncovered, and for good
    where things move in ways that no flow tells: `within` the frame before, its strokes are mixed in there.
    """
    old = OLD_STROKES * within * (1 - sum(shares[1:], start=shares[0]))
    shares = [shares[0] + old, *shares[1:]]
    known = sum(shares[1:], start=shares[0])
    start = sum((w * s for w, s in zip(warped[1:], shares[1:], strict=True)), start=warped[0] * shares[0])
    radius = max(2, round(max(content.shape[-2:]) / 16))
    change = _spread(start - known * content, radius) / _spread(known, radius).clamp(min=1e-3)
    new = (content + change).clamp(0, 1) if before is None else before
    start = start + (1 - known) * new
    return start.clamp(0, 1) if before is None else torch.lerp(start, before, own_share).clamp(0, 1)


def _spread(image: Tensor, radius: int) -> Tensor:
    """Means over wide windows, taken twice, and a little of the whole's, where nothing is near."""
    for _ in range(2):
        image = torch.nn.functional.avg_pool2d(image, 2 * radius + 1, 1, radius, count_include_pad=False)
    return image + 1e-3 * image.mean(dim=(-2, -1), keepdim=True)


def _plane(plane: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(plane))[None, None]


def _warped(canvas: Tensor, move: Movement) -> Tensor:
    moved = flow.warp(np.ascontiguousarray(canvas[0].permute(1, 2, 0).numpy()), move.flow)
    return torch.from_numpy(moved).permute(2, 0, 1)[None].contiguous().clamp(0, 1)
