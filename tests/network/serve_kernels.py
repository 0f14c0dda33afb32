"""The native engine's library in a process of another kind of machine, which serve_kernels.c is compiled for."""

import ctypes
import struct
import subprocess
from collections.abc import Mapping, Sequence
from math import prod

from impasto.losses.native_moments import BLOCK

FUNCTIONS = ("version", "width", "workspace", "conv", "transform", "first", "first_back", "pool", "pool_back")
FUNCTIONS += ("moments_parts", "moments", "moments_back")
NOTHING, INT, FLOAT, READ, CHANGED, SCRATCH = range(6)


class ServedLibrary:
    """What `native_library.load` returns, the kernels computing in a process that `command` starts."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def close(self) -> None:
        self._process.communicate()

    def impasto_version(self) -> int:
        return self._call("version")

    def impasto_width(self) -> int:
        return self._call("width")

    def impasto_workspace(self, reference) -> int:
        return self._call("workspace", *[None] * 9, *_sizes(reference._obj))

    def impasto_conv(self, reference) -> None:
        a = reference._obj
        ins, outs = a.h * a.w * a.c, a.h * a.w * a.k
        work = 4 * self.impasto_workspace(reference)
        self._call(
            "conv",
            (a.x, READ, 4 * ins),
            (a.kernels, READ, 4 * a.c * a.k * (9 if a.deep else 36)),
            (a.y, CHANGED, 4 * outs),
            (a.bias, READ, 4 * a.k),
            (a.add, READ, 4 * outs),
            (a.mask, CHANGED, outs),
            (a.add_before, READ, 4 * outs),
            (a.before, CHANGED, 4 * outs),
            (a.work, SCRATCH, work),
            *_sizes(a),
        )

    def impasto_transform(self, g, u, c, k, threads, width) -> None:
        self._call("transform", (g, READ, 36 * c * k), (u, CHANGED, 4 * 36 * c * k), c, k, threads, width)

    def impasto_first(self, image, b, bias, y, before, mask, work, h, w, k, replicate, threads, width) -> None:
        self._call(
            "first",
            (image, READ, 12 * h * w),
            (b, READ, 4 * 27 * k),
            (bias, READ, 4 * k),
            (y, CHANGED, 4 * h * w * k),
            (before, CHANGED, 4 * h * w * k),
            (mask, CHANGED, h * w * k),
            (work, SCRATCH, 4 * threads * 9 * (w + 2)),
            *(h, w, k, replicate, threads, width),
        )

    def impasto_first_back(self, dy, b, dimage, work, h, w, k, replicate, threads, width) -> None:
        self._call(
            "first_back",
            (dy, READ, 4 * h * w * k),
            (b, READ, 4 * 32 * k),
            (dimage, CHANGED, 12 * h * w),
            (work, SCRATCH, 4 * threads * 96 * w),
            *(h, w, k, replicate, threads, width),
        )

    def impasto_pool(self, x, y, mask, h, w, c, mean, threads, width) -> None:
        after = (h // 2) * (w // 2) * c
        buffers = (x, READ, 4 * h * w * c), (y, CHANGED, 4 * after), (mask, CHANGED, h * w * c)
        self._call("pool", *buffers, h, w, c, float(mean), threads, width)

    def impasto_pool_back(self, mask, dy, add, add_before, dx, h, w, c, mean, threads, width) -> None:
        size = prod((h, w, c))
        self._call(
            "pool_back",
            (mask, READ, size),
            (dy, READ, 4 * (h // 2) * (w // 2) * c),
            (add, READ, 4 * size),
            (add_before, READ, 4 * size),
            (dx, CHANGED, 4 * size),
            *(h, w, c, float(mean), threads, width),
        )

    def impasto_moments_parts(self, m, c) -> int:
        return self._call("moments_parts", m, c)

    def impasto_moments(self, x, parts, sums, work, m, c, threads, width) -> None:
        self._call(
            "moments",
            (x, READ, 4 * m * c),
            (parts, SCRATCH, 8 * self.impasto_moments_parts(m, c) * (c + 1) * c),
            (sums, CHANGED, 8 * (c + 1) ** 2),
            (work, SCRATCH, 4 * threads * BLOCK),
            *(m, c, threads, width),
        )

    def impasto_moments_back(self, x, d, panels, y, m, c, threads, width) -> None:
        self._call(
            "moments_back",
            (x, READ, 4 * m * c),
            (d, READ, 8 * (c + 1) ** 2),
            (panels, SCRATCH, 4 * (c + 1) * c),
            (y, CHANGED, 4 * m * c),
            *(m, c, threads, width),
        )

    def _call(self, function: str, *arguments) -> int:
        """What the function returns; a buffer is (address, kind, bytes)."""
        sent, read = self._process.stdin, self._process.stdout
        assert sent is not None
        assert read is not None
        sent.write(struct.pack("=ii", FUNCTIONS.index(function), len(arguments)))
        for a in arguments:
            match a:
                case None | (None, _, _):
                    sent.write(struct.pack("=i", NOTHING))
                case float():
                    sent.write(struct.pack("=if", FLOAT, a))
                case int():
                    sent.write(struct.pack("=ii", INT, a))
                case (address, kind, size):
                    sent.write(struct.pack("=iq", kind, size))
                    if kind != SCRATCH:
                        sent.write(ctypes.string_at(address, size))
        sent.flush()
        (returned,) = struct.unpack("=q", self._read(8))
        for a in arguments:
            if isinstance(a, tuple) and a[0] is not None and a[1] == CHANGED:
                ctypes.memmove(a[0], self._read(a[2]), a[2])
        return returned

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        found = self._process.stdout.read(size)
        assert len(found) == size, f"the process with the kernels ended with code {self._process.wait()}"
        return found


def _sizes(conv) -> list[int]:
    return [getattr(conv, name) for name in conv._sizes]
