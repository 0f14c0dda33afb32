"""From a request to jobs in the queue, and the queue's order, search and bin; nothing here is painted."""

import pytest
from served import SMALL, sent

from impasto.settings import presets


def jobs(desk, **query):
    return desk.get("/api/v1/jobs", params=query).json()["jobs"]


def made(desk, request):
    answer = desk.post("/api/v1/jobs", json=request)
    assert answer.status_code == 201, answer.text
    return answer.json()["jobs"]


def queue(desk):
    return [job["title"] for job in sorted(jobs(desk, state="queued"), key=lambda job: job["position"])]


@pytest.fixture
def three(desk, order):
    """Three jobs in the queue: a, b, c."""
    request = order(desk)
    found = [made(desk, request)[0] for _ in range(3)]
    for job, title in zip(found, "abc", strict=True):
        desk.patch(f"/api/v1/jobs/{job['id']}", json={"title": title})
    return dict(zip("abc", (job["id"] for job in found), strict=True))


def test_a_sweep_makes_a_job_of_each_combination_and_a_batch_one_of_each_photo(desk, order):
    request = order(desk, "photo.png", "other.png", vary={"strength": [0.25, 1], "color": ["style", "keep"]})
    answer = desk.post("/api/v1/jobs", json=request).json()
    assert [job["labels"] for job in answer["jobs"][:2]] == [
        {"strength": "0.25", "color": "style"},
        {"strength": "0.25", "color": "keep"},
    ]
    assert [job["content"]["name"] for job in answer["jobs"]] == ["photo.png"] * 4 + ["other.png"] * 4
    assert {job["group"] for job in answer["jobs"]} == {answer["group"]}
    assert len({tuple(job["labels"].values()) for job in answer["jobs"]}) == 4


def test_a_quick_look_goes_to_the_front(desk, order, three):
    made(desk, order(desk, quick=True, settings={}))
    assert queue(desk) == ["photo × dots", "a", "b", "c"]


@pytest.mark.parametrize(
    ("moved", "before", "expected"), [("c", "a", "cab"), ("a", "c", "bac"), ("a", None, "bca"), ("b", "b", None)]
)
def test_a_job_is_put_before_another_one_or_last(moved, before, expected, desk, three):
    answer = desk.patch(f"/api/v1/jobs/{three[moved]}", json={"before": before and three[before]})
    assert answer.status_code == (200 if expected else 409)
    assert queue(desk) == [*(expected or "abc")]


def test_a_queue_that_is_sorted_for_hours_keeps_its_order(desk, three):
    for n in range(150):
        moved, before = ("b", "c") if n % 2 else ("c", "b")
        assert desk.patch(f"/api/v1/jobs/{three[moved]}", json={"before": three[before]}).status_code == 200
    assert queue(desk) == ["a", "b", "c"]


def test_jobs_that_do_not_wait_have_no_place(desk, three):
    desk.post(f"/api/v1/jobs/{three['a']}/cancel")
    assert desk.patch(f"/api/v1/jobs/{three['a']}", json={"before": None}).status_code == 409
    assert desk.patch(f"/api/v1/jobs/{three['b']}", json={"before": three["a"]}).status_code == 409


def test_a_queued_job_is_cancelled_and_all_of_them_at_once(desk, three):
    assert desk.post(f"/api/v1/jobs/{three['b']}/cancel").json()["state"] == "cancelled"
    assert desk.post(f"/api/v1/jobs/{three['b']}/cancel").status_code == 409
    assert desk.post("/api/v1/queue/cancel").json() == {"cancelled": 2}
    assert queue(desk) == []


def test_a_job_that_waits_is_paused_changed_and_gone_on_with_at_the_front(desk, three):
    id = three["b"]
    assert desk.post(f"/api/v1/jobs/{id}/pause").json()["state"] == "paused"
    assert desk.patch(f"/api/v1/jobs/{id}", json={"settings": {"strength": 0.1}}).json()["settings"]["strength"] == 0.1
    assert desk.post(f"/api/v1/jobs/{id}/resume").json()["state"] == "queued"
    assert queue(desk) == ["b", "a", "c"]


