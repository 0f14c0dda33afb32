"""Ways to descend: plain gradient descent, Adam and L-BFGS. Each step takes a canvas and gives the next one.

A canvas is never changed in place, and it is always a picture: its values stay in [0, 1]. Whatever is as large as a
canvas is worked on band by band, in the `Scratch` that says whether it is in memory or in files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.settings.choices import OptimizerName
from impasto.storage.scratch import MEMORY, Scratch, resample


@dataclass(frozen=True)
class Evaluation:
    """The objective at one canvas: its loss, the loss's weighted parts by name, and the gradient (like the canvas)."""

    loss: float
    parts: dict[str, float]
    gradient: Tensor


Evaluate = Callable[[Tensor], Evaluation]

State = dict[str, Any]
"""What an optimiser knows between two steps: numbers and tensors by name, in dicts and lists."""

FIRST_MOVE = 0.02
"""Root mean square of the first step of `GradientDescent` and `LBFGS`, in units of the pixel range [0, 1]."""

GENTLER = 0.25
"""Length of a step after one that led to NaN or ∞, relative to what it was before."""


class Optimizer(Protocol):
    """What the stylizer asks of a way to descend."""

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas, and the objective as it was at the one that came in."""
        ...

    def resized(self, size: tuple[int, int]) -> Optimizer:
        """The optimiser to go on with when the canvas is resized to (h, w) pixels."""
        ...

    def reset(self) -> Optimizer:
        """The optimiser to go on with on another kind of canvas: without a past, and as gentle as it has become."""
        ...

    def gentler(self) -> Optimizer:
        """The optimiser to begin again with after a step to where nothing is finite: `GENTLER`, and without a past."""
        ...

    def state(self) -> State:
        """All that its next steps depend on, as `restored` takes it."""
        ...

    def restored(self, state: State) -> Optimizer:
        """The optimiser of this kind that gave that `state`: its next steps are the same to the bit."""
        ...


class GradientDescent:
    """x ← x − t ∇L, clamped to [0, 1], with t found by backtracking so that the loss never rises.

    Armijo's rule along the projection arc (Bertsekas 1976, eq. 12). An accepted step lets the next one try twice its
    length. Each trial costs one evaluation; the accepted trial's serves the step after it.
    """

    SUFFICIENT_DECREASE = 1e-4
    MOST_TRIALS = 30

    def __init__(self, first_move: float = FIRST_MOVE, scratch: Scratch = MEMORY) -> None:
        self.first_move = first_move
        self.scratch = scratch
        self.length: float | None = None
        self._here: tuple[Tensor, Evaluation] | None = None

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas; the same one when no shorter step lowers the loss."""
        now = self._here[1] if self._here is not None and self._here[0] is canvas else evaluate(canvas)
        self._here = (canvas, now)
        if self.scratch.all(lambda g: ~g.any(), now.gradient):
            return canvas, now
        if self.length is None:
            self.length = self.first_move / _rms(now.gradient, self.scratch)
        for _ in range(self.MOST_TRIALS):
            t = self.length
            trial = self.scratch.map(lambda x, g, t=t: (x - t * g).clamp(0, 1), canvas, now.gradient)
            moved = self.scratch.sum(lambda x, y: (y - x).square().sum(), canvas, trial)
            there = evaluate(trial)
            if there.loss <= now.loss - self.SUFFICIENT_DECREASE * moved / t:
                self._here = (trial, there)
                self.length *= 2
                return trial, now
            self.length /= 2
        return canvas, now

    def resized(self, size: tuple[int, int]) -> GradientDescent:
        """A new start: the best step length depends on the scale."""
        return self.reset()

    def reset(self) -> GradientDescent:
        """A new start."""
        return GradientDescent(self.first_move, self.scratch)

    def gentler(self) -> GradientDescent:
        """A new start with a shorter first move."""
        return GradientDescent(GENTLER * self.first_move, self.scratch)

    def state(self) -> State:
        """The step length to try, and the accepted trial, whose evaluation serves the next step."""
        here = None
        if self._here is not None:
            canvas, now = self._here
            here = {"canvas": canvas, "gradient": now.gradient, "loss": now.loss, "parts": dict(now.parts)}
        return {"first_move": self.first_move, "length": self.length, "here": here}

    def restored(self, state: State) -> GradientDescent:
        """Gradient descent with that step length and trial."""
        new = GradientDescent(state["first_move"], self.scratch)
        new.length = state["length"]
        if (here := state["here"]) is not None:
            new._here = here["canvas"], Evaluation(here["loss"], here["parts"], here["gradient"])
        return new


