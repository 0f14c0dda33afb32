"""The whole story over HTTP: a photo is dropped, painted, watched, kept, and painted again."""

import json

import httpx
import numpy as np
import PIL.Image
import pytest
from served import SMALL, ended

from impasto import stylize
from impasto.cli import main
from impasto.images import reading
from impasto.jobs.recipe import Recipe


@pytest.fixture(scope="module")
def painted(studio, pictures):
    """What a job told while it was painted, each time that it changed."""
    job = studio.client.paint(pictures / "photo.png", pictures / "brush.jpg", **SMALL)
    return [*studio.client.follow(job["id"])]


@pytest.fixture(scope="module")
def masked(studio, pictures):
    """A job with a mask for one of two styles and a map of strengths."""
    client = studio.client
    mask, photo, brush = (client.upload(pictures / name)["id"] for name in ("mask.png", "photo.png", "brush.jpg"))
    styles = [{"image": brush}, {"swatch": "dots"}]
    asked = {"contents": [photo], "styles": styles, "masks": [mask, None], "strength_map": mask, "settings": SMALL}
    return ended(client, client.create(**asked)["jobs"][0]["id"])


@pytest.fixture
def picture(studio, painted, tmp_path):
    return studio.client.save(painted[-1]["id"], tmp_path / "painted.png")


def pixels(path):
    with PIL.Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_job_tells_of_its_progress_until_it_is_done(painted):
    states = [job["state"] for job in painted]
    assert sorted(states, key=["queued", "running", "done"].index) == states
    done = painted[-1]
    assert (done["state"], done["error"], done["has_picture"]) == ("done", None, True)
    assert (done["width"], done["height"]) == (32, 24)
    assert done["progress"]["step"] == done["progress"]["steps"] == 2
    assert done["title"] == "photo × brush"
    assert done["created"] <= done["started"] <= done["ended"]
    assert done["bytes"] > 1000
    assert (numbers := [job["seq"] for job in painted]) == sorted(numbers)


def test_the_picture_has_the_pixels_that_stylize_makes(picture, pictures):
    expected = stylize(pictures / "photo.png", pictures / "brush.jpg", **SMALL)
    assert np.array_equal(pixels(picture), np.asarray(expected.convert("RGB")))


