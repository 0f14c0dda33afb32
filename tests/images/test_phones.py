"""What phones write: HEIC and AVIF, read as they are meant; AVIF is written too."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from image_samples import encode, is_one_sentence, levels, rgb_profile
from PIL import Image

from helpers import smooth_image
from impasto.errors import ImageError
from impasto.images import writing
from impasto.images.reading import load, read_note

SMOOTH = writing.to_pil(smooth_image(40, 60))
EXACT = {"AVIF": {"quality": 100, "subsampling": "4:4:4"}, "HEIF": {"chroma": 444}}
KINDS = list(EXACT)


def difference(found: np.ndarray, wanted: Image.Image) -> float:
    return float(np.abs(found.astype(int) - np.asarray(wanted).astype(int)).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_read_by_their_first_bytes_whatever_they_are_called(kind, tmp_path):
    for name in ("photo.heic", "photo.png", "photo"):
        (tmp_path / name).write_bytes(encode(SMOOTH, kind, **EXACT[kind]))
        picture = load(tmp_path / name)
        assert picture.size == (40, 60)
        assert difference(levels(picture), SMOOTH) < 2
        assert picture.alpha is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("brand", [b"mif1", b"msf1"])
def test_a_file_of_a_general_brand_is_known_by_those_it_is_compatible_with(kind, brand):
    data = bytearray(encode(SMOOTH, kind, **EXACT[kind]))
    data[8:12] = brand
    assert load(bytes(data)).size == (40, 60)


@pytest.mark.parametrize("kind", KINDS)
def test_transparency_comes_along(kind):
    image = SMOOTH.copy()
    image.putalpha(128)
    alpha = load(encode(image, kind, **EXACT[kind])).alpha
    assert alpha is not None
    assert alpha.mean().item() == pytest.approx(128 / 255, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_lies_on_its_side_is_turned_once(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = load(encode(SMOOTH, kind, exif=exif.tobytes(), **EXACT[kind]))
    assert picture.size == (60, 40)
    assert difference(levels(picture), SMOOTH.transpose(Image.Transpose.ROTATE_270)) < 2


def test_a_profile_is_followed():
    swapped = load(encode(SMOOTH, "AVIF", icc_profile=rgb_profile(swapped=True), **EXACT["AVIF"]))
    assert difference(levels(swapped), SMOOTH) > 10


def test_other_files_of_the_same_family_are_refused():
    pictures = "is not a PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF or HEIC picture"
    films = r"is a film, not a picture: paint it with `?impasto video"
    for brand, said in ((b"mp42", films), (b"qt  ", films), (b"mif1", pictures)):
        with pytest.raises(ImageError, match=said) as error:
            load(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + brand + b"isom" + bytes(100))
        assert is_one_sentence(error)


def test_without_its_package_heic_is_refused_with_what_to_type(monkeypatch):
    data, real = encode(SMOOTH, "HEIF"), builtins.__import__

    def missing(name, *more):
        if name.startswith("pillow_heif"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImageError, match="is a HEIC picture, which pillow-heif reads") as error:
        load(data)
    assert str(error.value).endswith("pip install 'impasto[heic]'")


def test_avif_is_written_with_transparency_profile_recipe_and_resolution(tmp_path):
    pixels, alpha = smooth_image(40, 60, dtype=torch.float32), torch.full((1, 1, 40, 60), 0.5)
    path = writing.save(tmp_path / "a.avif", pixels, alpha=alpha, note='{"ö": 1}', dpi=300)
    found = load(path)
    assert (found.pixels - pixels).abs().mean() < 0.01
    assert found.alpha is not None
    assert (read_note(path), found.dpi) == ('{"ö": 1}', 300)
    with Image.open(path) as image:
        assert image.info["icc_profile"]


def test_where_pillow_has_no_avif_that_is_said_before_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.features.check", lambda name: name != "avif")
    with pytest.raises(ImageError, match="was built without AVIF") as error:
        writing.check_holds(tmp_path / "a.avif", (10, 10))
    assert is_one_sentence(error)
