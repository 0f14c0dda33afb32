"""A stranger's picture becomes a picture or one sentence, quickly and in little memory, and odd ones come out right."""

from __future__ import annotations

import io
import os
import shutil
import signal
import struct
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import corpora
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from image_samples import bombs, chunk, encode, noise
from mutations import SAMPLES, damaged
from PIL import Image, ImageOps
from reader import PATIENCE, Reader, complaints

from helpers import tiny_weights
from impasto.errors import ImageError, ImpastoError
from impasto.images.reading import SourceImage, load
from impasto.jobs.functions import stylize
from impasto.network import weights

linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="THE READER UNDER LIMITS NEEDS LINUX")

CASES = 2500
"""Damaged samples, each with one to four injuries."""


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as reader:
        yield reader


# Bombs: a few bytes that ask for hours or gigabytes


def tile_bomb() -> bytes:
    """64 × 64 pixels in one tile of 16384 × 16384, which Pillow would unpack whole."""
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((64, 64, 3), np.uint8), tile=(64, 64), photometric="rgb", compression="zlib")
    data = file.getvalue()
    for tag in (322, 323):
        for kind in (3, 4):
            entry = struct.pack("<HHI", tag, kind, 1)
            data = data.replace(entry + struct.pack("<I", 64), entry + struct.pack("<I", 16384))
    assert load(file.getvalue()).pixels.shape == (1, 3, 64, 64)
    return data


