"""A child process that reads pictures under limits, so that a picture that kills, hangs or swells it kills only it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEMORY = 2**30
"""Bytes of address space that reading may take; with it, resident memory stays below."""

SECONDS = 5.0
"""Of processor time that reading one picture may take."""

PATIENCE = 120.0
"""Seconds on the clock until a child counts as hung, many times `SECONDS` as other programs may want the processor."""


@dataclass(frozen=True)
class Reading:
    """What became of one picture: 'loaded', 'refused', or what must not happen: 'raised', 'died' or 'hung'."""

    outcome: str
    message: str = ""
    shape: tuple[int, ...] = ()
    alpha: bool = False
    good: bool = True
    """Float32, finite, from 0 to 1, and alpha of the same size."""
    seconds: float = 0.0
    megabytes: float = 0.0
    """Peak of resident memory above what there was before."""


class Reader:
    """Reads one picture after another in a child, which is started again after its death; use with `with`."""

    def __init__(self, max_pixels: int = 20_000_000, patience: float = PATIENCE) -> None:
        self.max_pixels, self.patience = max_pixels, patience
        self.starts = 0
        self.child: subprocess.Popen[bytes] | None = None
        self._place = tempfile.TemporaryDirectory()
        self._draft = Path(self._place.name) / "picture"

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._place.cleanup()

    def read(self, picture: Path | bytes) -> Reading:
        """Have a picture read, and the note in it, and wait for what becomes of it."""
        child = self.child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        if isinstance(picture, bytes):
            self._draft.write_bytes(picture)
        try:
            child.stdin.write(f"{self._draft if isinstance(picture, bytes) else picture}\n".encode())
            child.stdin.flush()
            if not select.select([child.stdout], [], [], self.patience)[0]:
                self._stop()
                return Reading("hung")
            answer = child.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            status = child.wait()
            self._stop()
            return Reading("died", f"exit status {status}")
        return Reading(**json.loads(answer))

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        self.child = subprocess.Popen(
            [sys.executable, __file__, str(self.max_pixels)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libtiff talks
        )
        assert self.child.stdout is not None
        assert self.child.stdout.readline() == b"ready\n"
        return self.child

    def _stop(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
            self.child = None


def complaints(reading: Reading) -> list[str]:
    """Every promise that a reading breaks."""
    found = []
    if reading.outcome not in ("loaded", "refused"):
        found.append(f"{reading.outcome}: {reading.message}")
    if reading.outcome == "loaded" and not (reading.good and len(reading.shape) == 4 and min(reading.shape) >= 1):
        found.append(f"no picture: {reading.shape}")
    if reading.outcome == "refused":
        text = reading.message
        if "\n" in text or not text.endswith(".") or ": " not in text or len(text) > 600:
            found.append(f"not one sentence with a cure: {text!r}")
    if reading.seconds > SECONDS:
        found.append(f"took {reading.seconds:.1f} s")
    if reading.megabytes > MEMORY / 1e6:
        found.append(f"took {reading.megabytes:.0f} MB")
    return found


def serve(max_pixels: int) -> None:
    """The child: pictures in through standard input, one line of JSON out for each."""
    from impasto.images import decoding

    decoding.srgb_profile()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed goes elsewhere
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak, see proc(5)
        before, began = _peak(), time.process_time()
        answer = _read(Path(line.removesuffix("\n")), max_pixels)
        answer |= {"seconds": time.process_time() - began, "megabytes": (_peak() - before) / 1000}
        print(json.dumps(answer), file=answers, flush=True)


def _read(path: Path, max_pixels: int) -> dict[str, Any]:
    from impasto.errors import ImageError
    from impasto.images import reading

    try:
        with contextlib.suppress(ImageError):
            reading.read_note(path)
        picture = reading.load(path, max_pixels=max_pixels)
    except ImageError as error:
        return {"outcome": "refused", "message": str(error).replace(str(path), "FILE")}
    except BaseException as error:
        return {"outcome": "raised", "message": repr(error)}
    pixels, alpha = picture.pixels, picture.alpha
    return {
        "outcome": "loaded",
        "shape": tuple(pixels.shape),
        "alpha": alpha is not None,
        "good": _is_good(pixels) and (alpha is None or (_is_good(alpha) and alpha.shape[2:] == pixels.shape[2:])),
    }


def _is_good(plane: Any) -> bool:
    return str(plane.dtype) == "torch.float32" and bool(((plane >= 0) & (plane <= 1)).all())


def _peak() -> int:
    """Kilobytes, see proc(5): VmHWM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
