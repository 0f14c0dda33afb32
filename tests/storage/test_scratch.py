import errno
import os
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import psutil
import pytest
import torch
import torch.nn.functional as F

from helpers import smooth_image
from impasto.errors import ImpastoError
from impasto.images.size import enlarge, resize
from impasto.storage import scratch
from impasto.storage.scratch import Scratch, default_folder, in_memory, resample

LIKE = torch.empty(0)
MEGABYTES = 40


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(Scratch, "BAND", 4096)
    monkeypatch.setattr(Scratch, "SMALL", 256)


@pytest.fixture
def disk():
    """A folder on a disk, or in memory where the system has none."""
    return default_folder() or Path("/tmp")


def big(disk: Path) -> tuple[Scratch, torch.Tensor]:
    files = Scratch(disk)
    return files, files.empty((MEGABYTES, 2**18), LIKE)


def test_in_memory_nothing_is_put_into_files():
    ordinary = Scratch()
    tensor = ordinary.empty((3, 2**18), LIKE)
    assert tensor.shape == (3, 2**18)
    assert ordinary.peak == ordinary.held == 0


def test_small_tensors_stay_in_memory_and_large_ones_live_in_files_as_long_as_they_are_used(disk):
    files = Scratch(disk)
    small = files.zeros((10, 10), LIKE.double())
    assert (files.held, small.dtype) == (0, torch.float64)
    tensor = files.zeros((3, 2**18), LIKE)
    view = tensor[1]
    assert not tensor.any()
    assert files.held == 3 * 2**20
    del tensor
    assert files.held == 3 * 2**20
    view.fill_(1)
    del view
    assert (files.held, files.peak) == (0, 3 * 2**20)


@pytest.mark.skipif(sys.platform != "linux", reason="only here resident memory is known to shrink")
def test_what_is_evicted_leaves_memory_and_is_still_there(disk):
    files, tensor = big(disk)
    tensor.copy_(torch.arange(MEGABYTES)[:, None])
    full = psutil.Process().memory_info().rss
    files.evict()
    assert full - psutil.Process().memory_info().rss > 0.9 * MEGABYTES * 2**20
    assert torch.equal(tensor[:, 12345], torch.arange(MEGABYTES, dtype=torch.float32))


@pytest.mark.skipif(sys.platform != "linux", reason="only here resident memory is known to shrink")
def test_work_on_a_file_never_holds_more_than_a_few_bands(disk, monkeypatch):
    monkeypatch.setattr(Scratch, "BAND", 2**20)
    files, tensor = big(disk)
    files.evict()
    before = psutil.Process().memory_info().rss
    most = 0
    for (piece,) in files.pieces(tensor):
        piece.fill_(1)
        most = max(most, psutil.Process().memory_info().rss - before)
    part = files.read(tensor[:, 1000:2000])
    assert part.min() == 1
    most = max(most, psutil.Process().memory_info().rss - before)
    assert most < 8 * 2**20