def scan_bomb(side: int, scans: int) -> bytes:
    """A progressive JPEG whose scans all say that nothing changes (T.81, G.1.2); the side is 1024 or more."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    blocks = (side // 8) ** 2
    head = segment(0xDB, bytes(1) + bytes([1]) * 64)
    head += segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0]))
    head += segment(0xC4, bytes([0x00, 1] + [0] * 15 + [0]))  # DC: the code 0 is "no difference"
    head += segment(0xC4, bytes([0x10, 1] + [0] * 15 + [0xE0]))  # AC: the code 0 is "2^14 blocks and more end here"
    first = segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(blocks // 8)
    count = -(-blocks // (2**15 - 1))
    runs = "".join(f"0{(blocks + k) // count - 2**14:014b}" for k in range(count))
    runs += "1" * (-len(runs) % 8)
    body = int(runs, 2).to_bytes(len(runs) // 8, "big").replace(b"\xff", b"\xff\0")
    again = segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + body
    return b"\xff\xd8" + head + first + again * scans + b"\xff\xd9"


def with_chunk(kind: bytes, body: bytes) -> bytes:
    data = encode(Image.fromarray(noise()))
    return data[:33] + chunk(kind, body) + data[33:]


def gif_frame_bomb() -> bytes:
    """A screen of 1 × 1 whose frame is 13000 × 13000."""
    gif = bytearray(encode(Image.new("L", (1, 1)), "GIF"))
    at = gif.index(b",")
    gif[at + 5 : at + 9] = struct.pack("<HH", 13000, 13000)
    return bytes(gif)


@cache
def zeros() -> bytes:
    """100 MB of them, packed."""
    return zlib.compress(bytes(100_000_000), 1)


BOMBS: dict[str, Callable[[], bytes]] = {
    **{kind: partial(bytes, data) for kind, data in bombs().items()},
    "TIFF tile": tile_bomb,
    "GIF frame": gif_frame_bomb,
    "JPEG scans": lambda: scan_bomb(4096, 5000),
    "PNG text": lambda: with_chunk(b"zTXt", b"Comment\0\0" + zeros()),
    "PNG international text": lambda: with_chunk(b"iTXt", b"Comment\0\1\0\0\0" + zeros()),
    "PNG profile": lambda: with_chunk(b"iCCP", b"x\0\0" + zeros()),
}


@linux
@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_at_once_and_in_little_memory(reader, kind):
    reading = reader.read(BOMBS[kind]())
    assert reading.outcome == "refused"
    assert complaints(reading) == []
    assert reading.seconds < 0.5
    assert reading.megabytes < 20


@linux
def test_pixels_that_unpack_to_more_than_the_picture_has_are_left_packed(reader):
    header = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zeros()) + chunk(b"IEND", b"")
    reading = reader.read(data)
    assert complaints(reading) == []
    assert reading.megabytes < 20


@pytest.mark.parametrize("scans", [10, 100])
def test_a_progressive_jpeg_with_as_many_scans_as_encoders_write_is_read(scans):
    assert load(scan_bomb(1024, scans - 1)).pixels.shape == (1, 3, 1024, 1024)
    with pytest.raises(ImageError, match="is a JPEG of more than 100 scans"):
        load(scan_bomb(1024, 100))


def test_what_follows_a_jpegs_end_is_not_counted_as_its_scans():
    """Phones hide films and second pictures there."""
    data = encode(Image.fromarray(noise(64, 64)), "JPEG")
    assert load(data + b"\xff\xda" * 1000).pixels.equal(load(data).pixels)


@linux
@pytest.mark.corpus
def test_the_limits_hold_and_whatever_breaks_them_is_noticed():
    big = encode(Image.new("L", (9000, 9000)), "PNG")  # 970 MB as float32
    with Reader(max_pixels=10**9) as reader:
        reading = reader.read(big)
        assert (reading.outcome, "needs more memory than there is" in reading.message) == ("refused", True)
        assert reader.read(SAMPLES["png"]).outcome == "loaded"
        assert reader.child is not None
        os.kill(reader.child.pid, signal.SIGSTOP)
        reader.patience = 0.1
        assert complaints(reader.read(SAMPLES["png"])) == ["hung: "]
        reader.patience = PATIENCE
        assert reader.read(SAMPLES["png"]).outcome == "loaded"
        reader.child.kill()
        reader.child.wait()
        assert complaints(reader.read(SAMPLES["png"])) == ["died: exit status -9"]
        assert reader.read(SAMPLES["png"]).outcome == "loaded"
        assert reader.starts == 3


# Damage


@linux
def test_every_sample_is_a_picture_before_it_is_damaged(reader):
    for name, data in SAMPLES.items():
        reading = reader.read(data)
        assert (name, reading.outcome, complaints(reading)) == (name, "loaded", [])
        assert tuple(reading.shape) == (1, 3, 24, 24)


@linux
@pytest.mark.corpus
def test_damaged_samples_load_or_are_refused(reader):
    tried = Counter()

    @settings(max_examples=CASES, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
    @given(damaged())
    def read(case: tuple[str, bytes]) -> None:
        name, data = case
        reading = reader.read(data)
        tried[reading.outcome] += 1
        assert (name, complaints(reading)) == (name, [])

    read()
    assert tried.total() >= 2000
    assert min(tried["loaded"], tried["refused"]) > 100  # both are reached


@linux
@pytest.mark.corpus
@pytest.mark.skipif(shutil.which("zzuf") is None, reason="ZZUF IS NOT INSTALLED: its mutations are not tried")
def test_samples_that_zzuf_damaged_load_or_are_refused(reader):
    for name, data in SAMPLES.items():
        for seed in range(20):
            command = ["zzuf", "--seed", str(seed), "--ratio", "0.0005:0.05"]
            done = subprocess.run(command, input=data, capture_output=True, timeout=60)
            assert len(done.stdout) == len(data)
            assert (name, seed, complaints(reader.read(done.stdout))) == (name, seed, [])


# What others collected


@pytest.fixture(scope="module")
def pillows() -> list[Path]:
    """Every file of Pillow's own Tests/images."""
    try:
        files = sorted(path for path in corpora.fetch(corpora.PILLOW).rglob("*") if path.is_file())
    except corpora.Missing as missing:
        pytest.skip(f"PILLOW'S COLLECTION IS NOT TRIED: {missing}")
    assert len(files) > 1000
    return files


@pytest.fixture(scope="module")
def pypng():
    """pypng's decoder, and the PngSuite."""
    try:
        return corpora.pypng()
    except corpora.Missing as missing:
        pytest.skip(f"THE PNGSUITE IS NOT TRIED: {missing}")


