"""Jobs that are interrupted, by hand or by a kill, and go on to the same pixels as if nothing had been."""

import os
import signal
import subprocess
import sys
from itertools import count

import numpy as np
import PIL.Image
import pytest
from served import LONG, SMALL, Served, alive, ended, running, until

from impasto.images import reading
from impasto.jobs.recipe import Recipe
from impasto.studio import scheduler

NUMBERS = count(1)


@pytest.fixture(scope="module")
def begin(studio, pictures):
    """Puts a job into the queue that can be interrupted; each time the same one."""
    return lambda **knobs: studio.client.paint(pictures / "photo.png", pictures / "brush.jpg", **LONG | knobs)["id"]


@pytest.fixture
def pixels(tmp_path):
    def read(served, id):
        with PIL.Image.open(served.client.save(id, tmp_path / f"{next(NUMBERS)}.png")) as image:
            return np.asarray(image)

    return read


@pytest.fixture(scope="module")
def whole(studio, begin, tmp_path_factory):
    """The pixels of that job when it is left alone."""
    job = ended(studio.client, begin())
    assert job["state"] == "done", job["error"]
    with PIL.Image.open(studio.client.save(job["id"], tmp_path_factory.mktemp("whole") / "whole.png")) as image:
        return np.asarray(image)


@pytest.mark.slow
def test_a_job_that_was_paused_goes_on_to_the_same_pixels_and_lets_others_go_first(
    studio, begin, whole, pixels, pictures
):
    client, id = studio.client, begin()
    running(client, id, 5)
    client.act(id, "pause")
    paused = until(lambda: (job := client.job(id))["state"] == "paused" and job)
    assert 5 <= paused["progress"]["step"] < 80
    other = client.paint(pictures / "photo.png", "dots", **SMALL)
    assert ended(client, other["id"])["state"] == "done"
    assert client.job(id)["state"] == "paused"
    assert client.act(id, "resume")["state"] == "queued"
    assert running(client, id)["progress"]["step"] >= paused["progress"]["step"]
    assert ended(client, id)["state"] == "done"
    assert np.array_equal(pixels(studio, id), whole)
    steps = client._json("GET", f"/jobs/{id}/curve")["steps"]
    assert steps == [*range(1, len(steps) + 1)]


@pytest.mark.slow
def test_a_job_whose_process_is_killed_is_taken_up_again_and_ends_in_the_same_pixels(studio, begin, whole, pixels):
    client, id = studio.client, begin()
    for _ in range(2):
        step = running(client, id, 5)["progress"]["step"]
        os.kill(studio.painter(), signal.SIGKILL)
        until(lambda step=step: client.job(id)["progress"]["step"] < step)  # it goes on from the last state
    assert ended(client, id)["state"] == "done"
    assert np.array_equal(pixels(studio, id), whole)


@pytest.mark.slow
def test_a_job_that_is_stopped_keeps_its_picture_without_a_recipe_and_can_go_on(studio, begin, whole, pixels, tmp_path):
    client, id = studio.client, begin()
    running(client, id, 5)
    client.act(id, "stop")
    stopped = ended(client, id)
    assert (stopped["state"], stopped["has_picture"]) == ("stopped", True)
    assert reading.read_note(client.save(id, tmp_path / "stopped.png")) is None
    assert pixels(studio, id).shape == whole.shape
    client.act(id, "resume")
    assert ended(client, id)["state"] == "done"
    assert np.array_equal(pixels(studio, id), whole)


@pytest.mark.slow
def test_a_running_job_is_cancelled_by_its_id_and_the_next_one_begins(studio, begin):
    client, first, second = studio.client, begin(), begin()
    running(client, first, 2)
    client.act(first, "cancel")
    assert ended(client, first)["has_picture"] is False
    assert client.job(first)["state"] == "cancelled"
    running(client, second)
    client.delete(second)
    gone = until(lambda: (job := client.job(second))["state"] == "cancelled" and job)
    assert gone["deleted"]


@pytest.mark.slow
def test_cancelling_has_the_last_word_and_a_second_click_does_no_harm(studio, begin):
    client, id = studio.client, begin()
    for action in ("pause", "pause", "stop", "cancel", "cancel"):
        client.act(id, action)
    assert ended(client, id)["state"] == "cancelled"


@pytest.mark.slow
def test_a_job_that_is_called_off_while_its_process_starts_does_not_begin(studio, begin):
    client = studio.client
    if (painter := studio.painter_or_none()) is not None:  # of a test before
        os.kill(painter, signal.SIGKILL)
    for action, state in (("pause", "paused"), ("cancel", "cancelled")):
        id = begin()
        until(lambda id=id: client.job(id)["state"] == "running")
        client.act(id, action)
        job = until(lambda id=id, state=state: (job := client.job(id))["state"] == state and job)
        assert job["progress"] is None or job["progress"]["step"] < 80
    client._json("POST", "/queue/cancel")


def recipe_of(client, id, folder):
    return Recipe.from_json(reading.read_note(client.save(id, folder / f"{id}.png")), "it")


