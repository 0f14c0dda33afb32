"""L-BFGS on the pixels, with a preconditioner for which smooth changes are cheaper than rough ones."""

from __future__ import annotations

import math
from collections import deque

import torch
from torch import Tensor

from impasto.images.size import Size
from impasto.objective.evaluation import Evaluate, Evaluation
from impasto.run.optimizers.base import FIRST_MOVE, SHORTER, State, rms
from impasto.storage.scratch import MEMORY, Scratch


class LBFGS:
    """Limited-memory BFGS, Nocedal & Wright 2006, algorithms 7.4 and 7.5, with one evaluation a step.

    Departures: there is no line search; the unit step is taken, clamped to [0, 1], and when it made the loss rise,
    the next step goes back to the best canvas plus a quarter of the way. The initial inverse Hessian is γ P with
    γ = sᵀy / yᵀPy (eq. 7.20 under the norm of P), where P is the `Spectrum` preconditioner: a smooth change of the
    picture is cheaper than a rough one, as when the coefficients of its spectrum scaled by 1/√f are optimised.
    A pair counts only where sᵀy is a fair part of ‖s‖ ‖y‖ (cautious updating, Li & Fukushima 2001; pairs of ordinary
    runs have 0.2 … 0.8): one of 0.0001, which a flat photo gives, says that a step a thousand times as long is safe.
    """

    RETREAT = 0.25
    CURVED = 0.02

    def __init__(self, history: int = 20, reach: float = 1.0, scratch: Scratch = MEMORY) -> None:
        self.reach = reach
        self.pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=history)
        self.scratch = scratch
        self.best: tuple[Tensor, float] | None = None  # the canvas and its loss
        self.last: tuple[Tensor, Tensor] | None = None  # the canvas and its gradient
        self.precondition: Spectrum | None = None

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas: a quasi-Newton step from this one, or a retreat towards the best one."""
        now = evaluate(canvas)
        if self.precondition is None:
            self.precondition = Spectrum(canvas, self.scratch)
        if self.last is not None:
            self._remember(canvas, now.gradient, *self.last)
        self.last = (canvas, now.gradient)
        if self.best is not None and now.loss > self.best[1]:
            return self.scratch.map(lambda x, y: torch.lerp(x, y, self.RETREAT), self.best[0], canvas), now
        self.best = (canvas, now.loss)
        return self.scratch.map(lambda x, d: (x + d).clamp(0, 1), canvas, self._direction(now.gradient)), now

    def at_scale(self, size: Size) -> LBFGS:
        """A new start: curvature pairs of one scale don't fit the next one's objective."""
        return self.reset()

    def reset(self) -> LBFGS:
        """A new start."""
        return LBFGS(self.pairs.maxlen or 1, self.reach, self.scratch)

    def with_shorter_steps(self) -> LBFGS:
        """A new start that goes only part of each step."""
        return LBFGS(self.pairs.maxlen or 1, SHORTER * self.reach, self.scratch)

    def state(self) -> State:
        """The curvature pairs with their products, and what it compares with; P follows from the size."""
        return {
            "reach": self.reach,
            "pairs": [list(pair) for pair in self.pairs],
            "best": None if self.best is None else list(self.best),
            "last": None if self.last is None else list(self.last),
        }

    def load_state(self, state: State) -> LBFGS:
        """L-BFGS with those pairs."""
        new = LBFGS(self.pairs.maxlen or 1, state["reach"], self.scratch)
        new.pairs.extend((s, y, sy) for s, y, sy in state["pairs"] if sy > 0)  # 0 is of a pair that counts for nothing
        new.best = None if state["best"] is None else (state["best"][0], state["best"][1])
        new.last = None if state["last"] is None else (state["last"][0], state["last"][1])
        return new

    def _remember(self, canvas: Tensor, gradient: Tensor, canvas_before: Tensor, gradient_before: Tensor) -> None:
        moves = (canvas, canvas_before, gradient, gradient_before)
        sy = self.scratch.sum(lambda x, x0, g, g0: torch.dot(x - x0, g - g0), *moves)
        ss, yy = (self.scratch.sum(lambda a, b: (a - b).square().sum(), *pair) for pair in (moves[:2], moves[2:]))
        if sy > self.CURVED * math.sqrt(ss * yy) > 0:
            if len(self.pairs) == self.pairs.maxlen:
                self.pairs.popleft()  # makes room before more is taken
            s, y = self.scratch.map(torch.sub, *moves[:2]), self.scratch.map(torch.sub, *moves[2:])
            self.pairs.append((s, y, sy))

    def _direction(self, gradient: Tensor) -> Tensor:
        assert self.precondition is not None
        q = self.scratch.map(lambda g: g.clone(memory_format=torch.contiguous_format), gradient)
        taken: list[float] = []
        for s, y, sy in reversed(self.pairs):
            taken.append(self.scratch.sum(torch.dot, s, q) / sy)
            for to, change in self.scratch.pieces(q, y):
                to.sub_(change, alpha=taken[-1])
        if self.pairs:
            _, y, sy = self.pairs[-1]
            gamma = sy / self.scratch.sum(torch.dot, y, self.precondition(y))
            r = self.precondition(q, into=q)
        else:
            r = self.precondition(q, into=q)
            gamma = FIRST_MOVE / max(rms(r, self.scratch), 1e-30)
        for (to,) in self.scratch.pieces(r):
            to.mul_(gamma)
        for (s, y, sy), a in zip(self.pairs, reversed(taken), strict=True):
            b = self.scratch.sum(torch.dot, y, r) / sy
            for to, change in self.scratch.pieces(r, s):
                to.add_(change, alpha=a - b)
        for (to,) in self.scratch.pieces(r):
            to.mul_(-self.reach)
        return r


class Spectrum:
    """Multiplies the spectrum of a canvas-like tensor (1, 3, h, w) by 1/f, with f in cycles per pixel."""

    def __init__(self, canvas: Tensor, scratch: Scratch = MEMORY) -> None:
        h, w = canvas.shape[-2:]
        self.size, self.scratch = (h, w), scratch
        self.down = torch.fft.fftfreq(h, dtype=canvas.dtype, device=canvas.device)[:, None]
        self.across = torch.fft.rfftfreq(w, dtype=canvas.dtype, device=canvas.device)[None]
        self.whole = canvas.numel() * canvas.element_size() <= scratch.BAND
        self.gain = self.gain_of(slice(None)) if self.whole else None

    def gain_of(self, columns: slice) -> Tensor:
        """1/f at every frequency of some columns of the spectrum, finite where f = 0."""
        f = (self.down.square() + self.across[:, columns].square()).sqrt()
        return 1 / f.clamp(min=1 / max(self.size))

    def __call__(self, tensor: Tensor, into: Tensor | None = None) -> Tensor:
        """The filtered tensor, of the same shape; put `into` another one, which may be the tensor itself."""
        result = self.scratch.empty(tensor.shape, tensor) if into is None else into
        if self.gain is not None:
            return result.copy_(torch.fft.irfft2(torch.fft.rfft2(tensor) * self.gain, s=self.size))
        for source, target in zip(tensor.flatten(0, 1), result.flatten(0, 1), strict=True):
            self._filter(source, target)
        return result

    def _filter(self, source: Tensor, target: Tensor) -> None:
        """One plane (h, w), by bands of rows, then of columns, then of rows again: a 2-D transform is separable."""
        (h, w), half, scratch = self.size, self.across.shape[1], self.scratch
        spectrum = scratch.empty((h, half), source, source.dtype.to_complex())
        row = half * spectrum.element_size()
        for rows in scratch.windows(h, row):
            spectrum[rows] = torch.fft.rfft(source[rows])
        for columns in scratch.windows(half, h * spectrum.element_size()):
            part = torch.fft.fft(scratch.read(spectrum[:, columns]).contiguous(), dim=0).mul_(self.gain_of(columns))
            scratch.write(spectrum[:, columns], torch.fft.ifft(part, dim=0))
        for rows in scratch.windows(h, row):
            target[rows] = torch.fft.irfft(spectrum[rows], n=w)
