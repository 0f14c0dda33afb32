"""Jobs and images in SQLite, in WAL mode: what is committed here is there after a kill."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.studio.models import Image, Job, Jobs, JobSpec, State

MIGRATIONS: Sequence[str] = (
    """
    CREATE TABLE images (
        id TEXT PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, role TEXT NOT NULL, shelf INTEGER NOT NULL,
        added TEXT NOT NULL, file TEXT NOT NULL, document TEXT NOT NULL
    );
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, seq INTEGER NOT NULL, state TEXT NOT NULL, position REAL NOT NULL,
        created TEXT NOT NULL, deleted TEXT, search TEXT NOT NULL, spec TEXT NOT NULL, document TEXT NOT NULL
    );
    CREATE INDEX jobs_seq ON jobs (seq);
    CREATE INDEX jobs_state ON jobs (state, position);
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    """,
    "CREATE INDEX jobs_group ON jobs (json_extract(document, '$.group'))",
)
"""What leads from each version of the tables, kept in `PRAGMA user_version`, to the next."""

VERSION = len(MIGRATIONS)

_GROUP = "json_extract(document, '$.group')"
"""Of a job, as the index has it."""

_PAST = f"('{State.DONE}', '{State.STOPPED}', '{State.FAILED}')"


def now() -> str:
    """The time, in UTC to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def hours_ago(hours: float) -> str:
    """The time so many hours ago, as `now` tells it."""
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="milliseconds")