def rgba(picture: SourceImage) -> np.ndarray:
    """(h, w, 4) in [0, 1]."""
    alpha = torch.ones_like(picture.pixels[:, :1]) if picture.alpha is None else picture.alpha
    return torch.cat([picture.pixels, alpha], dim=1)[0].permute(1, 2, 0).numpy()


def reads(path: Path) -> np.ndarray | None:
    """(h, w, 4) in [0, 1], None where the picture is refused."""
    try:
        return rgba(load(path, max_pixels=20_000_000))
    except ImageError:
        return None


def by_pypng(png, data: bytes) -> np.ndarray:
    """(h, w, 4) in [0, 1] as the file has them: no profile, no orientation."""
    width, height, rows, about = png.Reader(bytes=data).asDirect()
    levels = np.array([list(row) for row in rows], float).reshape(height, width, -1) / (2 ** about["bitdepth"] - 1)
    colours = levels[..., :3] if about["planes"] >= 3 else np.repeat(levels[..., :1], 3, axis=2)
    return np.concatenate([colours, levels[..., -1:] if about["alpha"] else np.ones((height, width, 1))], axis=2)


@linux
@pytest.mark.corpus
def test_every_file_of_pillows_collection_loads_or_is_refused(reader, pillows):
    outcomes = Counter()
    for path in pillows:
        reading = reader.read(path)
        outcomes[reading.outcome] += 1
        assert (path.name, complaints(reading)) == (path.name, [])
    assert outcomes["loaded"] > 600
    assert outcomes["refused"] > 300
    assert reader.starts == 1, "none of them killed the child"


SBIT = {"Basn0g03", "cs3n3p08"}
"""pypng stretches levels by the chunk sBIT, which only tells how many bits the picture once had."""


@pytest.mark.corpus
def test_the_pngsuite_has_its_known_pixels_to_the_last_bit(pypng):
    png, suite = pypng
    assert len(suite) == 28
    for name, data in suite.items():
        found, wanted = rgba(load(data)), by_pypng(png, data)
        assert found.shape == wanted.shape, name
        assert np.abs(found - wanted).max() < (8 / 255 if name in SBIT else 1e-6), name


NOT_AS_PYPNG = {
    "1_trns.png": "the transparent level is written as 0x00ff, of which one bit counts: pypng compares them all",
    "exif_imagemagick_orientation.png": "is turned upright",
    "xmp_tags_orientation.png": "is turned upright",
    "xmp_tags_orientation_exiftool.png": "is turned upright",
}


@pytest.mark.corpus
def test_pillows_pngs_have_the_pixels_that_pypng_finds(pypng, pillows):
    png, _ = pypng
    compared = 0
    for path in pillows:
        data = path.read_bytes()
        if not data.startswith(b"\x89PNG") or len(data) > 300_000 or path.name in NOT_AS_PYPNG:
            continue
        try:
            wanted = by_pypng(png, data)
        except Exception:  # pypng reads what is right, and is strict about it
            continue
        if (found := reads(path)) is not None:
            compared += 1
            assert np.abs(found - wanted).max() < (1.5 / 255 if b"iCCP" in data else 1e-6), path.name
    assert compared > 300


@pytest.mark.corpus
def test_bitmaps_look_like_their_reference_pictures(pillows):
    """Of the BMP suite of Jason Summers."""
    compared = 0
    for path in pillows:
        reference = path.parents[1] / "html" / f"{path.stem}.png"
        if path.parent.name == "g" and reference.is_file():
            compared += 1
            found, wanted = reads(path), reads(reference)
            assert np.abs(found - wanted).max() < 1.5 / 255, path.name
    assert compared >= 8


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore::Warning:PIL")
def test_where_nothing_is_to_be_managed_pictures_look_as_pillow_shows_them(pillows):
    compared = 0
    for path in pillows:
        found = reads(path)
        if found is None or path.stat().st_size > 1_000_000:
            continue
        if path.suffix in (".heif", ".heic"):  # which Pillow alone doesn't open
            continue
        with Image.open(path) as image:
            image.load()
            deep = path.read_bytes()[:4] in (b"\x89PNG", b"II*\0", b"MM\0*") or image.mode[0] in "IF"
            if deep or "icc_profile" in image.info:
                continue
            wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGBA")) / 255
        compared += 1
        assert found.shape == wanted.shape, path.name
        assert np.abs(found - wanted).max() < 1e-6, path.name
    assert compared > 100