def test_what_cannot_change_while_painting_is_refused_beside_its_knob(desk, three):
    for knob, value in {"size": 64, "strength": 7, "colour": 1}.items():
        answer = desk.patch(f"/api/v1/jobs/{three['a']}", json={"settings": {knob: value}})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["knob"] == knob
    desk.post(f"/api/v1/jobs/{three['a']}/cancel")
    assert desk.patch(f"/api/v1/jobs/{three['a']}", json={"settings": {"strength": 1}}).status_code == 409


def test_a_deleted_job_is_had_back_and_was_called_off(desk, three):
    assert desk.delete(f"/api/v1/jobs/{three['a']}").status_code == 204
    assert [job["title"] for job in jobs(desk)] == ["c", "b"]
    assert desk.post(f"/api/v1/jobs/{three['a']}/restore").json()["state"] == "cancelled"
    assert [job["title"] for job in jobs(desk)] == ["c", "b", "a"]


def test_the_bin_is_emptied_after_an_hour_and_takes_unshelved_pictures_along(desk, order, monkeypatch):
    request = order(desk)
    (job,) = made(desk, request)
    desk.delete(f"/api/v1/images/{request['contents'][0]}")
    folder = desk.studio.config.data / "runs" / job["id"]
    folder.mkdir()
    desk.delete(f"/api/v1/jobs/{job['id']}")
    desk.studio.sweep()
    assert folder.exists()
    assert desk.get(f"/api/v1/images/{request['contents'][0]}/view").status_code == 200
    monkeypatch.setattr("impasto.studio.images.hours_ago", lambda hours: "3000")
    desk.studio.sweep()
    assert desk.get(f"/api/v1/images/{request['contents'][0]}/view").status_code == 200
    monkeypatch.setattr("impasto.studio.hub.hours_ago", lambda hours: "3000")
    desk.studio.sweep()
    assert not folder.exists()
    assert desk.get(f"/api/v1/jobs/{job['id']}").status_code == 404
    assert desk.get(f"/api/v1/images/{request['contents'][0]}/view").status_code == 404


def test_pins_and_titles_are_kept_and_searched(desk, three):
    desk.patch(f"/api/v1/jobs/{three['b']}", json={"pinned": True, "title": "Großmutter am Meer"})
    (found,) = jobs(desk, search="GROSSMUTTER meer")
    assert (found["id"], found["pinned"]) == (three["b"], True)
    assert len(jobs(desk, search="dots.png")) == 0
    assert len(jobs(desk, search="photo.png dots")) == 3
    assert jobs(desk, search="photo % _") == []


def test_pages_show_each_job_once_newest_first(desk, order):
    request = order(desk, vary={"seed": [*range(7)]})
    made(desk, request)
    found, cursor = [], None
    while True:
        page = desk.get("/api/v1/jobs", params={"limit": 3} | ({} if cursor is None else {"before": cursor})).json()
        found += [job["labels"]["seed"] for job in page["jobs"]]
        if (cursor := page["next"]) is None:
            break
    assert found == ["6", "5", "4", "3", "2", "1", "0"]


def test_the_jobs_of_one_group_are_listed_by_it(desk, order):
    request = order(desk, vary={"seed": [1, 2]})
    groups = [desk.post("/api/v1/jobs", json=request).json()["group"] for _ in range(2)]
    found = jobs(desk, group=groups[0])
    assert [job["group"] for job in found] == [groups[0]] * 2
    assert jobs(desk, group="a" * 16) == []


