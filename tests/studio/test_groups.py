"""Several pictures of one request as one line: its counts, its progress, its place, its end, and its folder."""

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from served import LONG, SMALL, ended, sent, until

from impasto.cli import main
from impasto.studio import records
from impasto.studio.groups import group_of
from impasto.studio.models import Job, Problem, Progress, State

FLAGS = [
    *("--size", "32", "--epochs", "1", "--steps-per-epoch", "2", "--scales", "1"),
    *("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_1"),
]
"""`SMALL` for the command line."""


def made(desk, request):
    answer = desk.post("/api/v1/jobs", json=request)
    assert answer.status_code == 201, answer.text
    return answer.json()


def group(desk, id):
    answer = desk.get(f"/api/v1/groups/{id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def queue(desk):
    jobs = desk.get("/api/v1/jobs", params={"state": "queued"}).json()["jobs"]
    return [job["id"] for job in sorted(jobs, key=lambda job: job["position"])]


def ids(created):
    return [job["id"] for job in created["jobs"]]


def test_each_photo_in_each_style_is_one_group_with_its_name(desk, order, pictures):
    mask = sent(desk, pictures / "mask.png")["id"]
    styles = [{"swatch": "dots"}, {"swatch": "mosaic"}]
    request = order(desk, "photo.png", "other.png", styles=styles, each_style=True, title="Holiday")
    created = made(desk, request | {"masks": [mask, None], "vary": {"seed": [1, 2]}})
    assert [[style["name"] for style in job["styles"]] for job in created["jobs"][:4]] == [["dots"]] * 2 + [
        ["mosaic"]
    ] * 2
    assert [job["masks"] for job in created["jobs"][:4]] == [[mask]] * 2 + [[None]] * 2
    told = group(desk, created["group"])
    assert (told["title"], told["photos"], told["styles"], told["knobs"]) == ("Holiday", 2, 2, ["seed"])
    assert (told["pictures"], told["waiting"], told["done"], told["share"]) == (8, 8, 0, 0)
    (alone,) = made(desk, order(desk, title="Mine"))["jobs"]
    assert (alone["title"], alone["group"]) == ("Mine", None)


def test_masks_that_are_not_one_for_each_style_are_refused(desk, order, pictures):
    mask = sent(desk, pictures / "mask.png")["id"]
    styles = [{"swatch": "dots"}, {"swatch": "mosaic"}]
    answer = desk.post("/api/v1/jobs", json=order(desk, styles=styles, each_style=True, masks=[mask]))
    assert (answer.status_code, answer.json()["errors"][0]["knob"]) == (422, "mask")


def painted(state, planned, share=0.0, seconds=0.0):
    how = dict.fromkeys(("step", "steps", "epoch", "epochs", "scale", "scales", "width", "height", "loss"), 1)
    progress = Progress(**how, seconds_left=0, seconds=seconds, share=share) if seconds else None
    image = {"name": "photo.png", "thumbnail": ""}
    return Job(
        id="a" * 16, group="g" * 16, title="t", created="", settings={}, content=image, styles=[image],
        state=state, planned=planned, progress=progress,
    )  # fmt: skip


def test_the_progress_of_a_group_goes_by_planned_work_and_the_pace_so_far():
    large, small = painted(State.RUNNING, 90.0, 0.5, 60.0), painted(State.DONE, 10.0, 1.0, 20.0)
    told = group_of([small, large, painted(State.QUEUED, 50.0), painted(State.CANCELLED, 1000.0)], 7)
    assert told.share == pytest.approx((10 + 45) / 150)
    assert told.seconds_left == pytest.approx(80 * 95 / 55)
    assert group_of([painted(State.QUEUED, 7.0)] * 2, 7).seconds_left == 14  # before any pace, as planned
    unplanned = group_of([painted(State.DONE, None, 1.0, 20.0), painted(State.QUEUED, None)], 7)
    assert (unplanned.share, unplanned.seconds_left) == (0.5, 20)
    assert group_of([painted(State.CANCELLED, 7.0)], 7).seconds_left is None


def test_a_group_is_paused_gone_on_with_and_cancelled_at_once(desk, order):
    created = made(desk, order(desk, "photo.png", "other.png"))
    (alone,) = ids(made(desk, order(desk)))
    path = f"/api/v1/groups/{created['group']}"
    assert desk.post(f"{path}/pause").json()["paused"] == 2
    assert queue(desk) == [alone]
    assert desk.post(f"{path}/pause").status_code == 409
    assert desk.post(f"{path}/resume").json()["waiting"] == 2
    assert queue(desk) == [*ids(created), alone]
    assert desk.post(f"{path}/cancel").json()["cancelled"] == 2
    assert queue(desk) == [alone]
    assert desk.get(f"{path}/folder").status_code == 409  # nothing is painted
    assert desk.post("/api/v1/groups/aaaaaaaaaaaaaaaa/cancel").status_code == 404


@pytest.mark.parametrize("how", ["pause", "cancel"])
def test_no_picture_of_a_group_begins_while_the_group_is_ended(how, desk, order, monkeypatch):
    created = made(desk, order(desk, "photo.png", "other.png"))
    desk.studio.store.change_job(ids(created)[0], state=State.RUNNING)
    monkeypatch.setattr(desk.studio.scheduler, "current", ids(created)[0])
    waiting = []

    async def tell(message):
        waiting.append((message["do"], queue_of(desk)))

    monkeypatch.setattr(desk.studio.scheduler.process, "tell", tell)
    desk.post(f"/api/v1/groups/{created['group']}/{how}")
    desk.studio.scheduler._watchdog = None
    assert waiting == [("end", [])]


def queue_of(desk):
    return desk.studio.store.in_state(State.QUEUED)


def test_what_failed_of_a_group_is_tried_again(desk, order):
    created = made(desk, order(desk, "photo.png", "other.png"))
    desk.studio.store.change_job(ids(created)[0], state=State.FAILED)
    desk.studio.store.change_job(ids(created)[1], state=State.DONE)
    assert desk.post(f"/api/v1/groups/{created['group']}/retry").json()["waiting"] == 1
    assert queue(desk) == ids(created)[:1]


def test_a_group_moves_in_the_queue_as_one(desk, order):
    (first,) = ids(made(desk, order(desk)))
    created = made(desk, order(desk, "photo.png", vary={"seed": [1, 2, 3]}))
    (last,) = ids(made(desk, order(desk)))
    path = f"/api/v1/groups/{created['group']}"
    for before, expected in (
        (first, [*ids(created), first, last]),
        (last, [first, *ids(created), last]),
        (None, [first, last, *ids(created)]),
    ):
        assert desk.patch(path, json={"before": before}).status_code == 200
        assert queue(desk) == expected
    assert desk.patch(path, json={"before": ids(created)[1]}).status_code == 409
    for n in range(80):
        desk.patch(path, json={"before": first if n % 2 else last})
    assert queue(desk) == [*ids(created), first, last]


def test_the_history_has_what_has_ended_and_each_group_once_however_large(desk, order):
    (oldest,) = ids(made(desk, order(desk)))
    created = made(desk, order(desk, vary={"seed": [*range(5)]}))
    (newest,) = ids(made(desk, order(desk)))
    group_ids = ids(created)

    def past():
        return [job["id"] for job in desk.get("/api/v1/jobs", params={"history": True}).json()["jobs"]]

    assert past() == []
    for id, state in zip(
        (oldest, *group_ids), ("failed", "done", "stopped", "done", "cancelled", "queued"), strict=True
    ):
        desk.studio.store.change_job(id, state=State(state))
    assert past() == [group_ids[2], oldest]  # what was cancelled or waits doesn't stand for what is painted
    desk.studio.store.change_job(newest, state=State.DONE)
    desk.delete(f"/api/v1/jobs/{group_ids[2]}")
    assert past() == [newest, group_ids[1], oldest]
    assert group(desk, created["group"])["pictures"] == 4


@dataclass
class Unpacked:
    """A group's folder as somebody has it who unpacked it."""

    folder: Path
    created: dict


@pytest.fixture(scope="module")
def painted_group(studio, pictures):
    """Two photos in a style, painted."""
    photos = [studio.client.upload(pictures / name)["id"] for name in ("photo.png", "other.png")]
    created = studio.client.create(contents=photos, styles=[{"swatch": "dots"}], settings=SMALL, title="My trip")
    for job in created["jobs"]:
        assert ended(studio.client, job["id"])["state"] == "done"
    return created


@pytest.fixture
def unpacked(studio, painted_group, tmp_path):
    file = studio.client.save_folder(painted_group["group"], tmp_path / "trip.zip")
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    return tmp_path / "My trip"


@pytest.mark.slow
def test_the_folder_of_a_group_has_what_a_batch_leaves(unpacked):
    assert {path.name for path in unpacked.iterdir()} == {
        *("photo_dots.png", "other_dots.png", "manifest.jsonl", "contact_sheet.png", "summary.json"),
    }
    rows = [json.loads(line) for line in (unpacked / "manifest.jsonl").read_text().splitlines()]
    assert [(row["content"], row["styles"], row["output"], row["state"]) for row in rows] == [
        ("photo.png", ["dots"], "photo_dots.png", "done"),
        ("other.png", ["dots"], "other_dots.png", "done"),
    ]
    assert all(row["seconds"] > 0 and row["loss"] > 0 for row in rows)
    told = json.loads((unpacked / "summary.json").read_text())
    assert (told["pictures"], told["done"], told["failed"]) == (2, 2, 0)


def test_a_batch_into_that_folder_skips_what_is_finished_and_paints_the_rest(unpacked, pictures, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for name in ("photo.png", "other.png"):
        shutil.copy(pictures / name, tmp_path / "photos")
    before = {path.name: path.read_bytes() for path in unpacked.glob("*_dots.png")}

    def left(*flags):
        photos = str(tmp_path / "photos")
        assert (
            main(["batch", photos, "--styles", "dots", "-o", str(unpacked), *FLAGS, *flags, "--dry-run", "--json"]) == 0
        )
        told = json.loads(capsys.readouterr().out)
        return [Path(row["output"]).name for row in told["pictures"]], told["finished"]

    assert left() == ([], 2)
    assert left("--strength", "0.9") == (["other_dots-2.png", "photo_dots-2.png"], 0)
    (unpacked / "other_dots.png").write_bytes(b"edited")
    assert left() == (["other_dots.png"], 1)
    assert (unpacked / "photo_dots.png").read_bytes() == before["photo_dots.png"]


def test_what_failed_was_stopped_or_has_not_begun_is_a_batchs_to_paint(desk, order, pictures, tmp_path, capsys):
    names = ("photo.png", "other.png", "dots.png", "mask.png")
    created = made(desk, order(desk, *names, title="Four: a/b"))
    store, runs = desk.studio.store, []
    for job, state in zip(created["jobs"], ("done", "stopped", "failed", "queued"), strict=True):
        runs.append(desk.studio.orders.files(job["id"], store.spec(job["id"])))
        runs[-1].folder.mkdir()
        error = Problem(message="It is broken.") if state == "failed" else None
        store.change_job(job["id"], state=State(state), has_picture=state in ("done", "stopped"), error=error)
    for files in runs[:3]:
        records.begin(files)
    for files in runs[:2]:
        shutil.copy(pictures / "photo.png", files.picture)
    records.finish(runs[0], loss=1.0, seconds=2.0, changed=False)
    answer = desk.get(f"/api/v1/groups/{created['group']}/folder")
    assert answer.headers["content-disposition"].endswith("Four_%20a-b.zip")
    (tmp_path / "it.zip").write_bytes(answer.content)
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    (folder,) = (tmp_path / "unpacked").iterdir()
    told = json.loads((folder / "summary.json").read_text())
    assert (told["done"], told["failed"], told["unfinished"]) == (1, 1, 2)
    assert told["failures"] == {"dots_dots.png": "It is broken."}
    photos = [str(pictures / name) for name in names]
    assert main(["batch", *photos, "--styles", "dots", "-o", str(folder), *FLAGS, "--dry-run", "--json"]) == 0
    left = [Path(row["output"]).name for row in json.loads(capsys.readouterr().out)["pictures"]]
    assert left == ["other_dots.png", "dots_dots.png", "mask_dots.png"]


def test_a_group_knows_how_long_its_pictures_are_planned_to_take(studio, painted_group):
    planned = until(lambda: all(p := [studio.client.job(id)["planned"] for id in ids(painted_group)]) and p)
    assert all(seconds > 0 for seconds in planned)
    assert studio.client.group(painted_group["group"])["share"] == 1


@pytest.mark.slow
def test_a_picture_whose_knobs_were_turned_on_the_way_is_no_batchs(studio, pictures, tmp_path):
    client = studio.client
    photos = [client.upload(pictures / name)["id"] for name in ("photo.png", "other.png")]
    created = client.create(contents=photos, styles=[{"swatch": "dots"}], settings=LONG | {"strength": 0.2})
    first, second = ids(created)
    until(lambda: (client.job(first)["progress"] or {}).get("step", 0) >= 3)
    client.change(first, settings={"strength": 0.9})
    assert ended(client, first)["state"] == "done"
    until(lambda: (client.job(second)["progress"] or {}).get("step", 0) >= 3)
    client.act(second, "pause")
    until(lambda: client.job(second)["state"] == "paused")
    client.act(second, "resume")
    assert ended(client, second)["state"] == "done"
    with zipfile.ZipFile(client.save_folder(created["group"], tmp_path / "a.zip")) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith("manifest.jsonl")]
        keys = [json.loads(line)["key"] for line in archive.read(name).decode().splitlines()]
    assert [len(key) for key in keys] == [0, 64]


def test_watchers_are_told_of_a_group_when_one_of_its_jobs_changes(desk, order):
    import asyncio

    created = made(desk, order(desk, "photo.png", "other.png"))

    async def heard():
        changes = desk.studio.changes.watch(list)
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        for id in ids(created):
            desk.studio.scheduler.change(id, state=State.DONE)
        found = [await waiting, await anext(changes), await anext(changes)]
        await changes.aclose()
        return found

    told = asyncio.run(heard())
    assert [change.kind for change in told] == ["job", "job", "group"]
    assert json.loads(told[-1].data)["done"] == 2
    assert json.loads(told[-1].data)["seq"] == told[1].number  # by which a page knows it from an older answer
