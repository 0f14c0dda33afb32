"""What changes is told to everybody who watches, to those who come back too, and costs the server little."""

import asyncio
import json
import socket
import subprocess
import sys
import time

import httpx
import psutil
import pytest
from served import LONG, SMALL, ended, running, sent, until

from impasto.studio import changes
from impasto.studio.routes import events

MEGABYTE = 2**20


def watched(desk, last=None, *, do=lambda: None, most=10, seconds=2.0):
    """The first events of a watcher that a studio which only answers tells, and what `do` leads to."""
    found = []

    async def watch():
        async def send(message):
            body = message.get("body", b"").decode().replace("\r\n", "\n")
            for block in filter(None, body.split("\n\n")):
                fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
                if "data" in fields:
                    found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))

        async def receive():
            await asyncio.sleep(seconds)
            return {"type": "http.disconnect"}

        headers = [(b"host", b"localhost"), *([(b"last-event-id", last.encode())] if last is not None else [])]
        scope = {"type": "http", "method": "GET", "path": "/api/v1/events", "query_string": b"", "root_path": ""}
        task = asyncio.create_task(desk.app(scope | {"headers": headers}, receive, send))
        while desk.studio.changes.watchers == 0:
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        do()
        end = time.monotonic() + seconds
        while len(found) < most and time.monotonic() < end:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(watch())
    return found


@pytest.fixture
def three(desk, order):
    return desk.post("/api/v1/jobs", json=order(desk, vary={"seed": [1, 2, 3]})).json()["jobs"]


def test_whoever_comes_back_is_told_what_changed_since_in_order_and_each_job_once(desk, three):
    seen = str(three[-1]["seq"])
    for id, title in ((three[0]["id"], "x"), (three[2]["id"], "y"), (three[0]["id"], "z")):
        desk.patch(f"/api/v1/jobs/{id}", json={"title": title})
    told = watched(desk, seen, most=2)
    assert [(kind, job["title"]) for kind, _, job in told] == [("job", "y"), ("job", "z")]
    assert watched(desk, told[-1][1], most=1, seconds=0.3) == []


@pytest.mark.thin(3)
@pytest.mark.parametrize("last", [None, "x", "-1", "1e3", "999999", "9" * 29])
def test_whoever_says_no_number_that_is_known_is_told_to_fetch_everything_anew(last, desk, three):
    ((kind, number, data),) = watched(desk, last, most=1)
    assert (kind, data) == ("reset", {})
    assert watched(desk, number, most=1, seconds=0.2) == []


def test_whoever_missed_too_much_is_told_to_fetch_everything_anew(desk, three, monkeypatch):
    monkeypatch.setattr(events, "MOST_MISSED", 2)
    assert [kind for kind, *_ in watched(desk, "0", most=1)] == ["reset"]


def test_changes_of_jobs_groups_and_images_are_told_while_they_happen(desk, three, pictures):
    image = sent(desk, pictures / "other.png")
    store = desk.studio.store

    def change():
        desk.studio.scheduler.change(three[1]["id"], title="told")
        desk.studio.changes.image(store.image(image["id"]))

    told = watched(desk, str(store.seq), do=change, most=3)
    assert [(kind, data.get("title", data.get("name"))) for kind, _, data in told] == [
        ("job", "told"),
        ("group", None),
        ("image", "other.png"),
    ]


def test_a_watcher_that_reads_slowly_is_told_the_newest_of_each_job_and_of_their_group_alone(desk, three):
    job, other = (desk.studio.store.job(each["id"]) for each in three[:2])

    async def watch():
        told = desk.studio.changes
        stream = told.watch(lambda: [changes.Change("reset", 0, "{}")])
        await anext(stream)
        for n in range(1000):
            told.job(job.model_copy(update={"seq": n}))
            told.job(other.model_copy(update={"seq": n}))
        (watcher,) = told._watchers
        waiting = len(watcher.waiting)
        rest = [await anext(stream), await anext(stream), await anext(stream)]
        await stream.aclose()
        return waiting, [(change.kind, change.number) for change in rest], told.watchers

    assert asyncio.run(watch()) == (3, [("job", 999), ("job", 999), ("group", None)], 0)


