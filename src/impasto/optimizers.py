"""Ways to descend: plain gradient descent, Adam and L-BFGS. Each step takes a canvas and gives the next one.

A canvas is never changed in place, and it is always a picture: its values stay in [0, 1].
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.settings import OptimizerName


@dataclass(frozen=True)
class Evaluation:
    """The objective at one canvas: its loss, the loss's weighted parts by name, and the gradient (like the canvas)."""

    loss: float
    parts: dict[str, float]
    gradient: Tensor


Evaluate = Callable[[Tensor], Evaluation]

FIRST_MOVE = 0.02
"""Root mean square of the first step of `GradientDescent` and `LBFGS`, in units of the pixel range [0, 1]."""


class Optimizer(Protocol):
    """What the stylizer asks of a way to descend."""

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas, and the objective as it was at the one that came in."""
        ...

    def resized(self, size: tuple[int, int]) -> Optimizer:
        """The optimiser to go on with when the canvas is resized to (h, w) pixels."""
        ...


class GradientDescent:
    """x ← x − t ∇L, clamped to [0, 1], with t found by backtracking so that the loss never rises.

    Armijo's rule along the projection arc (Bertsekas 1976, eq. 12). An accepted step lets the next one try twice its
    length. Each trial costs one evaluation; the accepted trial's serves the step after it.
    """

    SUFFICIENT_DECREASE = 1e-4
    MOST_TRIALS = 30

    def __init__(self) -> None:
        self.length: float | None = None
        self._here: tuple[Tensor, Evaluation] | None = None

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas; the same one when no shorter step lowers the loss."""
        now = self._here[1] if self._here is not None and self._here[0] is canvas else evaluate(canvas)
        self._here = (canvas, now)
        if not now.gradient.any():
            return canvas, now
        if self.length is None:
            self.length = FIRST_MOVE / _rms(now.gradient)
        for _ in range(self.MOST_TRIALS):
            trial = (canvas - self.length * now.gradient).clamp(0, 1)
            moved = (trial - canvas).square().sum().item()
            there = evaluate(trial)
            if there.loss <= now.loss - self.SUFFICIENT_DECREASE * moved / self.length:
                self._here = (trial, there)
                self.length *= 2
                return trial, now
            self.length /= 2
        return canvas, now

    def resized(self, size: tuple[int, int]) -> GradientDescent:
        """A new start: the best step length depends on the scale."""
        return GradientDescent()


