"""The database: brought up to date from older versions, refused from later ones, whole after what goes wrong."""

import sqlite3

import pytest
from served import SMALL, Desk

from impasto.errors import ImpastoError
from impasto.studio import store
from impasto.studio.config import StudioConfig
from impasto.studio.models import Job, State
from impasto.studio.store import Store


def version(file):
    db = sqlite3.connect(file)
    try:
        return db.execute("PRAGMA user_version").fetchone()[0]
    finally:
        db.close()


def test_a_database_of_an_older_version_is_brought_up_to_date_with_what_is_in_it(desk, order, asked, monkeypatch):
    job = desk.post("/api/v1/jobs", json=order(desk)).json()["jobs"][0]
    desk.close()
    monkeypatch.setattr(store, "MIGRATIONS", (*store.MIGRATIONS, "ALTER TABLE jobs ADD COLUMN stars INTEGER DEFAULT 3"))
    monkeypatch.setattr(store, "VERSION", store.VERSION + 1)
    newer = asked()
    assert newer.get(f"/api/v1/jobs/{job['id']}").json() == job
    assert newer.studio.store._all("SELECT stars FROM jobs")[0]["stars"] == 3
    assert version(newer.studio.config.database) == store.VERSION


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path, monkeypatch):
    Store(tmp_path / "a.sqlite").close()
    wrong = "ALTER TABLE jobs ADD COLUMN stars INTEGER; CREATE TABLE jobs (id TEXT)"
    with monkeypatch.context() as patch:
        patch.setattr(store, "MIGRATIONS", (*store.MIGRATIONS, wrong))
        patch.setattr(store, "VERSION", store.VERSION + 1)
        with pytest.raises(ImpastoError):
            Store(tmp_path / "a.sqlite")
    whole = Store(tmp_path / "a.sqlite")
    assert "stars" not in {row["name"] for row in whole._all("PRAGMA table_info(jobs)")}
    whole.close()


def test_a_database_of_a_later_version_is_refused_and_left_alone(tmp_path):
    Store(file := tmp_path / "studio.sqlite").close()
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ImpastoError, match="written by a later impasto"):
        Desk(StudioConfig(tmp_path))
    assert version(file) == 99


@pytest.mark.parametrize("damage", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_database_is_said_in_one_sentence(damage, tmp_path):
    (tmp_path / "studio.sqlite").write_bytes(damage)
    with pytest.raises(ImpastoError) as found:
        Desk(StudioConfig(tmp_path))
    (sentence,) = found.value.sentences()
    assert "studio.sqlite can't be used" in sentence
    assert (tmp_path / "studio.sqlite").read_bytes() == damage


def test_jobs_and_images_are_there_after_a_restart_and_what_ran_waits_at_the_front(desk, order, asked):
    request = order(desk, vary={"seed": [1, 2]})
    first, second = desk.post("/api/v1/jobs", json=request).json()["jobs"]
    desk.studio.store.change_job(second["id"], state=State.RUNNING)
    desk.close()
    again = asked()
    again.studio.scheduler.recover()
    assert [job.id for job in again.studio.store.in_state("queued")] == [second["id"], first["id"]]
    assert again.get(f"/api/v1/images/{request['contents'][0]}").json()["name"] == "photo.png"
    assert again.studio.store.seq > second["seq"]
    assert again.get(f"/api/v1/jobs/{first['id']}").json()["settings"] == SMALL | {"seed": 1}


def test_a_folder_that_cannot_be_used_is_said_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ImpastoError, match="choose another with data"):
        Desk(StudioConfig(tmp_path / "file"))


def test_a_change_that_fails_changes_nothing(desk, order, monkeypatch):
    job = desk.post("/api/v1/jobs", json=order(desk)).json()["jobs"][0]
    database = desk.studio.store
    with monkeypatch.context() as patch:
        patch.setattr(Job, "model_dump_json", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            database.change_job(job["id"], title="half")
    assert database.job(job["id"]).title == job["title"]
    database.change_job(job["id"], title="whole")
    assert database.job(job["id"]).title == "whole"
