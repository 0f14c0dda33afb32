"""VGG19 forward and backward in our own C (native.c): Winograd convolutions in float32, on x86-64 and ARM64.

Some 2 to 2.7 times as fast as torch: docs/decisions/0004-native-engine.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.errors import SettingsError
from impasto.network.engine import EngineCost, PassCost, check_request
from impasto.network.engines.kernel_cache import KernelCache
from impasto.network.engines.native_library import Conv, Unavailable, address, library, thread_count, why_not
from impasto.network.layers import CONVOLUTIONS, LAYERS, ORDER
from impasto.network.vgg import AVERAGE_POOLING_GAIN
from impasto.network.weights import Weights
from impasto.settings.choices import EngineName, Padding, Pooling, Precision
from impasto.storage.pool import POOL, FreeList

DEEP = 256 * 256
"""Kernels of more than so many channel pairs stay untransformed: native.c says why."""

BLOCK, DEEP_BLOCK = 28, 196
"""Tiles of 4×4 pixels worked on at a time: so few that they stay in the cache, so many that kernels are reused."""

STEPS = tuple(layer.name for layer in LAYERS if layer.kind != "relu")
"""What is computed one after the other: a convolution with its ReLU, or a pooling."""


NATIVE_COST = EngineCost(
    base=110_000_000,  # its libraries' buffers, and kernels transformed for Winograd's algorithm
    kept_of_relu=1,  # a mask
    kept_of_pool=0,
    # A quarter for masks, the features that are wanted and their gradients, of a tile also what its interior was cut
    # out of, and what a convolution reads and writes.
    whole=PassCost(relus=0.25, requested=2.1, largest=2),
    tile=PassCost(relus=0.25, requested=3.3, largest=2),
)
"""Measured at 512 to 1024 px."""


class NativeEngine:
    """Implements `Engine`: images (1, 3, h, w) in float32 on the CPU, one thread at a time.

    The features it hands out are never overwritten; what it needs between the passes is kept for the next ones.
    `width` is how many floats a vector of the kernels has, by itself as many as the processor has: 8 does without
    AVX-512. Raises `Unavailable`.
    """

    name = EngineName.NATIVE
    precision = Precision.FLOAT32
    unit = ""
    cost = NATIVE_COST
    device = torch.device("cpu")

    def __init__(
        self,
        weights: Weights,
        *,
        pooling: Pooling = Pooling.MAX,
        padding: Padding = Padding.ZERO,
        width: int | None = None,
    ) -> None:
        if fault := why_not(weights):
            raise Unavailable(fault)
        self.library = library()
        self.width = self.library.impasto_width() if width is None else width
        self.pooling, self.padding = Pooling(pooling), Padding(padding)
        self._buffers = FreeList()  # kept from pass to pass: fresh memory costs a page fault every 4 KB
        self.mean, self.std = (
            torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
            for values in (weights.convention.mean, weights.convention.std)
        )
        panel = 2 * self.width
        self.convolutions = {
            name: self._convolution(
                weights.tensors[f"{name}.weight"],
                weights.tensors[f"{name}.bias"],
                KernelCache(weights.cache, name, self.width),
            )
            for name in CONVOLUTIONS
        }
        first = weights.tensors["conv1_1.weight"]
        self.first = _panels(first.permute(3, 1, 2, 0).reshape(1, 27, -1), panel)
        taps = first.permute(0, 2, 3, 1).flatten(1)  # (k, 27): row, column, colour
        self.first_back = _panels(torch.nn.functional.pad(taps, (0, 5))[None], panel)

    def features(self, image: Tensor, layers: Iterable[str], *, below: str | None = None) -> dict[str, Tensor]:
        """Activations of an sRGB image (1, 3, h, w) in [0, 1] at each named layer, in memory as (h', w', c).

        With `below`, `image` is that pooling layer's features, and the network goes on from there. Raises
        `SettingsError` for a name that isn't a convolutional layer, an image too small for it or not float32.
        """
        wanted = sorted(set(layers), key=lambda name: ORDER.get(name, -1))
        channels = 3 if below is None else self.convolutions[_before(below)].k
        check_request(image, channels, wanted, [layer.name for layer in LAYERS], below)
        if image.dtype != torch.float32 or image.shape[0] != 1 or image.device != self.device:
            raise SettingsError(
                f"The native engine takes one float32 picture on the CPU, not {tuple(image.shape)} in {image.dtype} on "
                f"{image.device}",
                "use `engine` torch",
                knob="engine",
                value=str(self.name),
            )
        if not wanted:
            return {}
        x = image if below is not None else (image - self.mean) / self.std
        if torch.is_grad_enabled() and x.requires_grad:
            found = _Differentiable.apply(x, self, wanted, below)
            return dict(zip(wanted, found, strict=True))  # pyright: ignore[reportArgumentType]
        return self.begin(wanted, x, below, differentiable=False).features

    def convolve(self, name: str, x: Tensor, y: Tensor, *, back: bool = False, **pointers: Tensor | None) -> None:
        """y = the convolution of x, features (h, w, c), and what `pointers` add to it (see Conv in native.c)."""
        layer = self.convolutions[name]
        assert isinstance(layer, Convolution)
        h, w, c = x.shape
        k = y.shape[2]
        tiles = -(-h // 4) * -(-w // 4)
        sizes = {"h": h, "w": w, "c": c, "k": k, "deep": layer.deep, "width": self.width}
        sizes |= {"block": min(tiles, DEEP_BLOCK if layer.deep else BLOCK), "threads": thread_count()}
        addresses = {field: address(tensor) for field, tensor in pointers.items()}
        call = Conv(**sizes, **addresses, x=address(x), y=address(y), kernels=address(layer.kernels(back=back)))
        work = self.buffer(self.library.impasto_workspace(ctypes.byref(call)))
        call.work = address(work)
        self.library.impasto_conv(ctypes.byref(call))
        self.give_back(work)

    def buffer(self, *shape: int) -> Tensor:
        """A tensor with anything in it; it is the caller's until given back."""
        size = prod(shape)
        return self._buffers.take(size)[:size].view(shape)

    def give_back(self, tensor: Tensor) -> None:
        """Let what `buffer` handed out be used again."""
        self._buffers.give_back(tensor)

    @property
    def buffer_bytes(self) -> int:
        """Bytes of the buffers that are kept for the next passes."""
        return self._buffers.nbytes

    def call(self, function: str, *arguments: Tensor | float | None, threads: int | None = None) -> None:
        """A function of native.c, with tensors as addresses, and the threads and instructions to use.

        `threads` are given where what it works in was made for so many.
        """
        plain = [address(a) if isinstance(a, Tensor) else a for a in arguments]
        getattr(self.library, function)(*plain, thread_count() if threads is None else threads, self.width)

    def gain(self, pool: str) -> float:
        """What a mean is multiplied by, 0 for max pooling."""
        return AVERAGE_POOLING_GAIN[pool] if self.pooling is Pooling.AVERAGE else 0.0

    def _convolution(self, weight: Tensor, bias: Tensor, kept: KernelCache) -> Kernels:
        return Convolution(weight, bias, 2 * self.width, self.library, kept)

    def begin(self, wanted: list[str], x: Tensor, below: str | None, *, differentiable: bool) -> Pass:
        """A pass forwards of a normalised image, or of the features at `below`."""
        return Pass(self, wanted, x, below, differentiable=differentiable)


