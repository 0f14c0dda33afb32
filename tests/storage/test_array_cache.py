"""Arrays that are kept from process to process: the same bits, and nothing that isn't what was kept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from impasto.errors import SettingsError
from impasto.network import unpacked, weights
from impasto.network.engines.native import NativeEngine
from impasto.network.engines.native_library import why_not
from impasto.storage import array_cache
from impasto.storage.array_cache import HEADER, UNUSED_DAYS, ArrayCache, check_ahead
from impasto.storage.process import owned

needs_native = pytest.mark.skipif(why_not() is not None, reason=f"THE NATIVE ENGINE IS NOT TESTED: {why_not()}")
DATA = bytes(range(256)) * 40


@pytest.fixture
def cache(tmp_path) -> ArrayCache:
    return ArrayCache("a" * 64, tmp_path)


def kept(cache: ArrayCache, name: str = "kernels", data: bytes = DATA) -> Path:
    cache.write(name, memoryview(data)).join()
    return cache.folder / name


def test_what_was_kept_is_read_again_and_begins_where_a_page_does(cache):
    assert cache.read("kernels", len(DATA)) is None
    kept(cache)
    found = cache.read("kernels", len(DATA))
    assert found is not None
    assert found == DATA
    assert HEADER % os.sysconf("SC_PAGESIZE") == 0


def test_writing_to_what_was_read_changes_no_file(cache):
    path = kept(cache)
    before, found = path.read_bytes(), cache.read("kernels", len(DATA))
    assert found is not None
    found[0] = 77
    assert path.read_bytes() == before


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_other_json(path: Path) -> None:
    path.write_bytes(b"[1]".ljust(HEADER) + DATA)


def without_json(path: Path) -> None:
    path.write_bytes(b"\xff" * HEADER + DATA)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_another_name(path: Path) -> None:
    kept(ArrayCache("a" * 64, path.parent.parent), "other").replace(path)


def of_other_weights(path: Path) -> None:
    kept(ArrayCache("a" * 16 + "b" * 48, path.parent.parent), path.name)


@pytest.mark.parametrize(
    "spoil",
    [shortened, changed, emptied, of_other_json, without_json, a_folder, of_another_name, of_other_weights],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("ahead", [False, True], ids=["at once", "checked ahead"])
def test_a_file_that_isnt_what_was_kept_counts_as_none(cache, spoil, ahead, tmp_path):
    spoil(kept(cache))
    if ahead:
        check_ahead(tmp_path).join()
    assert cache.read("kernels", len(DATA)) is None
    if spoil is not a_folder:
        kept(cache)
        assert cache.read("kernels", len(DATA)) == DATA


def test_another_size_than_is_looked_for_counts_as_none(cache):
    kept(cache)
    assert cache.read("kernels", len(DATA) - 4) is None


def test_what_was_checked_ahead_is_not_checked_again(cache, tmp_path, monkeypatch):
    kept(cache)
    check_ahead(tmp_path).join()
    monkeypatch.setattr(array_cache.hashlib, "sha256", None)
    assert cache.read("kernels", len(DATA)) == DATA


def test_the_folder_that_was_used_last_is_the_one_checked_ahead(tmp_path):
    first, second = ArrayCache("1" * 64, tmp_path), ArrayCache("2" * 64, tmp_path)
    paths = [kept(first), kept(second)]
    for age, path in zip((10, 20), paths, strict=True):
        os.utime(path.parent, (time.time() - age, time.time() - age))
    assert list(array_cache._used_last(tmp_path)) == [paths[0]]
    ArrayCache("2" * 64, tmp_path)  # is used now
    assert list(array_cache._used_last(tmp_path)) == [paths[1]]
    assert list(array_cache._used_last(tmp_path / "missing")) == []


def test_a_folder_that_cant_be_written_keeps_nothing_and_is_no_fault(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = ArrayCache("a" * 64, tmp_path / "file")
    cache.write("kernels", memoryview(DATA)).join()
    assert cache.read("kernels", len(DATA)) is None


def test_what_hasnt_been_used_for_a_month_is_removed_when_something_else_is_kept(tmp_path):
    old, new = kept(ArrayCache("1" * 64, tmp_path)), kept(ArrayCache("2" * 64, tmp_path))
    long_ago = time.time() - (UNUSED_DAYS + 1) * 86400
    os.utime(old.parent, (long_ago, long_ago))
    kept(ArrayCache("3" * 64, tmp_path))
    assert not old.exists()
    assert new.exists()


def test_unpacked_weights_are_kept_bit_for_bit_with_their_convention(tmp_path):
    cache, loaded = ArrayCache("a" * 64, tmp_path), weights.load()
    assert unpacked.read(cache) is None
    unpacked.write(cache, loaded.tensors, "caffe").join()
    found = unpacked.read(cache)
    assert found is not None
    assert found.convention == "caffe"
    assert found.tensors.keys() == loaded.tensors.keys()
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in loaded.tensors.items())


@needs_native
def test_kept_weights_and_kernels_give_the_same_features_and_gradients_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    image = torch.rand((1, 3, 40, 56), generator=torch.Generator().manual_seed(0))

    def gradient(loaded: weights.Weights) -> list[torch.Tensor]:
        x = image.clone().requires_grad_()
        features = NativeEngine(loaded).features(x, ["relu2_1", "relu4_1"])
        sum(f.square().sum() for f in features.values()).backward()
        return [*features.values(), x.grad]

    alone = gradient(weights.load())
    assert not any(tmp_path.iterdir()), "a process that isn't ours keeps nothing"
    with owned():
        first = gradient(weights.load())
        for thread in array_cache.threading.enumerate():
            if thread.name.startswith("keeps "):
                thread.join()
        names = {path.name for path in tmp_path.glob("arrays/*/*")}
        assert {"convolutions-1", "conv4_1-back-16-1", "conv1_2-forwards-16-1"} <= {
            name.replace("-8-", "-16-").replace("-4-", "-16-") for name in names
        }
        monkeypatch.setattr("impasto.network.weight_files.read", None)
        monkeypatch.setattr("impasto.network.engines.native.Convolution._arrange", None)
        second = gradient(weights.load())
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(alone, first, second, strict=True))


def test_what_killed_processes_were_writing_is_removed_and_never_taken_for_what_was_kept(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(array_cache, "_checking", {})  # an earlier test's are none of these
    path = kept(cache)
    old, new = (cache.folder / f"kernels.{name}.tmp" for name in ("old", "new"))
    for draft in (old, new):
        draft.write_bytes(path.read_bytes())
    os.utime(old, (0, 0))
    (tmp_path / "somebody's.txt").touch()
    check_ahead(tmp_path).join()
    assert [one.name for one in array_cache._checking] == ["kernels"]
    assert cache.read("kernels", len(DATA)) == DATA
    kept(cache, "others")
    assert not old.exists()
    assert new.exists()  # another process may be writing it


def test_a_cache_in_a_home_that_nobody_has_is_told_in_a_sentence(monkeypatch):
    monkeypatch.setenv("IMPASTO_CACHE", "~nobody-of-that-name/x")
    with pytest.raises(SettingsError, match=r"IMPASTO_CACHE is '~nobody-of-that-name/x', whose user has no home"):
        array_cache.cache_folder()