def test_files_have_no_names(tmp_path):
    files = Scratch(tmp_path)
    tensor = files.empty((3, 2**18), LIKE)
    assert files.held == tensor.nbytes
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, torch
from pathlib import Path
from impasto.storage.scratch import Scratch
tensor = Scratch(Path(sys.argv[1])).zeros((3, 2**20), torch.empty(0)).fill_(1)
print(tensor.sum().item(), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_nothing_is_left_of_a_killed_process(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert float(process.stdout.readline()) == 3 * 2**20
        process.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_refused_in_a_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(ImpastoError, match=r"can't hold 3 MB more of canvases \(No space left on device\): make room"):
        Scratch(tmp_path).empty((3, 2**18), LIKE)


def test_where_room_cannot_be_reserved_files_are_used_all_the_same(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unknown, raising=False)
    assert not Scratch(tmp_path).zeros((3, 2**18), LIKE).any()


@pytest.mark.parametrize("place", ["memory", "files"])
def test_work_by_bands_is_the_work_on_the_whole(place, narrow, tmp_path):
    where = Scratch(tmp_path if place == "files" else None)
    a, b = smooth_image(40, 30), smooth_image(40, 30, seed=1)
    assert sum(1 for _ in where.pieces(a, b)) > 3
    assert torch.equal(where.map(torch.sub, a, b), a - b)
    assert where.sum(lambda x, y: (x * y).sum(), a, b) == pytest.approx((a * b).sum().item(), rel=1e-12)
    assert where.all(lambda x: (x >= 0).all(), a)
    flawed = a.clone()
    flawed[0, 2, 39, 29] = -1
    assert not where.all(lambda x: (x >= 0).all(), flawed)
    spans = list(where.windows(40, 1000))
    assert [i for span in spans for i in range(40)[span]] == list(range(40))
    assert len(spans) == 10


@pytest.mark.parametrize("place", ["memory", "files"])
def test_work_by_rows_is_the_work_on_the_whole(place, narrow, tmp_path):
    where = Scratch(tmp_path if place == "files" else None)
    image, mask = smooth_image(40, 30), smooth_image(40, 30, seed=1)[:, :1]
    assert torch.equal(where.map_rows(torch.mul, 3, image, mask), image * mask)
    grey = where.map_rows(lambda x: x.sum(dim=1, keepdim=True), 1, image)
    assert torch.equal(grey, image.sum(dim=1, keepdim=True))
    assert where.peak > 0 or place == "memory"


def test_in_memory_one_band_is_the_functions_own_result():
    a = smooth_image(40, 30)
    given = []
    found = Scratch().map(lambda x: given.append(x) or x, a)
    assert found is a
    assert given[0] is a


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 1, 2)])
def test_parts_are_read_from_files_and_written_back(order, narrow, tmp_path):
    files = Scratch(tmp_path)
    whole = files.zeros([(1, 3, 20, 30)[i] for i in order], LIKE)
    whole = whole.permute([order.index(i) for i in range(4)])
    part = smooth_image(7, 9, dtype=torch.float32)
    view = whole[..., 5:12, 20:29]
    files.write(view, part)
    files.write(view, part, add=True)
    assert torch.equal(files.read(view), 2 * part)
    assert files.read(view).data_ptr() != view.data_ptr()
    assert whole.sum().item() == pytest.approx(2 * part.sum().item(), rel=1e-5)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("to", [(90, 77), (30, 41), (40, 77), (90, 60), (20, 100), (40, 60)])
def test_resizing_in_files_is_torchs_own_to_the_bit(mode, to, narrow, tmp_path):
    picture = smooth_image(40, 60, dtype=torch.float32)
    files = Scratch(tmp_path)
    found = resample(picture, to, mode, files)
    assert torch.equal(found, F.interpolate(picture, size=to, mode=mode, antialias=True))
    assert files.peak > 0 or to == (40, 60)
    assert torch.equal(resize(picture, to, files), resize(picture, to))


@pytest.mark.parametrize("to", [(90, 77), (80, 120), (40, 77), (90, 60), (40, 60)])
def test_a_canvas_is_enlarged_in_files_as_in_memory_to_the_bit(to, tmp_path, monkeypatch):
    picture = smooth_image(40, 60, dtype=torch.float32)
    whole = enlarge(picture, to)
    monkeypatch.setattr(Scratch, "BAND", 4096)
    monkeypatch.setattr(Scratch, "SMALL", 256)
    files = Scratch(tmp_path)
    assert torch.equal(enlarge(picture, to, files), whole)
    assert files.peak > 0 or to == (40, 60)


Partition = namedtuple("Partition", "mountpoint fstype")


def test_folders_that_are_in_memory_are_known_and_avoided(tmp_path, monkeypatch):
    disk, memory = tmp_path / "disk", tmp_path / "memory"
    for folder in (disk, memory, memory / "nested"):
        folder.mkdir()
    mounts = [Partition("/", "ext4"), Partition(str(memory), "tmpfs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    assert in_memory(memory / "nested")
    assert not in_memory(disk)
    monkeypatch.setattr(scratch.tempfile, "gettempdir", lambda: str(memory))
    assert default_folder() == Path("/var/tmp")
    monkeypatch.setattr(scratch.tempfile, "gettempdir", lambda: str(disk))
    assert default_folder() == disk