@pytest.mark.slow
def test_a_change_of_strength_while_it_runs_is_in_the_recipes_schedule(studio, begin, tmp_path):
    client, id = studio.client, begin(strength=0.2)
    running(client, id, 3)
    assert client.change(id, settings={"strength": 0.9})["settings"]["strength"] == 0.9
    assert ended(client, id)["state"] == "done"
    recipe = recipe_of(client, id, tmp_path)
    ((after, knobs),) = [(change.after, change.knobs) for change in recipe.schedule]
    assert (recipe.settings["strength"], knobs) == (0.2, {"strength": 0.9})
    assert 3 <= after < 80
    restored = client.upload(tmp_path / f"{id}.png")["recipe"]["settings"]
    assert restored["strength"] == 0.9  # as it ended


@pytest.mark.slow
def test_a_change_is_kept_by_a_job_that_is_paused_and_one_whose_process_is_killed(studio, begin, tmp_path):
    client, id = studio.client, begin(strength=0.2)
    running(client, id, 3)
    client.change(id, settings={"strength": 0.9})
    os.kill(studio.painter(), signal.SIGKILL)
    running(client, id, 10)
    client.act(id, "pause")
    until(lambda: client.job(id)["state"] == "paused")
    client.change(id, settings={"tv_weight": 0.5})
    client.act(id, "resume")
    assert ended(client, id)["state"] == "done"
    changed = {
        knob: value for change in recipe_of(client, id, tmp_path).schedule for knob, value in change.knobs.items()
    }
    assert changed == {"strength": 0.9, "tv_weight": 0.5}


@pytest.mark.slow
def test_a_process_that_dies_at_the_same_step_again_fails_the_job_and_the_next_one_is_painted(studio, begin, pictures):
    client, id = studio.client, begin()
    for _ in range(scheduler.TRIES):
        before = until(studio.painter_or_none)
        os.kill(before, signal.SIGKILL)
        until(lambda before=before: studio.painter_or_none() != before)
    failed = until(lambda: (job := client.job(id))["state"] in ("failed", "running") and job)
    if failed["progress"] is None:
        assert ended(client, id)["error"]["message"].startswith("The process that paints ended by signal 9")
    client._json("POST", "/queue/cancel")
    other = client.paint(pictures / "photo.png", "dots", **SMALL)
    assert ended(client, other["id"])["state"] == "done"


@pytest.mark.slow
def test_a_server_that_is_killed_in_mid_job_goes_on_to_the_same_pixels_when_it_starts_again(
    tmp_path, pictures, whole, pixels
):
    served = Served(tmp_path / "data")
    id = served.client.paint(pictures / "photo.png", pictures / "brush.jpg", **LONG)["id"]
    waiting = served.client.paint(pictures / "photo.png", "dots", **SMALL)["id"]
    running(served.client, id, 5)
    painter = served.painter()
    followed = served.client.follow(id)
    next(followed)
    served.kill()
    served.start()
    assert [job["id"] for job in served.client.jobs()] == [waiting, id]
    assert running(served.client, id, 6)["title"] == "photo × brush"
    until(lambda: not alive(painter))  # it gave up its lock a moment before
    os.kill(served.painter(), signal.SIGKILL)
    served.kill()
    served.start()
    assert [*followed][-1]["state"] == "done"
    assert np.array_equal(pixels(served, id), whole)
    assert ended(served.client, waiting)["state"] == "done"
    served.close()


@pytest.mark.slow
def test_a_server_that_is_closed_in_mid_job_saves_it_and_goes_on(tmp_path, pictures, whole, pixels):
    served = Served(tmp_path / "data")
    id = served.client.paint(pictures / "photo.png", pictures / "brush.jpg", **LONG)["id"]
    step = running(served.client, id, 10)["progress"]["step"]
    assert "goes on when it is opened again" in served.close()
    assert (served.data / "runs" / id / "state" / "state.safetensors").exists()
    served.start()
    assert running(served.client, id)["progress"]["step"] >= step
    assert ended(served.client, id)["state"] == "done"
    assert np.array_equal(pixels(served, id), whole)
    served.close()


def test_a_second_server_for_the_same_folder_is_refused_in_one_sentence(studio):
    command = [sys.executable, "-m", "impasto", "studio", "--port", "0", "--data", str(studio.data)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr.count("\n") == 1
    assert "belongs to a studio that is running" in second.stderr


@pytest.mark.slow
def test_fifty_jobs_all_end_in_their_order(studio, pictures):
    client = studio.client
    photo = client.upload(pictures / "photo.png")["id"]
    asked = {"contents": [photo], "styles": [{"swatch": "dots"}], "settings": SMALL}
    jobs = client.create(**asked, vary={"seed": [*range(25)], "strength": [0.2, 0.8]})["jobs"]
    assert ended(client, jobs[-1]["id"])["state"] == "done"
    done = [client.job(job["id"]) for job in jobs]
    assert [job["state"] for job in done] == ["done"] * 50
    assert [job["ended"] for job in done] == sorted(job["ended"] for job in done)
