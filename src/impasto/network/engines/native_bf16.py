"""VGG19 in bfloat16 in our own C (native_bf16.c), for processors that multiply it by themselves; sums in float32.

Features and gradients between the layers have half the bytes, what is handed out is float32 as ever:
docs/decisions/0027-bfloat16.md.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from impasto.network.engine import EngineCost, PassCost
from impasto.network.engines.kernel_cache import KernelCache
from impasto.network.engines.native import NativeEngine, Pass
from impasto.network.engines.native_library import (
    BF16_NAMES,
    Bf16Kernel,
    ConvBf16,
    Unavailable,
    address,
    bf16_kernels,
    thread_count,
    why_no_bf16,
)
from impasto.network.weights import Weights
from impasto.settings.choices import Padding, Pooling, Precision

BLOCK = 256
"""Positions worked on at a time: so few that they stay in the cache, so many that kernels are reused."""

CHUNK = PANEL = 32
"""Input channels and outputs that a kernel takes at once, see native_bf16.h."""

BF16_COST = EngineCost(
    base=40_000_000,  # its libraries' buffers, and kernels of half the bytes of those that aren't transformed
    kept_of_relu=1,  # a mask
    kept_of_pool=0,
    # As in float32, but for what a convolution reads and writes.
    whole=PassCost(relus=0.25, requested=2.1, largest=0.5),
    tile=PassCost(relus=0.25, requested=3.3, largest=0.5),
)
"""Measured at 512 to 1024 px."""


class Bf16Engine(NativeEngine):
    """The native engine in bfloat16; by itself it takes the fastest kernel that the processor has.

    Raises `Unavailable` where it has none; the plain kernel, which all have, is there to test the others by.
    """

    cost = BF16_COST
    precision = Precision.BFLOAT16

    def __init__(
        self,
        weights: Weights,
        *,
        pooling: Pooling = Pooling.MAX,
        padding: Padding = Padding.ZERO,
        width: int | None = None,
        kernel: Bf16Kernel | None = None,
    ) -> None:
        if kernel is None and (fault := why_no_bf16()):
            raise Unavailable(fault)
        super().__init__(weights, pooling=pooling, padding=padding, width=width)
        self.kernel = max(bf16_kernels()) if kernel is None else kernel
        self.unit = BF16_NAMES.get(self.kernel, "")

    def convolve(self, name: str, x: Tensor, y: Tensor, *, back: bool = False, **pointers: Tensor | None) -> None:
        """y = the convolution of x, bordered features, and what `pointers` add to it (see ConvBf16 in native_bf16.h).

        Where y is float32, (h, w, k), it is written alone.
        """
        h, w, c = x.shape
        threads = thread_count()
        work = self.buffer(threads * BLOCK * PANEL)
        sizes = {"h": h, "w": w, "c": c, "k": y.shape[2], "block": BLOCK, "threads": threads}
        pointers["y" if y.dtype == torch.bfloat16 else "features"] = y
        addresses = {field: address(tensor) for field, tensor in pointers.items()}
        kernels = address(self.convolutions[name].kernels(back=back))
        call = ConvBf16(
            **sizes,
            **addresses,
            x=address(x),
            kernels=kernels,
            work=address(work),
            width=self.width,
            kernel=self.kernel,
        )
        self.library.impasto_conv_bf16(ctypes.byref(call))
        self.give_back(work)

    def bordered(self, h: int, w: int, c: int) -> Tensor:
        """A tensor (h, w, c) of bfloat16, anything in it, that lies in a buffer as native_bf16.h wants it."""
        size = self.library.impasto_bf16_size(h, w, c)
        pitch = size // ((h + 2) * (w + 2) + 32)
        buffer = self.buffer(-(-size // 2)).view(torch.bfloat16)
        return buffer.as_strided((h, w, c), ((w + 2) * pitch, pitch, 1), (w + 3) * pitch)

    def _convolution(self, weight: Tensor, bias: Tensor, kept: KernelCache) -> Convolution:
        return Convolution(weight, bias)

    def begin(self, wanted: list[str], x: Tensor, below: str | None, *, differentiable: bool) -> Pass:
        """A pass forwards of a normalised image, or of the features at `below`."""
        return Bf16Pass(self, wanted, x, below, differentiable=differentiable)


class Convolution:
    """One layer's frozen kernels, rounded and arranged for native_bf16.c when first needed in a direction."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.bias, self._original = bias, weight
        self.k, self.c = weight.shape[:2]
        self._arranged: dict[bool, Tensor] = {}

    def kernels(self, *, back: bool) -> Tensor:
        """Kernels of the convolution, or with `back` of its transpose, which takes gradients from outputs to inputs."""
        if back not in self._arranged:
            taps = self._original.to(torch.bfloat16).permute(2, 3, 1, 0).flatten(0, 1)  # (9, c, k)
            taps = taps.flip(0).transpose(1, 2) if back else taps
            _, c, k = taps.shape
            halves = taps.reshape(9, c // CHUNK, CHUNK // 2, 2, k // PANEL, 2, PANEL // 2)
            self._arranged[back] = halves.permute(4, 1, 0, 5, 2, 6, 3).contiguous()
        return self._arranged[back]


class Bf16Pass(Pass):
    """One image's pass through the network; what it hands out is float32, the next layer is given its rounding."""

    POOL_BACK = "impasto_pool_back_bf16"
    engine: Bf16Engine

    def _start(self, image: Tensor, below: str | None) -> tuple[Tensor, Tensor | None]:
        x, _ = super()._start(image, below)
        if below is None:
            return x, None
        packed = self._packed(x)
        return packed, packed

    def _output(self, shape: tuple[int, int, int], features: Tensor | None) -> tuple[Tensor, Tensor | None]:
        y = self.engine.bordered(*shape)
        return y, y

    def _compute(
        self, name: str, x: Tensor, y: Tensor, features: Tensor | None, before: Tensor | None, mask: Tensor | None
    ) -> None:
        engine, (h, w, k) = self.engine, y.shape
        if name.startswith("pool"):
            engine.call("impasto_pool_bf16", x, y, features, mask, *x.shape, engine.gain(name))
        elif name == "conv1_1":
            threads = thread_count()
            work = engine.buffer(threads * (9 * (w + 2) + w * k))
            bias, replicate = engine.convolutions[name].bias, engine.padding is Padding.REPLICATE
            arguments = x, engine.first, bias, y, features, before, mask, work, h, w, k, replicate
            engine.call("impasto_first_bf16", *arguments, threads=threads)
            engine.give_back(work)
        else:
            bias = engine.convolutions[name].bias
            engine.convolve(name, x, y, bias=bias, features=features, before=before, mask=mask)

    def _to_image(self, d: Tensor) -> Tensor:
        h, w, k = d.shape
        image = torch.empty(self.shape, dtype=torch.float32)
        threads = thread_count()
        work = self.engine.buffer(threads * (96 + k) * w)
        replicate = self.engine.padding is Padding.REPLICATE
        arguments = d, self.engine.first_back, image, work, h, w, k, replicate
        self.engine.call("impasto_first_back_bf16", *arguments, threads=threads)
        self.engine.give_back(work)
        return image

    def _gradient(self, shape: tuple[int, int, int]) -> Tensor:
        return self.engine.bordered(*shape)

    def _copied(self, add: Tensor, y: Tensor) -> None:
        self.engine.call("impasto_pack_bf16", add, y, *y.shape)

    def _packed(self, x: Tensor) -> Tensor:
        y = self.engine.bordered(*x.shape)
        self.engine.call("impasto_pack_bf16", x, y, *y.shape)
        return y
