import sys

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import smooth_image
from impasto.errors import ImageError
from impasto.images import bigtiff, decoding, reading, writing
from impasto.storage.scratch import Scratch

NOTE = '{"impasto": "Gemälde – 絵"}'
SIZE = (300, 517)
TILE_WIDTH, COMPRESSION, DEFLATE = 322, 259, 8

pyvips = pytest.importorskip("pyvips")


@pytest.fixture(autouse=True)
def _print_size_is_small(monkeypatch):
    monkeypatch.setattr(writing, "PRINT_PIXELS", 1000)
    monkeypatch.setattr(Scratch, "BAND", 100_000)


@pytest.fixture
def picture() -> torch.Tensor:
    return smooth_image(*SIZE, dtype=torch.float32)


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("in_files", [False, True])
def test_a_print_is_tiled_bigtiff_that_reads_back_as_it_was(picture, transparent, in_files, tmp_path):
    files = Scratch(tmp_path if in_files else None)
    pixels = files.empty(picture.shape, picture).copy_(picture)
    alpha = smooth_image(*SIZE, seed=2, dtype=torch.float32)[:, :1] if transparent else None
    path = writing.save(tmp_path / "print.tif", pixels, alpha=alpha, note=NOTE)
    assert path.read_bytes()[:4] == b"II+\0"

    expected = np.asarray(writing.to_pil(picture, alpha))
    found = pyvips.Image.new_from_file(str(path))
    assert np.array_equal(found.numpy(), expected)
    assert found.get("icc-profile-data") == decoding.srgb_profile()
    with PIL.Image.open(path) as opened:
        assert np.array_equal(np.asarray(opened), expected)
        assert (opened.tag_v2[TILE_WIDTH], opened.tag_v2[COMPRESSION]) == (256, DEFLATE)
    loaded = reading.load(path)
    assert torch.equal(loaded.pixels, (picture * 255).round() / 255)
    assert (loaded.alpha is not None) == transparent
    assert reading.read_note(path) == NOTE
    assert [file.name for file in tmp_path.iterdir()] == ["print.tif"]


def test_without_a_note_there_is_none(picture, tmp_path):
    assert reading.read_note(writing.save(tmp_path / "print.tiff", picture)) is None


def test_somebody_elses_description_is_no_note(tmp_path):
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "a.tif", description="a house")
    assert reading.read_note(tmp_path / "a.tif") is None


def test_a_smaller_tiff_is_written_as_before(tmp_path):
    small = smooth_image(20, 30, dtype=torch.float32)
    path = writing.save(tmp_path / "small.tif", small, note=NOTE)
    assert path.read_bytes()[:4] == b"II*\0"
    assert reading.read_note(path) == NOTE


def test_pixels_that_are_no_numbers_are_refused_and_leave_no_file(picture, tmp_path):
    picture[0, 1, 299, 500] = float("nan")
    with pytest.raises(ImageError, match="holds NaN"):
        writing.save(tmp_path / "print.tif", picture)
    assert list(tmp_path.iterdir()) == []


def test_what_libvips_cannot_write_is_said_in_a_sentence(picture, tmp_path, monkeypatch):
    monkeypatch.setattr(bigtiff, "TILE", 100)  # TIFF's tiles are multiples of 16
    with pytest.raises(ImageError, match=r"print.tif' can't be written \(.+\): make room or save it elsewhere\.$"):
        writing.save(tmp_path / "print.tif", picture)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_print_is_kept(picture, tmp_path):
    (tmp_path / "print.tif").write_bytes(b"mine")
    with pytest.raises(ImageError, match="already exists"):
        writing.save(tmp_path / "print.tif", picture)
    writing.save(tmp_path / "print.tif", picture, overwrite=True)
    assert reading.load(tmp_path / "print.tif").pixels.shape[-2:] == SIZE


def test_without_pyvips_a_print_is_refused_with_the_cure(picture, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvips", None)
    for refused in (
        lambda: writing.check_holds(tmp_path / "print.tif", SIZE),
        lambda: writing.save(tmp_path / "print.tif", picture),
    ):
        with pytest.raises(ImageError, match=r"pip install 'impasto\[print\]'$"):
            refused()
    writing.check_holds(tmp_path / "print.png", SIZE)
    writing.check_holds(tmp_path / "small.tif", (20, 30))