def test_inspect_reads_the_pictures_recipe(picture, capsys):
    assert main(["inspect", str(picture), "--json"]) == 0
    assert "photo.png" in json.dumps(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif"])
def test_every_format_has_the_recipe_and_the_size(suffix, studio, painted, picture, tmp_path):
    saved = studio.client.save(painted[-1]["id"], tmp_path / f"saved.{suffix}")
    assert Recipe.from_json(reading.read_note(saved), saved) == Recipe.from_json(reading.read_note(picture), picture)
    assert pixels(saved).shape == (24, 32, 3)
    assert np.abs(pixels(saved).astype(int) - pixels(picture)).mean() < 12


def test_a_picture_that_is_dropped_back_tells_its_settings_and_inputs(studio, painted, picture):
    recipe = studio.client.upload(picture)["recipe"]
    assert recipe["settings"] == SMALL
    assert recipe["content"] == {"name": "photo.png", "image": painted[-1]["content"]["image"], "swatch": None}
    assert [style["image"] for style in recipe["styles"]] == [painted[-1]["styles"][0]["image"]]
    assert (recipe["masks"], recipe["strength_map"]) == ([], None)


def test_masks_and_a_map_of_strengths_come_back_too(studio, masked, pictures, tmp_path):
    assert masked["state"] == "done", masked["error"]
    recipe = studio.client.upload(studio.client.save(masked["id"], tmp_path / "masked.png"))["recipe"]
    mask = studio.client.upload(pictures / "mask.png")["id"]
    assert [found and found["image"] for found in recipe["masks"]] == [mask, None]
    assert recipe["strength_map"]["image"] == mask
    assert recipe["styles"][1] == {"name": "dots", "image": None, "swatch": "dots"}
    assert recipe["settings"] == SMALL


def test_masks_and_a_map_of_strengths_change_the_pixels_as_those_of_stylize(studio, masked, pictures, tmp_path):
    mask = str(pictures / "mask.png")
    knobs = SMALL | {"mask": [mask, "rest"], "strength_map": mask}
    expected = stylize(pictures / "photo.png", pictures / "brush.jpg", "dots", **knobs)
    saved = studio.client.save(masked["id"], tmp_path / "masked.png")
    assert np.array_equal(pixels(saved), np.asarray(expected.convert("RGB")))


def test_a_picture_of_other_inputs_names_what_is_missing(studio, picture, tmp_path, pictures):
    other = stylize(pictures / "other.png", pictures / "dots.png", **SMALL)
    other.save(tmp_path / "strange.png")
    recipe = studio.client.upload(tmp_path / "strange.png")["recipe"]
    assert (recipe["content"]["name"], recipe["content"]["image"]) == ("other.png", None)


def test_the_metrics_tell_the_time_of_painting_and_how_much_of_it_was_telling(studio, painted):
    lines = httpx.get(f"{studio.address}/metrics").text.splitlines()
    spent = {
        name: float(value) for name, _, value in (line.partition(" ") for line in lines) if "_seconds_total" in name
    }
    assert 0 < spent["impasto_telling_seconds_total"] < spent["impasto_painting_seconds_total"]


def test_previews_thumbnails_and_the_curve_are_there(studio, painted):
    id = painted[-1]["id"]
    for what, kind in (("preview?n=1", "image/jpeg"), ("thumbnail", "image/webp"), ("picture", "image/png")):
        with studio.client._request("GET", f"/jobs/{id}/{what}") as answer:
            assert answer.headers["content-type"] == kind
            assert len(answer.read()) > 100
    curve = studio.client._json("GET", f"/jobs/{id}/curve")
    assert curve["steps"] == [1, 2]
    assert curve["loss"][1] <= curve["loss"][0]


def test_again_makes_the_same_picture_and_enlarge_a_larger_one_that_starts_from_it(studio, painted, picture, tmp_path):
    client, id = studio.client, painted[-1]["id"]
    again = ended(client, client.act(id, "again")["id"])
    larger = ended(client, client._json("POST", f"/jobs/{id}/enlarge", {"size": 48})["id"])
    assert np.array_equal(pixels(client.save(again["id"], tmp_path / "again.png")), pixels(picture))
    assert (larger["state"], larger["width"], larger["settings"]["size"]) == ("done", 48, 48)
    recipe = client.upload(client.save(larger["id"], tmp_path / "larger.png"))["recipe"]
    assert recipe["init"]["image"] == larger["init"]


def test_a_job_that_cannot_be_painted_fails_with_its_sentence_and_the_next_one_is_painted(studio, pictures):
    client = studio.client
    broken = client.paint(pictures / "photo.png", pictures / "brush.jpg", **SMALL | {"device": "cuda:7"})
    whole = client.paint(pictures / "photo.png", pictures / "dots.png", **SMALL)
    failed = ended(client, broken["id"])
    assert (failed["state"], failed["error"]["knob"]) == ("failed", "device")
    assert "device" in failed["error"]["message"]
    assert ended(client, whole["id"])["state"] == "done"


@pytest.mark.slow
def test_the_plan_says_what_a_job_takes(studio, painted, pictures):
    asked = {"contents": [painted[-1]["content"]["image"]], "styles": [{"swatch": "dots"}], "settings": SMALL}
    plan = studio.client.plan(**asked)
    assert (plan["width"], plan["height"], plan["scales"]) == (32, 24, [{"width": 32, "height": 24, "steps": 2}])
    assert plan["seconds"] > 0
    assert plan["peak_bytes"] < plan["budget_bytes"]


@pytest.mark.slow
def test_presets_sweeps_batches_and_quick_looks_are_painted(studio, pictures, tmp_path):
    client = studio.client
    photos = [client.upload(pictures / name)["id"] for name in ("photo.png", "other.png")]
    asked = {"contents": photos, "styles": [{"swatch": "dots"}], "settings": SMALL}
    sheet = client.create(**asked, vary={"strength": [0.2, 0.8], "color": ["style", "keep"]})
    drawn = client.create(**asked | {"contents": photos[:1]}, preset="painterly")
    quick = client.create(contents=photos[:1], styles=[{"swatch": "dots"}], quick=True)["jobs"][0]
    done = [ended(client, job["id"]) for job in [*sheet["jobs"], *drawn["jobs"], quick]]
    assert [job["state"] for job in done] == ["done"] * 10
    assert done[-1]["ended"] < done[-2]["ended"]
    files = [client.save(job["id"], tmp_path / f"{job['id']}.png").read_bytes() for job in done]
    assert len({*files}) == 10
    recipe = Recipe.from_json(reading.read_note(tmp_path / f"{done[-2]['id']}.png"), "it").checked_settings()
    assert recipe.strength == 0.7