class Kernels(Protocol):
    """One layer's frozen kernels from `c` to `k` channels, arranged for the C that multiplies by them."""

    bias: Tensor
    k: int
    c: int

    def kernels(self, *, back: bool) -> Tensor:
        """Those of the convolution, or with `back` of its transpose, which takes gradients from outputs to inputs."""
        ...


class Convolution:
    """One layer's frozen kernels, arranged for native.c when first needed in a direction, or by an earlier process."""

    def __init__(self, weight: Tensor, bias: Tensor, panel: int, library: ctypes.CDLL, kept: KernelCache) -> None:
        self.bias, self.panel, self.library, self.kept = bias, panel, library, kept
        self.k, self.c = weight.shape[:2]
        self.deep = self.k * self.c > DEEP
        self._original: Tensor | None = weight
        self._arranged: dict[bool, Tensor] = {}

    def kernels(self, *, back: bool) -> Tensor:
        """Kernels of the convolution, or with `back` of its transpose, which takes gradients from outputs to inputs."""
        if back not in self._arranged:
            assert self._original is not None
            size = (9 if self.deep else 36) * self.c * self.k
            arranged = self.kept.read(size, back=back)
            if arranged is None:
                arranged = self._arrange(self._original, back=back)
                self.kept.write(arranged, back=back)
            self._arranged[back] = arranged
            if len(self._arranged) == 2:
                self._original = None
        return self._arranged[back]

    def _arrange(self, weight: Tensor, *, back: bool) -> Tensor:
        taps = weight.permute(2, 3, 1, 0).flatten(0, 1)  # (9, c, k)
        panels = _panels(taps.flip(0).transpose(1, 2) if back else taps, self.panel)
        if self.deep:
            return panels
        arranged = torch.empty(36, self.c, self.k, dtype=torch.float32)
        ins, outs = (self.k, self.c) if back else (self.c, self.k)
        self.library.impasto_transform(address(panels), address(arranged), ins, outs, thread_count(), self.panel // 2)
        return arranged


class Pass:
    """One image's pass through the network; a differentiable one keeps activation masks for the backward pass.

    `image` is the normalised image (1, 3, h, w), or the features (1, c, h, w) at `below`. An activation mask has a byte
    for every value, a quarter of the value itself: it says whether a gradient passes the ReLU and the pooling behind.
    """

    POOL_BACK = "impasto_pool_back"
    """What takes a gradient back through a pooling or a ReLU, in native.c."""

    def __init__(
        self, engine: NativeEngine, wanted: list[str], image: Tensor, below: str | None, *, differentiable: bool
    ) -> None:
        self.engine, self.shape = engine, image.shape
        first = 0 if below is None else STEPS.index(below) + 1
        self.steps = STEPS[first : 1 + max(STEPS.index(name.replace("relu", "conv")) for name in wanted)]
        self._shapes: dict[str, tuple[int, int, int]] = {}  # (h, w, c) after each step
        self._masks: dict[str, Tensor] = {}  # of each convolution's rectified outputs
        found: dict[str, Tensor] = {}
        x, temporary = self._start(image, below)  # the latter is x where it isn't among what is handed out
        h, w = image.shape[2:]
        mask: Tensor | None = None
        for name in self.steps:
            if name.startswith("pool"):
                h, w, c, after = h // 2, w // 2, x.shape[2], name
            else:
                c, after = engine.convolutions[name].k, name.replace("conv", "relu")
                if differentiable:
                    mask = self._masks[name] = POOL.bytes(h, w, c)
            self._shapes[name] = h, w, c
            found |= {layer: POOL.empty(h, w, c) for layer in (name, after) if layer in wanted}
            y, made = self._output((h, w, c), found.get(after))
            self._compute(name, x, y, found.get(after), found.get(name), mask)
            if temporary is not None:
                engine.give_back(temporary)
            x, temporary = y, made
        if temporary is not None:
            engine.give_back(temporary)
        self.features = {name: found[name].permute(2, 0, 1)[None] for name in wanted}

    def backward(self, arrived: Mapping[str, Tensor]) -> Tensor:
        """The gradient to what came in, (1, c, h, w), of gradients (h, w, c) that arrived at the features."""
        above, d = "", None  # the step above, and the gradient at its output before the ReLU: None as long as it is 0
        for name in reversed(self.steps):
            lower = self._before_relu(name, above, d, arrived)
            if d is not None:
                self.engine.give_back(d)
            above, d = name, lower
        if d is None:
            return torch.zeros(self.shape, dtype=torch.float32)
        found = self._to_image(d) if self.steps[0] == STEPS[0] else self._to_features(d)
        self.engine.give_back(d)
        return found

    def _start(self, image: Tensor, below: str | None) -> tuple[Tensor, Tensor | None]:
        """What the first step is given, and the buffer made for it."""
        return image.contiguous() if below is None else image[0].permute(1, 2, 0).contiguous(), None

    def _output(self, shape: tuple[int, int, int], features: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Where a step puts what the next is given, and the buffer made for it."""
        if features is not None:
            return features, None
        y = self.engine.buffer(*shape)
        return y, y

    def _to_image(self, d: Tensor) -> Tensor:
        h, w, k = d.shape
        threads = thread_count()
        image, work = torch.empty(self.shape, dtype=torch.float32), self.engine.buffer(threads * 96 * w)
        replicate = self.engine.padding is Padding.REPLICATE
        arguments = d, self.engine.first_back, image, work, h, w, k, replicate
        self.engine.call("impasto_first_back", *arguments, threads=threads)
        self.engine.give_back(work)
        return image

    def _to_features(self, d: Tensor) -> Tensor:
        """The gradient to the features that the first step, a convolution, started from."""
        _, c, h, w = self.shape
        y = POOL.empty(h, w, c)
        self.engine.convolve(self.steps[0], d, y, back=True)
        return y.permute(2, 0, 1)[None]

    def _compute(
        self, name: str, x: Tensor, y: Tensor, features: Tensor | None, before: Tensor | None, mask: Tensor | None
    ) -> None:
        """One step from x to y; `features`, where they are handed out, are y itself."""
        engine, (h, w, k) = self.engine, y.shape
        if name.startswith("pool"):
            engine.call("impasto_pool", x, y, mask, *x.shape, engine.gain(name))
        elif name == "conv1_1":
            threads = thread_count()
            work = engine.buffer(threads * 9 * (w + 2))
            bias = engine.convolutions[name].bias
            replicate = engine.padding is Padding.REPLICATE
            arguments = x, engine.first, bias, y, before, mask, work, h, w, k, replicate
            engine.call("impasto_first", *arguments, threads=threads)
            engine.give_back(work)
        else:
            engine.convolve(name, x, y, bias=engine.convolutions[name].bias, before=before, mask=mask)

    def _before_relu(self, name: str, above: str, d: Tensor | None, arrived: Mapping[str, Tensor]) -> Tensor | None:
        """The gradient at the output of a step, before its ReLU, from the one at the output of the step above."""
        engine, pool = self.engine, name.startswith("pool")
        add, add_before = arrived.get(name.replace("conv", "relu")), None if pool else arrived.get(name)
        if d is None and add is None and add_before is None:
            return None
        y, mask = self._gradient(self._shapes[name]), self._masks.get(name)
        if d is not None and above.startswith("conv"):
            engine.convolve(above, d, y, back=True, add=add, mask=mask, add_before=add_before)
        elif pool and add is not None:
            self._copied(add, y)
        else:
            gain = 0.0 if d is None else engine.gain(above)
            engine.call(self.POOL_BACK, mask, d, add, add_before, y, *y.shape, gain)
        return y

    def _gradient(self, shape: tuple[int, int, int]) -> Tensor:
        """Where a gradient is put that goes from one step to the one below."""
        return self.engine.buffer(*shape)

    def _copied(self, add: Tensor, y: Tensor) -> None:
        y.copy_(add)


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image: Tensor, engine: NativeEngine, wanted: list[str], below: str | None
    ) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.network_pass, ctx.wanted = engine.begin(wanted, image, below, differentiable=True), wanted
        ctx.set_materialize_grads(False)
        features = ctx.network_pass.features
        ctx.network_pass.features = {}  # autograd's own: kept here, they would keep the graph alive
        return tuple(features[name] for name in wanted)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        arrived = {
            name: gradient[0].permute(1, 2, 0).contiguous()
            for name, gradient in zip(ctx.wanted, gradients, strict=True)
            if gradient is not None
        }
        return ctx.network_pass.backward(arrived), None, None, None


def _before(pool: str) -> str:
    """The convolution before a pooling."""
    return STEPS[STEPS.index(pool) - 1]


def _panels(kernels: Tensor, panel: int) -> Tensor:
    """(n, c, k) -> (n, k / panel, c, panel), the order in which native.c reads them."""
    n, c, k = kernels.shape
    return kernels.reshape(n, c, k // panel, panel).transpose(1, 2).contiguous()