# Odd, but honest: through a whole run

RUN = {"size": 64, "epochs": 1, "steps_per_epoch": 2, "device": "cpu"}
SHALLOW = {**RUN, "style_layers": ("relu1_1",), "content_layers": ("relu1_2",)}


@pytest.fixture
def _quick(monkeypatch):
    network = tiny_weights(dtype=torch.float32)
    monkeypatch.setattr(weights, "load", lambda *_: network)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("size", "painted"), [((1, 1), (64, 64)), ((1, 4096), (1, 64)), ((4096, 1), (64, 1)), ((2, 3), (43, 64))]
)
def test_tiny_and_thin_pictures_are_painted_or_refused_with_the_reason(size, painted):
    thin, brush = noise(*size), noise(48, 40)
    for role, pictures, wanted in (("content", (thin, brush), painted), ("style", (brush, thin), (64, 53))):
        result = stylize(*pictures, **SHALLOW)
        assert result.size == wanted[::-1]
        assert result.mode == "RGB"
        if min(painted) >= 8:
            assert stylize(*pictures, **RUN).size == wanted[::-1]
            continue
        sentence = (
            rf"^{'size is 64, which makes' if role == 'content' else 'The style .array. is '}.* px, .*at least 8 "
        )
        with pytest.raises(ImpastoError, match=sentence):
            stylize(*pictures, **RUN)


def with_alpha(alpha: np.ndarray) -> np.ndarray:
    return np.dstack([noise(*alpha.shape), alpha])


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("level", [0, 1, 128, 254])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La", "RGBa"])
def test_an_evenly_transparent_photo_stays_so(mode, level):
    rgba = Image.fromarray(with_alpha(np.full((30, 40), level, np.uint8)))
    photo = rgba.convert("LA").convert("La") if mode == "La" else rgba.convert(mode)
    result = stylize(photo, noise(40, 40), **SHALLOW)
    assert (result.mode, result.size) == ("RGBA", (64, 48))
    assert np.unique(np.asarray(result)[..., 3]).tolist() == [level]


@pytest.mark.usefixtures("_quick")
def test_a_mask_without_colours_is_a_black_photo_that_keeps_its_mask():

    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    photo = Image.merge("LA", [Image.new("L", (64, 64)), Image.fromarray(mask)])
    result = stylize(photo, noise(40, 40), **SHALLOW)
    assert np.array_equal(np.asarray(result)[..., 3], mask)


@pytest.mark.usefixtures("_quick")
def test_a_style_that_nobody_can_see_is_refused():
    with pytest.raises(ImageError, match="The style 'array' is transparent all over, so it shows no manner"):
        stylize(noise(40, 40), with_alpha(np.zeros((30, 40), np.uint8)), **SHALLOW)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_every_format_is_painted_with_its_size_and_alpha(name, tmp_path):
    path = tmp_path / "sample"
    path.write_bytes(SAMPLES[name])
    result = stylize(path, path, **SHALLOW)
    assert result.size == (64, 64)
    assert (result.mode == "RGBA") == (load(path).alpha is not None)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("objective", ["gatys", "normalized"])
@pytest.mark.parametrize("optimizer", ["gd", "adam", "lbfgs"])
@pytest.mark.parametrize("level", [0, 255])
def test_a_photo_and_a_style_of_one_colour_only_are_painted(level, optimizer, objective):
    """Nothing varies, so that nothing may be divided by what varies."""
    plain = np.full((40, 40, 3), level, np.uint8)
    assert stylize(plain, plain, **SHALLOW, optimizer=optimizer, objective=objective).size == (64, 64)
