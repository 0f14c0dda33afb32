"""L-BFGS for devices whose work is queued: `LBFGS` with every decision taken on the device."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from impasto.images.size import Size
from impasto.objective.evaluation import Evaluate, Evaluation, QueuedEvaluation
from impasto.run.optimizers.base import FIRST_MOVE, SHORTER, State
from impasto.run.optimizers.lbfgs import LBFGS, Spectrum
from impasto.storage.devices import precise, read
from impasto.storage.scratch import MEMORY, Scratch


class QueuedLBFGS:
    """`LBFGS` by the same formulas, of which no number is looked at by the host.

    What is an `if` there is a `torch.where` here. So a pair that is refused stays in the row as one of zeros, which
    changes nothing but takes a place until it is the oldest; and the step is computed also where the canvas goes back
    to the best one. A loss of NaN counts as worse than any.
    """

    def __init__(self, history: int = 20, reach: float = 1.0, scratch: Scratch = MEMORY) -> None:
        self.reach, self.scratch = reach, scratch
        self.pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=history)  # s, y, sᵀy: 0 of a refused one
        self.best: tuple[Tensor, Tensor] | None = None  # the canvas and its loss
        self.last: tuple[Tensor, Tensor] | None = None  # the canvas and its gradient
        self.precondition: Spectrum | None = None
        self.gamma: Tensor | None = None  # of the last pair that counts, 0 where none does

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """See `LBFGS`; `evaluate` leaves its numbers on the device."""
        now = evaluate(canvas)
        assert isinstance(now, QueuedEvaluation), "whoever makes the optimiser knows that the device queues"
        if self.precondition is None:
            self.precondition = Spectrum(canvas, self.scratch)
            self.gamma = self._gamma_of_pairs(now.total)
        if self.last is not None:
            self._remember(canvas, now.gradient, *self.last)
        self.last = (canvas, now.gradient)
        direction = self._direction(now.gradient)
        forward = self.scratch.map(lambda x, d: (x + d).clamp(0, 1), canvas, direction)
        if self.best is None:
            self.best = (canvas, now.total)
            return forward, now
        best, least = self.best
        worse = ~(now.total <= least)

        def retreat(x: Tensor, y: Tensor, further: Tensor) -> Tensor:
            return torch.where(worse, torch.lerp(x, y, LBFGS.RETREAT), further)

        moved = self.scratch.map(retreat, best, canvas, forward)
        kept = self.scratch.map(lambda x, y: torch.where(worse, x, y), best, canvas)
        self.best = (kept, torch.where(worse, least, now.total))
        return moved, now

    def at_scale(self, size: Size) -> QueuedLBFGS:
        """See `LBFGS`."""
        return self.reset()

    def reset(self) -> QueuedLBFGS:
        """See `LBFGS`."""
        return QueuedLBFGS(self.pairs.maxlen or 1, self.reach, self.scratch)

    def with_shorter_steps(self) -> QueuedLBFGS:
        """See `LBFGS`."""
        return QueuedLBFGS(self.pairs.maxlen or 1, SHORTER * self.reach, self.scratch)

    def state(self) -> State:
        """As `LBFGS` has it, with the refused pairs, whose sᵀy is 0; waits for the device."""
        products = read([sy for _, _, sy in self.pairs])
        best = None if self.best is None else [self.best[0], *read([self.best[1]])]
        return {
            "reach": self.reach,
            "pairs": [[s, y, sy] for (s, y, _), sy in zip(self.pairs, products, strict=True)],
            "best": best,
            "last": None if self.last is None else list(self.last),
        }

    def load_state(self, state: State) -> QueuedLBFGS:
        """L-BFGS with those pairs."""
        new = QueuedLBFGS(self.pairs.maxlen or 1, state["reach"], self.scratch)
        new.pairs.extend((s, y, _scalar(sy, s)) for s, y, sy in state["pairs"])
        new.best = None if state["best"] is None else (state["best"][0], _scalar(state["best"][1], state["best"][0]))
        new.last = None if state["last"] is None else (state["last"][0], state["last"][1])
        return new

    def _gamma_of_pairs(self, like: Tensor) -> Tensor:
        """γ of the last pair that counts of those that were loaded."""
        gamma = torch.zeros_like(like)
        for _, y, sy in self.pairs:
            gamma = self._gamma(y, sy, gamma)
        return gamma

    def _gamma(self, y: Tensor, sy: Tensor, before: Tensor) -> Tensor:
        """γ = sᵀy / yᵀPy, or what it was `before` where the pair doesn't count."""
        assert self.precondition is not None
        return torch.where(sy > 0, sy / self.scratch.total(torch.dot, y, self.precondition(y)), before)

    def _remember(self, canvas: Tensor, gradient: Tensor, canvas_before: Tensor, gradient_before: Tensor) -> None:
        assert self.gamma is not None
        total, moves = self.scratch.total, (canvas, canvas_before, gradient, gradient_before)
        sy = total(lambda x, x0, g, g0: torch.dot(x - x0, g - g0), *moves)
        ss, yy = (total(lambda a, b: (a - b).square().sum(), *pair) for pair in (moves[:2], moves[2:]))
        least = LBFGS.CURVED * (ss * yy).sqrt()
        counts = (sy > least) & (least > 0)
        if len(self.pairs) == self.pairs.maxlen:
            self.pairs.popleft()  # makes room before more is taken

        def difference(a: Tensor, b: Tensor) -> Tensor:
            return torch.where(counts, a - b, 0.0)

        s, y = self.scratch.map(difference, *moves[:2]), self.scratch.map(difference, *moves[2:])
        self.pairs.append((s, y, torch.where(counts, sy, 0.0)))
        self.gamma = self._gamma(y, self.pairs[-1][2], self.gamma)

    def _direction(self, gradient: Tensor) -> Tensor:
        assert self.precondition is not None
        assert self.gamma is not None
        total, pieces = self.scratch.total, self.scratch.pieces
        q = self.scratch.map(lambda g: g.clone(memory_format=torch.contiguous_format), gradient)
        taken: list[Tensor] = []
        for s, y, sy in reversed(self.pairs):
            taken.append(_share(total(torch.dot, s, q), sy))
            for to, change in pieces(q, y):
                to.addcmul_(change, taken[-1].to(to), value=-1)
        r = self.precondition(q, into=q)
        first = FIRST_MOVE / (self.scratch.total(_energy, r) / r.numel()).sqrt().clamp(min=1e-30)
        gamma = torch.where(self.gamma > 0, self.gamma, first)
        for (to,) in pieces(r):
            to.mul_(gamma.to(to))
        for (s, y, sy), a in zip(self.pairs, reversed(taken), strict=True):
            b = _share(total(torch.dot, y, r), sy)
            for to, change in pieces(r, s):
                to.addcmul_(change, (a - b).to(to))
        for (to,) in pieces(r):
            to.mul_(-self.reach)
        return r


def _share(product: Tensor, sy: Tensor) -> Tensor:
    """A product by sᵀy, 0 where the pair doesn't count."""
    return torch.where(sy > 0, product / sy, 0.0)


def _scalar(value: float, like: Tensor) -> Tensor:
    return torch.full((), value, dtype=precise(like.device), device=like.device)


def _energy(part: Tensor) -> Tensor:
    """Σ x², also of numbers so large or small that their squares leave float32: see `rms`."""
    largest = part.abs().max()
    unit = torch.where(largest > 0, largest, 1.0)
    return (part / unit).square().sum().to(precise(part.device)) * unit.to(precise(part.device)).square()
