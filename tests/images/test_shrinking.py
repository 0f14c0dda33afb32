"""Huge images are shrunk while they are decoded where few of their pixels count; all others come to the bit."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from image_samples import rgb_profile
from PIL import Image

from helpers import smooth_image
from impasto.errors import ImageError
from impasto.images import shrinking
from impasto.images.reading import SourceImage, load
from impasto.images.size import resize
from impasto.images.writing import to_pil

SIDES = (403, 602)
NEEDED = 64


@pytest.fixture(autouse=True)
def _huge(monkeypatch):
    monkeypatch.setattr(shrinking, "HUGE", 200_000)


def sample(mode: str = "RGB") -> Image.Image:
    picture = to_pil(resize(smooth_image(24, 36), SIDES))
    if mode in ("RGBA", "LA"):
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture.convert(mode)


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


FILES = {
    "a JPEG": lambda: encoded(sample(), "JPEG", quality=95),
    "a progressive JPEG": lambda: encoded(sample(), "JPEG", quality=95, progressive=True),
    "a JPEG with a profile": lambda: encoded(sample(), "JPEG", quality=95, icc_profile=rgb_profile(swapped=True)),
    "a turned JPEG": lambda: encoded(sample(), "JPEG", quality=95, exif=turned()),
    "a grey JPEG": lambda: encoded(sample("L"), "JPEG", quality=95),
    "a CMYK JPEG": lambda: encoded(sample("CMYK"), "JPEG", quality=95),
    "a PNG": lambda: encoded(sample(), "PNG"),
    "a PNG with alpha": lambda: encoded(sample("RGBA"), "PNG"),
    "a grey PNG with alpha": lambda: encoded(sample("LA"), "PNG"),
    "a PNG of a palette": lambda: encoded(sample("P"), "PNG"),
    "a turned TIFF": lambda: encoded(sample(), "TIFF", compression="tiff_lzw", exif=turned()),
    "a WebP": lambda: encoded(sample(), "WEBP", lossless=True),
}


def differ(found: SourceImage, wanted: SourceImage, channel: str) -> float:
    a, b = (resize(getattr(image, channel), (NEEDED, NEEDED)) for image in (found, wanted))
    return (a - b).abs().max().item()  # at edges: pixels are averaged twice


@pytest.mark.parametrize("kind", FILES)
def test_a_huge_file_is_shrunk_and_looks_the_same_where_it_is_needed(kind):
    data = FILES[kind]()
    whole, found = load(data), load(data, needed=NEEDED)
    assert whole.full_size is None
    assert found.size == whole.size == (SIDES[::-1] if "turned" in kind else SIDES)
    assert 2 * NEEDED <= max(found.pixels.shape[-2:]) < 4 * NEEDED
    assert differ(found, whole, "pixels") < 0.05
    assert (found.alpha is None) == (whole.alpha is None)
    if whole.alpha is not None:
        assert differ(found, whole, "alpha") < 0.05
    assert found.sha256 == whole.sha256


@pytest.mark.parametrize("needed", [SIDES[1] // 4 + 1, 10_000])
def test_an_image_of_which_much_is_needed_comes_to_the_bit(needed):
    data = FILES["a JPEG"]()
    assert load(data, needed=needed).pixels.equal(load(data).pixels)


def test_an_image_that_is_not_huge_comes_to_the_bit(monkeypatch):
    monkeypatch.setattr(shrinking, "HUGE", SIDES[0] * SIDES[1] + 1)
    data = FILES["a JPEG"]()
    assert load(data, needed=NEEDED).pixels.equal(load(data).pixels)


def test_a_hosts_image_stays_as_large_as_it_was():
    picture = Image.open(io.BytesIO(FILES["a JPEG"]()))
    load(picture, needed=NEEDED)
    assert picture.size == SIDES[::-1]


def test_an_image_that_is_too_large_for_the_budget_is_refused_by_its_name_and_size(tmp_path, monkeypatch):
    monkeypatch.setattr(shrinking, "FEW_BYTES", 0)
    for kind, cure in (("a PNG", "make it smaller, save it as JPEG or raise"), ("a JPEG", "make it smaller or raise")):
        (path := tmp_path / "large").write_bytes(FILES[kind]())
        with pytest.raises(ImageError) as refused:
            load(path, needed=300, room=2_000_000)
        assert "large" in refused.value.fault
        assert "is 602×403, and to read it takes about 4 MB, but `max_memory` leaves 2 MB" in refused.value.fault
        assert cure in refused.value.cure
        assert refused.value.knob == "max_memory"
        assert load(path, needed=300, room=6_000_000).size == SIDES


@pytest.mark.parametrize("heavier", ["a progressive JPEG", "a turned JPEG"])
def test_what_a_decoder_keeps_beside_the_pixels_counts_in_the_budget(heavier, monkeypatch):
    monkeypatch.setattr(shrinking, "FEW_BYTES", 0)
    pixels = SIDES[0] * SIDES[1]
    room = pixels * shrinking.SHRUNK // 16  # decoded at a quarter in each direction
    assert load(FILES["a JPEG"](), needed=NEEDED, room=room).size == SIDES
    with pytest.raises(ImageError, match="to read it takes about"):
        load(FILES[heavier](), needed=NEEDED, room=room)


PAINT = """
import json, re
from pathlib import Path
from impasto.jobs.stylization import Stylization
from impasto.settings.settings import Settings
from impasto.run.events import Finished
knobs = dict(size=128, max_memory="800MB", scales=1, epochs=1, steps_per_epoch=1)
*_, last = Stylization("photo.jpg", ["style.jpg"], Settings(**knobs)).events()
assert isinstance(last, Finished)
print(json.dumps(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's own peak")
def test_a_style_of_47_megapixels_is_painted_with_in_800_mb(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = np.random.default_rng(0).integers(0, 255, (140, 210, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((8400, 5600), Image.Resampling.BILINEAR).save("style.jpg")
    Image.fromarray(blocks).save("photo.jpg")
    done = subprocess.run(
        [sys.executable, "-c", PAINT],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) < 800_000_000