class Store:
    """The database of a studio; each method is one transaction, and any thread may call it.

    Raises `ImpastoError` where the file is of a later version than this program's, or is no database.
    """

    def __init__(self, file: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._migrate(file)
            self._seq = self._db.execute("SELECT coalesce(max(seq), 0) FROM jobs").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise ImpastoError(f"{file} can't be used ({error})", "move it away: a new one is made") from None

    def close(self) -> None:
        """Write the log into the database's file."""
        with self._lock:
            self._db.close()

    def _migrate(self, file: Path) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise ImpastoError(
                f"{file} was written by a later impasto (format {found}, this one knows {VERSION})",
                "use that one, or choose another folder with `data`",
            )
        for number in range(found, VERSION):
            self._db.executescript(f"BEGIN; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _all(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    # Facts

    def fact(self, name: str, otherwise: str) -> str:
        """What was noted under a name; notes `otherwise` where nothing was."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, otherwise))
            return db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()[0]

    # Images

    def add_image(self, image: Image, file: Path) -> None:
        """Note an image whose bytes are in `file`."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?)",
                (image.id, image.sha256, image.role, image.shelf, image.added, str(file), image.model_dump_json()),
            )

    def image(self, id: str) -> Image | None:
        """An image by its id."""
        rows = self._all("SELECT document FROM images WHERE id = ?", id)
        return Image.model_validate_json(rows[0]["document"]) if rows else None

    def image_by_hash(self, sha256: str) -> Image | None:
        """An image by the SHA-256 of its bytes."""
        rows = self._all("SELECT document FROM images WHERE sha256 = ?", sha256)
        return Image.model_validate_json(rows[0]["document"]) if rows else None

    def image_file(self, id: str) -> Path:
        """Where an image's bytes are; raises `KeyError`."""
        rows = self._all("SELECT file FROM images WHERE id = ?", id)
        if not rows:
            raise KeyError(id)
        return Path(rows[0]["file"])

    def images(self, role: str | None = None) -> list[Image]:
        """Those on the shelf, newest first."""
        rows = self._all(
            "SELECT document FROM images WHERE shelf = 1 AND (?1 IS NULL OR role = ?1) ORDER BY added DESC LIMIT 500",
            role,
        )
        return [Image.model_validate_json(row["document"]) for row in rows]

    def change_image(self, id: str, **changes: Any) -> Image | None:
        """Change fields of an image."""
        with self._transaction() as db:
            if (image := self.image(id)) is None:
                return None
            image = image.model_copy(update=changes)
            db.execute(
                "UPDATE images SET role = ?, shelf = ?, document = ? WHERE id = ?",
                (image.role, image.shelf, image.model_dump_json(), id),
            )
            return image

    def forget_image(self, id: str, *, added_before: str) -> bool:
        """Forget an image that is off the shelf, in no job, and not so new that a job may just be made of it."""
        with self._transaction() as db:
            if id in self.used_images():
                return False
            query = "DELETE FROM images WHERE id = ? AND shelf = 0 AND added < ?"
            return db.execute(query, (id, added_before)).rowcount > 0

    # Jobs

    def add_jobs(self, jobs: Sequence[tuple[Job, JobSpec]], *, front: bool = False) -> list[Job]:
        """Put jobs at the end of the queue, or at its front; all of them or none."""
        added = []
        with self._transaction() as db:
            low, high = db.execute(
                "SELECT coalesce(min(position), 0), coalesce(max(position), 0) FROM jobs WHERE state = 'queued'"
            ).fetchone()
            for number, (job, spec) in enumerate(jobs, start=1):
                self._seq += 1
                position = low - 1 - len(jobs) + number if front else high + number
                job = job.model_copy(update={"seq": self._seq, "position": position})
                db.execute(
                    "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, NULL, ?, ?, ?)",
                    (
                        *(job.id, job.seq, job.state, job.position, job.created),
                        *(_words(job), spec.model_dump_json(), job.model_dump_json()),
                    ),
                )
                added.append(job)
        return added

    def job(self, id: str) -> Job | None:
        """A job by its id."""
        rows = self._all("SELECT document FROM jobs WHERE id = ?", id)
        return Job.model_validate_json(rows[0]["document"]) if rows else None

    def spec(self, id: str) -> JobSpec:
        """What a job paints; raises `KeyError`."""
        rows = self._all("SELECT spec FROM jobs WHERE id = ?", id)
        if not rows:
            raise KeyError(id)
        return JobSpec.model_validate_json(rows[0]["spec"])

    def change_job(self, id: str, **changes: Any) -> Job:
        """Change fields of a job; raises `KeyError`."""
        with self._transaction():
            return self._change(id, changes)

    def _change(self, id: str, changes: dict[str, Any]) -> Job:
        """The same inside a transaction that is open."""
        if (job := self.job(id)) is None:
            raise KeyError(id)
        self._seq += 1
        job = job.model_copy(update=changes | {"seq": self._seq})
        deleted = "coalesce(deleted, ?)" if job.deleted else "iif(?, NULL, NULL)"
        self._db.execute(
            "UPDATE jobs SET seq = ?, state = ?, position = ?, search = ?, document = ?, "
            f"deleted = {deleted} WHERE id = ?",
            (job.seq, job.state, job.position, _words(job), job.model_dump_json(), now(), id),
        )
        return job

    def jobs(
        self,
        *,
        search: str = "",
        state: str | None = None,
        group: str | None = None,
        history: bool = False,
        limit: int = 60,
        before: int | None = None,
    ) -> Jobs:
        """Newest first, those in the bin left out; `before` is the `next` of the page before.

        The `history` has those that have ended and weren't cancelled, of each group the newest alone.
        """
        words = search.casefold().split()[:10]
        query = "SELECT rowid, document FROM jobs WHERE deleted IS NULL AND (?1 IS NULL OR state = ?1)"
        query += " AND (?3 IS NULL OR rowid < ?3) AND (?4 IS NULL OR json_extract(document, '$.group') = ?4)"
        if history:
            query += f" AND state IN {_PAST} AND NOT EXISTS (SELECT 1 FROM jobs AS later WHERE later.deleted IS NULL"
            query += f" AND later.state IN {_PAST} AND later.rowid > jobs.rowid"
            query += " AND json_extract(later.document, '$.group') = json_extract(jobs.document, '$.group'))"
        query += "".join(f" AND instr(search, ?{number}) > 0" for number in range(5, 5 + len(words)))
        rows = self._all(query + " ORDER BY rowid DESC LIMIT ?2", state, limit, before, group, *words)
        found = [Job.model_validate_json(row["document"]) for row in rows]
        return Jobs(jobs=found, next=rows[-1]["rowid"] if len(rows) == limit else None)

    def group(self, id: str) -> list[Job]:
        """The jobs of a group in the order in which they were made, those in the bin left out."""
        rows = self._all(f"SELECT document FROM jobs WHERE {_GROUP} = ? AND deleted IS NULL ORDER BY rowid", id)
        return [Job.model_validate_json(row["document"]) for row in rows]

    def changed_since(self, seq: int, most: int) -> list[Job] | None:
        """What changed after a job had that number, in order; None where it is too much, or the number isn't ours."""
        if seq > self._seq:
            return None
        rows = self._all("SELECT document FROM jobs WHERE seq > ? ORDER BY seq LIMIT ?", seq, most + 1)
        return None if len(rows) > most else [Job.model_validate_json(row["document"]) for row in rows]

    @property
    def seq(self) -> int:
        """The number of the last change."""
        return self._seq

    def in_state(self, *states: State) -> list[Job]:
        """The jobs in these states, in the order of the queue."""
        marks = ", ".join("?" for _ in states)
        rows = self._all(
            f"SELECT document FROM jobs WHERE state IN ({marks}) AND deleted IS NULL ORDER BY position", *states
        )
        return [Job.model_validate_json(row["document"]) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        return dict(tuple(row) for row in self._all("SELECT state, count(*) FROM jobs GROUP BY state"))

    def move(self, ids: Sequence[str], before: str | None) -> list[Job]:
        """Put queued jobs before another one, or last (None); the jobs whose numbers changed, those last.

        Raises `KeyError` where one of them doesn't wait.
        """
        with self._transaction():
            queue = {job.id: job for job in self.in_state(State.QUEUED)}
            moved = [queue.pop(id) for id in ids]
            others = [*queue.values()]
            at = len(others) if before is None else others.index(queue[before])
            left = others[at - 1].position if at else (others[0].position - 2 if others else 0.0)
            right = others[at].position if at < len(others) else left + 2
            places = [left + (right - left) * n / (len(moved) + 1) for n in range(1, len(moved) + 1)]
            if all(a < b for a, b in pairwise([left, *places, right])):
                return [self._change(job.id, {"position": at}) for job, at in zip(moved, places, strict=True)]
            # Divided too often: numbers from 1 on leave room again.
            order = [*others[:at], *moved, *others[at:]]
            new = {job.id: self._change(job.id, {"position": float(n)}) for n, job in enumerate(order, start=1)}
            return [new[job.id] for job in (*others, *moved)]

    def change_spec(self, id: str, **changes: Any) -> None:
        """Change what a job that hasn't begun paints."""
        with self._transaction() as db:
            spec = self.spec(id).model_copy(update=changes)
            db.execute("UPDATE jobs SET spec = ? WHERE id = ?", (spec.model_dump_json(), id))

    def deleted_before(self, when: str) -> list[str]:
        """The ids of jobs that have been in the bin since before `when`."""
        return [row["id"] for row in self._all("SELECT id FROM jobs WHERE deleted IS NOT NULL AND deleted < ?", when)]

    def remove_job(self, id: str) -> None:
        """Forget a job."""
        with self._transaction() as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (id,))

    def used_images(self) -> set[str]:
        """The ids of images that jobs name."""
        found: set[str] = set()
        for row in self._all("SELECT spec FROM jobs"):
            spec = json.loads(row["spec"])
            named = [spec["content"], spec["strength_map"], spec["init"], *spec["masks"], *spec["style_masks"]]
            found |= {id for id in [*named, *(style["image"] for style in spec["styles"])] if id is not None}
        return found


def _words(job: Job) -> str:
    """What a search looks in."""
    words = [job.title, job.content.name, *(style.name for style in job.styles), job.preset or ""]
    return " ".join(words).casefold()
