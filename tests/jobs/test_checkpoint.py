"""A checkpoint is one unit, old or new, and one that is damaged is refused rather than believed."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from helpers import files_of_at_most, smooth_image
from impasto.errors import ImpastoError
from impasto.jobs import checkpoint
from impasto.jobs.checkpoint import Checkpoint
from impasto.jobs.recipe import InputFile, Recipe
from impasto.run.state import RunState, map_leaves, tensors_of

RECIPE = Recipe(
    "0.1.0", {"size": 64}, InputFile("ph\udcffoto", "/a\n\"ü'", "0" * 64), (), None, "1" * 64, "2", 2, "x86"
)


def example(seed: int = 0) -> Checkpoint:
    canvas, gradient = smooth_image(5, 7, seed, torch.float32), smooth_image(5, 7, seed + 1, torch.float32) - 0.5
    best = {"canvas": canvas, "loss": 0.1 + 0.2, "parts": {"style/relu1_1": 1e-300}}
    pairs = [[smooth_image(5, 7, n, torch.float32), gradient, 1 / 3 * n] for n in range(3)]
    optimizer = {"reach": float("inf"), "pairs": pairs, "best": [canvas, 0.1 + 0.2], "last": [canvas, gradient]}
    state = RunState(7, 2, 1, 12.5, canvas, best, optimizer)
    record = {
        "parts": ["tv"],
        "steps": torch.logspace(-9, 9, 18, dtype=torch.float64).view(3, 6),
        "pictures": {"1": smooth_image(3, 4)},
    }
    return Checkpoint(RECIPE, state, record, {"picture": "a.png", "every": None})


def flat(value: Checkpoint) -> tuple[object, list[tuple[str, bytes]]]:
    """A checkpoint's numbers, and its tensors as bytes."""
    tree = {"state": vars(value.state), "record": value.record, "shell": value.shell}
    numbers = map_leaves(tree, lambda leaf: None if isinstance(leaf, torch.Tensor) else leaf)
    return numbers, [(name, tensor.numpy().tobytes()) for name, tensor in tensors_of(tree)]


def test_what_was_written_is_read_to_the_bit(tmp_path):
    path = tmp_path / "state.safetensors"
    checkpoint.write(path, example())
    found = checkpoint.read(path)
    assert flat(found) == flat(example())
    assert found.recipe == RECIPE
    assert checkpoint.read_origin(path) == (RECIPE, example().shell)
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_one_tensor_is_kept_once_and_stays_one(tmp_path):
    path = tmp_path / "state.safetensors"
    checkpoint.write(path, example())
    found = checkpoint.read(path).state.to(torch.device("cpu"))
    assert found.best is not None
    assert found.canvas is found.best["canvas"] is found.optimizer["best"][0]
    assert found.optimizer["pairs"][0][1] is found.optimizer["last"][1]
    kept = safetensors.torch.load_file(path)
    assert sum(tensor.shape == (1, 3, 5, 7) for tensor in kept.values()) == 5  # canvas, gradient, three pairs' s


def test_it_is_a_safetensors_file_that_others_can_read_and_tensors_come_aligned_as_torch_makes_them(tmp_path):
    path = tmp_path / "state.safetensors"
    checkpoint.write(path, example())
    kept = safetensors.torch.load_file(path)
    assert torch.equal(kept["state.canvas"], example().state.canvas)
    assert kept["record.steps"].dtype == torch.float64
    for _, tensor in tensors_of(checkpoint.read(path).state.as_tree()):
        assert tensor.data_ptr() % 64 == 0
        assert tensor.is_contiguous()


def test_every_byte_counts(tmp_path):
    """Cut short, too long, or with any one bit turned over, it is refused in a sentence, and never read as another."""
    path = tmp_path / "state.safetensors"
    checkpoint.write(path, example())
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    damaged = [whole[:n] for n in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1)] + [whole + b"\0"]
    for place in [*range(12), *random.integers(0, len(whole), 150), len(whole) - 1]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(random.integers(8))
        damaged.append(bytes(flipped))
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(
            ImpastoError, match=r"state\.safetensors' can't be read \(it is damaged\): start the run"
        ) as e:
            checkpoint.read(path)
        assert "\n" not in str(e.value)