class Adam:
    """Kingma & Ba 2014, algorithm 1, clamped to [0, 1].

    β₂ = 0.99, since the gradients here carry no noise and a shorter memory follows the changing curvature.
    """

    BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8

    def __init__(self, learning_rate: float, scratch: Scratch = MEMORY) -> None:
        self.learning_rate = learning_rate
        self.scratch = scratch
        self.steps = 0
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas, at most about `learning_rate` away in each pixel."""
        now = evaluate(canvas)
        if self.first is None or self.second is None:
            self.first, self.second = (self.scratch.zeros(canvas.shape, canvas) for _ in range(2))
        self.steps += 1
        for first, second, g in self.scratch.pieces(self.first, self.second, now.gradient):
            first.lerp_(g, 1 - self.BETA1)
            second.lerp_(g.square(), 1 - self.BETA2)
        shrunk, spread_of = 1 - self.BETA1**self.steps, 1 - self.BETA2**self.steps
        mean_spread = self.scratch.sum(lambda v: (v / spread_of).sqrt().sum(), self.second) / canvas.numel()
        # The gradient's scale is arbitrary here (α and β are), so ε is relative to it.
        epsilon = self.EPSILON + 1e-3 * mean_spread

        def moved(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
            spread = (second / spread_of).sqrt()
            return (x - self.learning_rate * (first / shrunk) / (spread + epsilon)).clamp(0, 1)

        return self.scratch.map(moved, canvas, self.first, self.second), now

    def resized(self, size: tuple[int, int]) -> Adam:
        """The same moments, interpolated."""
        new = Adam(self.learning_rate, self.scratch)
        if self.first is not None and self.second is not None:
            new.steps = self.steps
            new.first = resample(self.first, size, "bilinear", self.scratch)
            new.second = resample(self.second, size, "bilinear", self.scratch)
        return new

    def reset(self) -> Adam:
        """A new start: moments of three channels say nothing of a grey canvas."""
        return Adam(self.learning_rate, self.scratch)

    def gentler(self) -> Adam:
        """A new start with a lower learning rate: the moments may not be finite any more."""
        return Adam(GENTLER * self.learning_rate, self.scratch)

    def state(self) -> State:
        """The learning rate, the count of steps and copies of the two moments, which change in place."""
        first, second = (None if m is None else self.scratch.map(torch.clone, m) for m in (self.first, self.second))
        return {"learning_rate": self.learning_rate, "steps": self.steps, "first": first, "second": second}

    def restored(self, state: State) -> Adam:
        """Adam with those moments."""
        new = Adam(state["learning_rate"], self.scratch)
        new.steps = state["steps"]
        if state["first"] is not None:
            new.first, new.second = (self.scratch.map(torch.clone, state[name]) for name in ("first", "second"))
        return new


class LBFGS:
    """Limited-memory BFGS, Nocedal & Wright 2006, algorithms 7.4 and 7.5, with one evaluation a step.

    Departures: there is no line search; the unit step is taken, clamped to [0, 1], and when it made the loss rise,
    the next step goes back to the best canvas plus a quarter of the way. The initial inverse Hessian is γ P with
    γ = sᵀy / yᵀPy (eq. 7.20 under the norm of P), where P is the `Spectrum` preconditioner: a smooth change of the
    picture is cheaper than a rough one, as when the coefficients of its spectrum scaled by 1/√f are optimised.
    """

    RETREAT = 0.25

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

    def resized(self, size: tuple[int, int]) -> LBFGS:
        """A new start: curvature pairs of one scale don't fit the next one's objective."""
        return self.reset()

    def reset(self) -> LBFGS:
        """A new start."""
        return LBFGS(self.pairs.maxlen or 1, self.reach, self.scratch)

    def gentler(self) -> LBFGS:
        """A new start that goes only part of each step."""
        return LBFGS(self.pairs.maxlen or 1, GENTLER * self.reach, self.scratch)

    def state(self) -> State:
        """The curvature pairs with their products, and what it compares with; P follows from the size."""
        return {
            "reach": self.reach,
            "pairs": [list(pair) for pair in self.pairs],
            "best": None if self.best is None else list(self.best),
            "last": None if self.last is None else list(self.last),
        }

    def restored(self, state: State) -> LBFGS:
        """L-BFGS with those pairs."""
        new = LBFGS(self.pairs.maxlen or 1, state["reach"], self.scratch)
        new.pairs.extend((s, y, sy) for s, y, sy in state["pairs"])
        new.best = None if state["best"] is None else (state["best"][0], state["best"][1])
        new.last = None if state["last"] is None else (state["last"][0], state["last"][1])
        return new

    def _remember(self, canvas: Tensor, gradient: Tensor, canvas_before: Tensor, gradient_before: Tensor) -> None:
        moves = (canvas, canvas_before, gradient, gradient_before)
        sy = self.scratch.sum(lambda x, x0, g, g0: torch.dot(x - x0, g - g0), *moves)
        if sy > 1e-10 * self.scratch.sum(lambda g, g0: (g - g0).square().sum(), gradient, gradient_before) > 0:
            if len(self.pairs) == self.pairs.maxlen:
                self.pairs.popleft()  # makes room before more is taken
            s, y = self.scratch.map(torch.sub, *moves[:2]), self.scratch.map(torch.sub, *moves[2:])
            self.pairs.append((s, y, sy))  # sᵀy > 0 keeps the inverse Hessian positive definite

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
            gamma = FIRST_MOVE / max(_rms(r, self.scratch), 1e-30)
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


def _rms(tensor: Tensor, scratch: Scratch) -> float:
    """Root mean square, also of gradients so large or small (extreme weights) that their squares leave float32."""
    return (scratch.sum(_energy, tensor) / tensor.numel()) ** 0.5


def _energy(part: Tensor) -> Tensor:
    largest = part.abs().max()
    if largest == 0 or not largest.isfinite():
        return largest
    return (part / largest).square().sum().double() * largest.double().square()


def make(
    name: OptimizerName, *, learning_rate: float = 0.02, history: int = 20, scratch: Scratch = MEMORY
) -> Optimizer:
    """The optimiser of that name, at its start."""
    match name:
        case OptimizerName.GD:
            return GradientDescent(scratch=scratch)
        case OptimizerName.ADAM:
            return Adam(learning_rate, scratch)
        case OptimizerName.LBFGS:
            return LBFGS(history, scratch=scratch)
