"""`impasto.stylize` and the like take images however a host has them, tell how they get on, and leave a recipe."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import impasto
from helpers import tiny_weights
from impasto import Settings, Stylization, stylize, synthesize
from impasto.errors import ImageError, SettingsError
from impasto.images import reading
from impasto.images.decoding import srgb_profile
from impasto.jobs.recipe import Recipe
from impasto.jobs.rerun import from_recipe
from impasto.network import weights
from impasto.run.events import Finished, Started, Stepped

QUICK = {
    "size": 48, "epochs": 1, "steps_per_epoch": 3, "scales": 1, "device": "cpu",
    "style_layers": ("relu1_1", "relu2_1"), "content_layers": ("relu2_2",),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    """A folder with pictures, and a network that runs in milliseconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    for seed, name in enumerate(("photo.png", "brush.png")):
        pixels = np.random.default_rng(seed).integers(0, 255, (36, 48, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(name)
    mask = np.zeros((36, 48), np.uint8)
    mask[:, :24] = 255
    PIL.Image.fromarray(mask).save("left.png")
    PIL.Image.fromarray(255 - mask).save("right.png")
    PIL.Image.new("L", (48, 36), 0).save("black.png")


def opened(name: str):
    return Path(name).open("rb")


def array(name: str) -> np.ndarray:
    return np.asarray(PIL.Image.open(name))


def tensor(name: str) -> torch.Tensor:
    pixels = array(name)
    planes = torch.from_numpy(pixels.copy() if pixels.ndim == 3 else pixels[..., None].copy())
    return planes.permute(2, 0, 1)[None].float() / 255


SOURCES = {
    "a Path": Path, "bytes": lambda name: Path(name).read_bytes(), "an opened file": opened,
    "BytesIO": lambda name: BytesIO(Path(name).read_bytes()), "PIL": PIL.Image.open, "an array": array,
    "a tensor": tensor, "a tensor (c, h, w)": lambda name: tensor(name)[0], "a loaded image": reading.load,
}  # fmt: skip


@pytest.mark.thin(2)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_kind_of_source_serves_as_content_style_mask_and_start(source):
    usual = stylize("photo.png", "brush.png", **QUICK)
    assert stylize(source("photo.png"), source("brush.png"), **QUICK).tobytes() == usual.tobytes()
    knobs = {"mask": ("left.png", "rest"), "style_mask": ("all", "right.png"), "init": "brush.png"}
    usual = stylize("photo.png", "brush.png", "photo.png", **QUICK, **knobs)
    again = stylize(
        "photo.png", "brush.png", "photo.png", **QUICK,
        masks=[source("left.png"), "rest"], style_masks=["all", source("right.png")], start=source("brush.png"),
    )  # fmt: skip
    assert again.tobytes() == usual.tobytes()
    assert again.tobytes() != stylize("photo.png", "brush.png", "photo.png", **QUICK).tobytes()


def test_what_is_no_picture_is_refused_in_a_sentence():
    with Path("left.png").open(errors="replace") as text:
        for source in (torch.zeros(2, 3), torch.zeros(5, 8, 8), torch.full((3, 8, 8), 2.0), 3, None, text):
            with pytest.raises(ImageError):
                stylize("photo.png", source, **QUICK)
    with pytest.raises(SettingsError, match="mask is in the settings and given as an image too"):
        stylize("photo.png", "brush.png", mask=("left.png",), masks=[array("left.png")], **QUICK)
    with pytest.raises(SettingsError, match="mask has 2 values for 1 styles"):
        stylize("photo.png", "brush.png", masks=[array("left.png")] * 2, **QUICK)


def test_a_knob_that_would_do_nothing_is_refused_also_where_it_says_what_is_so_by_default():
    with pytest.raises(SettingsError, match=r"objective is 'gatys', .* but strength is 0\.5: drop one"):
        impasto.stylize("photo.png", "brush.png", objective="gatys", strength=0.5)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_a_saved_picture_has_its_profile_and_the_recipe_that_paints_it_again(suffix):
    painted = stylize("photo.png", "brush.png", **QUICK)
    painted.save(f"a.{suffix}")
    with PIL.Image.open(f"a.{suffix}") as image:
        assert image.info["icc_profile"] == srgb_profile()
    recipe = Recipe.from_json(reading.read_note(f"a.{suffix}"), "it")
    *_, last = from_recipe(recipe).events()
    assert isinstance(last, Finished)
    pixels = np.asarray(painted) / 255
    assert np.abs(last.picture[0].permute(1, 2, 0).numpy() - pixels).max() <= 0.5 / 255 + 1e-6


def test_it_stays_an_image_of_pillows_and_what_is_said_to_save_counts():
    painted = stylize("photo.png", "brush.png", **QUICK)
    assert isinstance(painted, PIL.Image.Image)
    assert painted.resize((10, 10)).size == (10, 10)
    painted.save("a.png", exif=b"", icc_profile=None)
    assert reading.read_note("a.png") is None
    synthesize("brush.png", (20, 16), **{k: v for k, v in QUICK.items() if k != "size"}).save("t.png")
    assert reading.read_note("t.png") is None


def test_progress_hears_of_each_event():
    heard = []
    stylize("photo.png", "brush.png", progress=lambda event: heard.append(type(event)), **QUICK)
    assert heard[0] is Started
    assert heard[-1] is Finished
    assert heard.count(Stepped) == 3
    synthesize("brush.png", (20, 16), progress=heard.append, **{k: v for k, v in QUICK.items() if k != "size"})
    assert isinstance(heard[-1], Finished)


def test_the_package_says_its_version_and_what_is_in_it():
    from importlib.metadata import version

    assert impasto.__version__ == version("impasto")
    assert {"stylize", "Settings", "Stylization", "__version__"} <= {*dir(impasto)}


def test_a_change_before_the_first_event_counts():
    changed, usual = (Stylization("photo.png", ["brush.png"], Settings(**QUICK)) for _ in range(2))
    changed.change(strength=1.0)
    ends = [list(job.events())[-1] for job in (changed, usual)]
    assert not torch.equal(ends[0].picture, ends[1].picture)


@pytest.mark.parametrize("masks", [["black.png"], ["black.png", "black.png"]])
@pytest.mark.parametrize("style_loss", ["gram", "w2", "mean-std", "nnst"])
def test_where_no_region_is_left_the_photo_stays(masks, style_loss):
    styles = ["brush.png", "photo.png"][: len(masks)]
    painted = stylize("photo.png", *styles, mask=masks, style_loss=style_loss, **QUICK)
    assert np.array_equal(np.asarray(painted), array("photo.png"))


@pytest.mark.parametrize("style_loss", ["swd", "remd", "histogram"])
def test_losses_of_samples_say_that_there_is_nothing_to_sample(style_loss):
    with pytest.raises(SettingsError, match="is black"):
        stylize("photo.png", "brush.png", mask=("black.png",), style_loss=style_loss, **QUICK)


def test_a_style_mask_that_is_black_all_over_is_refused():
    with pytest.raises(ImageError, match=r"The style_mask .*black\.png is black all over"):
        stylize("photo.png", "brush.png", style_mask=("black.png",), **QUICK)