@pytest.mark.slow
def test_events_reach_a_client_while_a_job_is_painted(studio, pictures):
    stream = studio.client.events()
    assert next(stream)[0] == "reset"
    id = studio.client.paint(pictures / "photo.png", "dots", **SMALL)["id"]
    told = []
    while not told or told[-1]["state"] != "done":
        kind, number, data = next(stream)
        if kind == "job":
            assert int(number) == data["seq"]
            told.append(data)
    stream.close()
    assert [job["id"] for job in told] == [id] * len(told)
    assert told[-1]["progress"]["step"] == 2
    assert until(lambda: "impasto_watchers 0.0" in httpx.get(f"{studio.address}/metrics").text)


def test_the_server_never_loads_torch():
    """Nor what draws figures; the processes that it starts do."""
    code = "import sys, impasto.studio.serving, impasto.cli.studio; print({'torch', 'matplotlib'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.slow
def test_two_hundred_watch_a_job_and_all_see_its_end(studio, pictures):
    client = studio.client
    server = psutil.Process(studio.process.pid)
    before = server.memory_info().rss
    id = client.paint(pictures / "photo.png", pictures / "brush.jpg", **LONG)["id"]

    async def watch(http):
        async with http.stream("GET", f"{studio.address}/api/v1/events", headers={"last-event-id": "0"}) as answer:
            async for line in answer.aiter_lines():
                if (
                    line.startswith("data: ")
                    and (job := json.loads(line[6:])).get("id") == id
                    and job["state"] == "done"
                ):
                    return job["seq"]
        raise AssertionError("the stream ended")

    async def all_of_them():
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=300) as http:
            return await asyncio.gather(*(watch(http) for _ in range(200)))

    assert len({*asyncio.run(all_of_them())}) == 1
    assert server.memory_info().rss - before < 60 * MEGABYTE


@pytest.mark.slow
def test_a_watcher_that_reads_nothing_costs_no_memory_and_delays_nobody(studio, pictures):
    client = studio.client
    server = psutil.Process(studio.process.pid)
    host, _, port = studio.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        job = ended(client, client.paint(pictures / "photo.png", "dots", **SMALL)["id"])
        before = server.memory_info().rss
        for n in range(3000):
            client.change(job["id"], title=f"{n} " + "x" * 190)
        assert server.memory_info().rss - before < 20 * MEGABYTE
        assert client.job(job["id"])["title"].startswith("2999")


@pytest.mark.slow
def test_the_servers_memory_stays_flat_over_five_hundred_requests_with_images(studio, pictures):
    client = studio.client
    server = psutil.Process(studio.process.pid)
    job = ended(client, client.paint(pictures / "photo.png", "dots", **SMALL)["id"])
    image = client.upload(pictures / "brush.jpg")
    data = (pictures / "brush.jpg").read_bytes() + bytes(2_000_000)

    def ask(n):
        with httpx.Client(base_url=studio.address, timeout=60) as http:
            if n % 5 == 0:
                assert http.post("/api/v1/images", content=data + n.to_bytes(4, "big")).status_code == 201
            for path in (image["view"], image["file"], f"/api/v1/jobs/{job['id']}/picture", "/api/v1/jobs"):
                assert http.get(path).status_code == 200

    for n in range(20):
        ask(n)
    before = server.memory_info().rss
    for n in range(20, 120):
        ask(n)
    assert server.memory_info().rss - before < 15 * MEGABYTE


@pytest.mark.slow
def test_the_server_is_ready_soon_idles_small_and_tells_of_a_step_soon(tmp_path, pictures):
    """With room for a machine that is busy: the figures themselves are 3 s and 120 MB."""
    from served import Served

    began = time.monotonic()
    served = Served(tmp_path / "data")
    assert served.client._json("GET", "/health")["worker"] == "idle"
    ready = time.monotonic() - began
    idle = psutil.Process(served.process.pid).memory_info().rss / MEGABYTE
    running(served.client, served.client.paint(pictures / "photo.png", "dots", **LONG)["id"], 5)
    after = psutil.Process(served.process.pid).memory_info().rss / MEGABYTE
    served.close()
    assert ready < 15
    assert max(idle, after) < 120