class Adam:
    """Kingma & Ba 2014, algorithm 1, clamped to [0, 1].

    β₂ = 0.99, since the gradients here carry no noise and a shorter memory follows the changing curvature.
    """

    BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.steps = 0
        self.first: Tensor | None = None
        self.second: Tensor | None = None

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas, at most about `learning_rate` away in each pixel."""
        now = evaluate(canvas)
        g = now.gradient
        if self.first is None or self.second is None:
            self.first, self.second = torch.zeros_like(g), torch.zeros_like(g)
        self.steps += 1
        self.first = self.first.lerp(g, 1 - self.BETA1)
        self.second = self.second.lerp(g.square(), 1 - self.BETA2)
        mean = self.first / (1 - self.BETA1**self.steps)
        spread = (self.second / (1 - self.BETA2**self.steps)).sqrt()
        # The gradient's scale is arbitrary here (α and β are), so ε is relative to it.
        epsilon = self.EPSILON + 1e-3 * spread.mean()
        return (canvas - self.learning_rate * mean / (spread + epsilon)).clamp(0, 1), now

    def resized(self, size: tuple[int, int]) -> Adam:
        """The same moments, interpolated."""
        new = Adam(self.learning_rate)
        if self.first is not None and self.second is not None:
            new.steps = self.steps
            new.first = F.interpolate(self.first, size, mode="bilinear", antialias=True)
            new.second = F.interpolate(self.second, size, mode="bilinear", antialias=True)
        return new


class LBFGS:
    """Limited-memory BFGS, Nocedal & Wright 2006, algorithms 7.4 and 7.5, with one evaluation a step.

    Departures: there is no line search; the unit step is taken, clamped to [0, 1], and when it made the loss rise,
    the next step goes back to the best canvas plus a quarter of the way. The initial inverse Hessian is γ P with
    γ = sᵀy / yᵀPy (eq. 7.20 under the norm of P), where P is the `Spectrum` preconditioner: a smooth change of the
    picture is cheaper than a rough one, as when the coefficients of its spectrum scaled by 1/√f are optimised.
    """

    RETREAT = 0.25

    def __init__(self, history: int = 20) -> None:
        self.pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=history)
        self.best: tuple[Tensor, Evaluation] | None = None
        self.last: tuple[Tensor, Evaluation] | None = None
        self.precondition: Spectrum | None = None

    def step(self, canvas: Tensor, evaluate: Evaluate) -> tuple[Tensor, Evaluation]:
        """The next canvas: a quasi-Newton step from this one, or a retreat towards the best one."""
        now = evaluate(canvas)
        if self.precondition is None:
            self.precondition = Spectrum(canvas)
        if self.last is not None:
            self._remember(canvas - self.last[0], now.gradient - self.last[1].gradient)
        self.last = (canvas, now)
        if self.best is not None and now.loss > self.best[1].loss:
            return torch.lerp(self.best[0], canvas, self.RETREAT), now
        self.best = self.last
        return (canvas + self._direction(now.gradient)).clamp(0, 1), now

    def resized(self, size: tuple[int, int]) -> LBFGS:
        """A new start: curvature pairs of one scale don't fit the next one's objective."""
        return LBFGS(self.pairs.maxlen or 1)

    def _remember(self, s: Tensor, y: Tensor) -> None:
        sy = torch.dot(s.flatten(), y.flatten()).item()
        if sy > 1e-10 * y.square().sum().item() > 0:  # keeps the inverse Hessian positive definite, and finite
            self.pairs.append((s, y, sy))

    def _direction(self, gradient: Tensor) -> Tensor:
        assert self.precondition is not None
        q = gradient.clone()
        taken: list[float] = []
        for s, y, sy in reversed(self.pairs):
            a = torch.dot(s.flatten(), q.flatten()).item() / sy
            q.sub_(y, alpha=a)
            taken.append(a)
        r = self.precondition(q)
        if self.pairs:
            _, y, sy = self.pairs[-1]
            r.mul_(sy / torch.dot(y.flatten(), self.precondition(y).flatten()).item())
        else:
            r.mul_(FIRST_MOVE / max(_rms(r), 1e-30))
        for (s, y, sy), a in zip(self.pairs, reversed(taken), strict=True):
            b = torch.dot(y.flatten(), r.flatten()).item() / sy
            r.add_(s, alpha=a - b)
        return r.neg_()


class Spectrum:
    """Multiplies the spectrum of a canvas-like tensor (1, 3, h, w) by 1/f, with f in cycles per pixel."""

    def __init__(self, canvas: Tensor) -> None:
        h, w = canvas.shape[-2:]
        fy = torch.fft.fftfreq(h, dtype=canvas.dtype, device=canvas.device)[:, None]
        fx = torch.fft.rfftfreq(w, dtype=canvas.dtype, device=canvas.device)[None]
        self.gain = 1 / (fy.square() + fx.square()).sqrt().clamp(min=1 / max(h, w))
        self.size = (h, w)

    def __call__(self, tensor: Tensor) -> Tensor:
        """The filtered tensor, of the same shape."""
        return torch.fft.irfft2(torch.fft.rfft2(tensor) * self.gain, s=self.size)


def _rms(tensor: Tensor) -> float:
    """Root mean square, also of gradients so large or small (extreme weights) that their squares leave float32."""
    found = tensor.square().mean().sqrt().item()
    if found in (0, math.inf) and (largest := tensor.abs().max().item()):
        return largest * (tensor / largest).square().mean().sqrt().item()
    return found


def make(name: OptimizerName, *, learning_rate: float = 0.02, history: int = 20) -> Optimizer:
    """The optimiser of that name, at its start."""
    match name:
        case OptimizerName.GD:
            return GradientDescent()
        case OptimizerName.ADAM:
            return Adam(learning_rate)
        case OptimizerName.LBFGS:
            return LBFGS(history)
