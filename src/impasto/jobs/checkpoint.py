"""The state of a run on disk: one safetensors file, old or new but never torn, that can tell when it is damaged.

Numbers and tensors are one unit: the numbers stand in the file's header. Its last tensor, `checksum`, is the CRC-32 of
all that goes before it. https://github.com/huggingface/safetensors describes the format.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import safe_open
from torch import Tensor

from impasto.errors import ImageError, ImpastoError
from impasto.jobs.checked_state import checked_state
from impasto.jobs.recipe import Recipe
from impasto.run.state import RunState, map_leaves, tensors_of
from impasto.storage.files import quoted, reason, write_atomically
from impasto.storage.scratch import MEMORY, Scratch

FORMAT = 2
"""Number of the arrangement described here: one that isn't known is refused rather than guessed at."""

RENAMED_SINCE_1 = {"sparing": "pruning", "steering": "schedule"}
"""What format 1 called some parts of a run's state."""

NOTE, CHECKSUM = "impasto", "checksum"
CHECKSUM_BYTES = 8
TYPES = {torch.float32: "F32", torch.float64: "F64"}


@dataclass(frozen=True)
class Checkpoint:
    """What it takes to go on: the recipe, the run's state, the report's record so far, and what the shell noted."""

    recipe: Recipe
    state: RunState
    record: dict[str, Any]
    shell: dict[str, Any]


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Put a checkpoint where the last one was, without a copy of its tensors in memory; raises `OSError`."""
    tree = {
        "format": FORMAT,
        "recipe": json.loads(checkpoint.recipe.to_json()),
        "state": checkpoint.state.as_tree(),
        "record": checkpoint.record,
        "shell": checkpoint.shell,
    }
    first = {id(tensor): (name, tensor) for name, tensor in reversed(list(tensors_of(tree)))}
    note = map_leaves(tree, lambda leaf: {"tensor": first[id(leaf)][0]} if isinstance(leaf, Tensor) else leaf)
    # Wide numbers first, so that each begins at a multiple of its size.
    tensors = dict(sorted(first.values(), key=lambda item: -item[1].element_size()))
    header = _header(json.dumps(note), tensors)
    write_atomically(path, lambda file: _fill(file, header, tensors.values()))


def read(path: Path, scratch: Scratch = MEMORY) -> Checkpoint:
    """A checkpoint, its tensors where canvases live, on the CPU.

    Raises `ImpastoError` where there is none, it is damaged or of an unknown format.
    """
    with _readable(path):
        _verify(path)
        with safe_open(path, framework="pt") as file:
            tensors = _tensors(path, scratch)
            tree = _tree(file.metadata()[NOTE], path, tensors.__getitem__)
        recipe = Recipe.from_json(json.dumps(tree["recipe"]), str(path))
        return Checkpoint(recipe, checked_state(tree["state"]), tree["record"], tree["shell"])


def read_origin(path: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and the shell's notes in a checkpoint, without its tensors; raises `ImpastoError` as `read` does."""
    with _readable(path), safe_open(path, framework="pt") as file:
        tree = _tree(file.metadata()[NOTE], path, lambda name: name)
        return Recipe.from_json(json.dumps(tree["recipe"]), str(path)), tree["shell"]


def _header(note: str, tensors: dict[str, Tensor]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {NOTE: note}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    header[CHECKSUM] = {"dtype": "U8", "shape": [CHECKSUM_BYTES], "data_offsets": [end, end + CHECKSUM_BYTES]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _fill(file: BinaryIO, header: bytes, tensors: Iterable[Tensor]) -> None:
    file.write(header)
    checksum = zlib.crc32(header)
    for tensor in tensors:
        for (piece,) in MEMORY.pieces(tensor.detach()):
            data = piece.cpu().numpy().view(np.uint8).data
            file.write(data)
            checksum = zlib.crc32(data, checksum)
    file.write(checksum.to_bytes(CHECKSUM_BYTES, "little"))


def _tensors(path: Path, scratch: Scratch) -> dict[str, Tensor]:
    """What is in a file that was verified, by name, read piece by piece.

    Not mapped from it: bits may depend on where in memory a tensor begins, and the file's aren't aligned.
    """
    types = {name: dtype for dtype, name in TYPES.items()}
    found: dict[str, Tensor] = {}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        for name in header.keys() - {"__metadata__", CHECKSUM}:
            entry = header[name]
            found[name] = scratch.empty(entry["shape"], torch.empty(0, dtype=types[entry["dtype"]]))
            file.seek(8 + length + entry["data_offsets"][0])
            for (piece,) in scratch.pieces(found[name]):
                if file.readinto(piece.numpy().view(np.uint8).data) != piece.nbytes:
                    raise ValueError("it is damaged")
    return found


def _verify(path: Path) -> None:
    left = path.stat().st_size - CHECKSUM_BYTES
    checksum = 0
    with path.open("rb") as file:
        while left > 0 and (data := file.read(min(left, 2**20))):
            checksum = zlib.crc32(data, checksum)
            left -= len(data)
        if left or int.from_bytes(file.read(), "little") != checksum:
            raise ValueError("it is damaged")


def _tree(note: str, path: Path, tensor: Callable[[str], Any]) -> dict[str, Any]:
    """What was noted, with `tensor(name)` where one belongs."""
    tree = json.loads(note, object_hook=lambda d: tensor(d["tensor"]) if d.keys() == {"tensor"} else d)
    if (found := tree["format"]) not in (1, FORMAT):
        raise ImpastoError(
            f"{quoted(path)} has the format {found}, which this version doesn't know",
            "go on with the impasto that wrote it",
        )
    if found == 1:
        tree["state"] = {RENAMED_SINCE_1.get(name, name): value for name, value in tree["state"].items()}
    return tree


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise ValueError("it is no regular file")
        yield
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ImpastoError(f"{quoted(path)} can't be read (its {where!r} is odd)", "start the run again") from None
    except ImageError:  # of the recipe
        raise ImpastoError(f"{quoted(path)} holds no recipe", "start the run again") from None
    except ImpastoError:
        raise
    except FileNotFoundError:
        raise ImpastoError(
            f"{quoted(path)} doesn't exist, so there is no run to go on with", "check the path"
        ) from None
    except Exception as error:  # a damaged file may make its parsers raise anything
        raise ImpastoError(f"{quoted(path)} can't be read ({reason(error)})", "start the run again") from error