@pytest.mark.parametrize("change", ["shape", "missing", "note"])
def test_a_file_with_a_right_checksum_and_wrong_contents_is_refused_too(tmp_path, monkeypatch, change):
    path = tmp_path / "state.safetensors"
    odd = example()
    if change == "shape":
        odd = replace(odd, state=replace(odd.state, optimizer={"first": torch.zeros(1, 3, 5, 8)}))
    if change == "missing":
        monkeypatch.setattr(RunState, "as_tree", lambda state: {"step": 1})
    if change == "note":
        monkeypatch.setattr(checkpoint, "NOTE", "other")
    checkpoint.write(path, odd)
    monkeypatch.undo()
    with pytest.raises(ImpastoError, match="can't be read"):
        checkpoint.read(path)


def test_another_format_and_a_missing_file_are_refused_in_a_sentence(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    for read in (checkpoint.read, checkpoint.read_origin):
        with pytest.raises(ImpastoError, match="doesn't exist, so there is no run to go on with"):
            read(path)
    monkeypatch.setattr(checkpoint, "FORMAT", 9)
    checkpoint.write(path, example())
    monkeypatch.undo()
    for read in (checkpoint.read, checkpoint.read_origin):
        with pytest.raises(ImpastoError, match="has the format 9, which this version doesn't know"):
            read(path)


def test_a_state_of_format_1_with_its_own_words_is_still_read(tmp_path, monkeypatch):
    """Format 1 said sparing and steering for pruning and schedule."""
    path, schedule = tmp_path / "state.safetensors", [{"after": 3, "knobs": {"strength": 0.9}}]
    new = example()
    new = replace(new, state=replace(new.state, pruning={"evaluations": 4, "held": {"tv": 0.5}}, schedule=schedule))
    words = {"pruning": "sparing", "schedule": "steering"}
    as_tree = RunState.as_tree
    monkeypatch.setattr(RunState, "as_tree", lambda state: {words.get(n, n): v for n, v in as_tree(state).items()})
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    checkpoint.write(path, new)
    monkeypatch.undo()
    assert flat(checkpoint.read(path)) == flat(new)


def test_a_disk_that_fills_up_leaves_the_old_state_and_no_draft(tmp_path):
    path = tmp_path / "state.safetensors"
    checkpoint.write(path, example())
    old = path.read_bytes()
    with files_of_at_most(len(old) - 100), pytest.raises(OSError, match="File too large"):
        checkpoint.write(path, example(5))
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def header_of(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def test_a_state_says_its_format_and_ends_in_the_crc_32_of_all_before(tmp_path):
    checkpoint.write(tmp_path / "state", example())
    header, data = header_of(tmp_path / "state"), (tmp_path / "state").read_bytes()
    assert json.loads(header["__metadata__"]["impasto"])["format"] == 2
    assert (header["checksum"]["dtype"], header["checksum"]["shape"]) == ("U8", [8])
    assert data[-8:] == zlib.crc32(data[:-8]).to_bytes(8, "little")


def test_a_state_without_a_recipe_is_refused_in_a_sentence_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(Recipe, "to_json", lambda _: "{}")
    checkpoint.write(tmp_path / "state", example())
    for read in (checkpoint.read, checkpoint.read_origin):
        with pytest.raises(ImpastoError, match=r"state' holds no recipe: start the run again\.$"):
            read(tmp_path / "state")


@pytest.mark.parametrize("name", ["a.png", "ab.png", "abc.png", "abcd.png"])
def test_each_tensor_begins_at_a_multiple_of_its_numbers_size_whatever_it_is_called(name, tmp_path):
    state = replace(example().state, optimizer={"a": torch.ones(3), "z": torch.ones(2, dtype=torch.float64)})
    checkpoint.write(tmp_path / "state", Checkpoint(RECIPE, state, {"b": torch.ones(5)}, {"picture": name}))
    header = header_of(tmp_path / "state")
    first = 8 + int.from_bytes((tmp_path / "state").read_bytes()[:8], "little")
    begins = [(e["dtype"], first + e["data_offsets"][0]) for key, e in header.items() if key != "__metadata__"]
    assert {dtype for dtype, _ in begins} == {"F32", "F64", "U8"}
    assert [begin % {"F32": 4, "F64": 8, "U8": 1}[dtype] for dtype, begin in begins] == [0] * len(begins)