def test_presets_are_listed_used_and_refused_by_name(desk, order, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_PRESETS", str(tmp_path))
    (tmp_path / "broken.toml").write_text("strength = [")
    shown = {preset["name"]: preset for preset in desk.get("/api/v1/presets").json()}
    assert shown.keys() == {*presets.paths()} - {"broken"}
    assert shown["painterly"]["settings"] == {"strength": 0.7}
    made(desk, order(desk, preset="painterly"))
    for wrong in ("no such", "../painterly", "./broken.toml", "broken"):
        answer = desk.post("/api/v1/jobs", json=order(desk, preset=wrong))
        assert answer.status_code == 422
        assert wrong in answer.json()["errors"][0]["message"]


def test_a_job_tells_the_knobs_that_may_change_as_they_are_whoever_set_them(asked, order):
    desk = asked(base={"tv_weight": 0.2})
    (job,) = made(desk, order(desk, preset="painterly"))
    assert "strength" not in job["settings"]
    assert (job["scheduled"]["strength"], job["scheduled"]["tv_weight"]) == (0.7, 0.2)
    assert "size" not in job["scheduled"]
    changed = desk.patch(f"/api/v1/jobs/{job['id']}", json={"settings": {"strength": 0.1}}).json()
    assert (changed["scheduled"]["strength"], changed["scheduled"]["tv_weight"]) == (0.1, 0.2)


@pytest.mark.parametrize(
    ("request_", "knob"),
    [
        ({"settings": {"strength": 2}}, "strength"),
        ({"settings": {"no_such": 1}}, "no_such"),
        ({"settings": {"style_weights": [1, 2]}}, "style_weights"),
        ({"settings": {"mask_erosion": 2}}, "mask_erosion"),
        ({"vary": {"strength": [0.1, "much"]}}, "strength"),
        ({"masks": [None, "PHOTO"]}, "mask"),
    ],
    ids=str,
)
def test_what_cannot_be_painted_is_refused_before_anything_starts(request_, knob, desk, order):
    request = order(desk)
    wanted = {
        key: [request["contents"][0] if one == "PHOTO" else one for one in value] if key == "masks" else value
        for key, value in request_.items()
    }
    answer = desk.post("/api/v1/jobs", json=request | wanted)
    assert (answer.status_code, answer.json()["errors"][0]["knob"]) == (422, knob)
    assert jobs(desk) == []


@pytest.mark.parametrize("missing", ["contents", "styles", "masks", "strength_map"])
def test_a_picture_that_is_not_there_is_named(missing, desk, order):
    other = {"contents": ["A" * 16], "styles": [{"image": "A" * 16}], "masks": ["A" * 16], "strength_map": "A" * 16}
    answer = desk.post("/api/v1/jobs", json=order(desk) | {missing: other[missing]})
    assert answer.status_code == 422
    assert "isn't in the studio" in answer.json()["errors"][0]["message"]


def test_the_same_bytes_are_kept_once_and_come_back_to_the_shelf(desk, pictures):
    image = sent(desk, pictures / "photo.png", role="content")
    desk.delete(f"/api/v1/images/{image['id']}")
    assert desk.get("/api/v1/images").json() == []
    assert sent(desk, pictures / "photo.png", name="again.png") == image
    assert [found["id"] for found in desk.get("/api/v1/images", params={"role": "content"}).json()] == [image["id"]]
    assert len([*(desk.studio.config.data / "images").iterdir()]) == 1


def test_settings_are_checked_as_the_library_checks_them(desk):
    fine = desk.post("/api/v1/settings/check", json={"preset": "sketch", "settings": {"strength": 0.3}}).json()
    assert (fine["errors"], fine["settings"]["strength"], fine["settings"]["size"]) == ([], 0.3, 256)
    wrong = desk.post("/api/v1/settings/check", json={"settings": {"strength": -1, "tv_weight": "x"}}).json()
    assert wrong["settings"] is None
    assert [error["knob"] for error in wrong["errors"]] == ["strength", "tv_weight"]
    assert all(error["message"].endswith(".") and "_" not in error["message"] for error in wrong["errors"])


def test_settings_of_the_servers_own_apply_to_jobs_that_say_nothing_else(asked):
    desk = asked(base={"strength": 0.9, "weights": "embedded"})
    found = desk.post("/api/v1/settings/check", json={"settings": SMALL}).json()["settings"]
    assert (found["strength"], found["weights"]) == (0.9, "embedded")
