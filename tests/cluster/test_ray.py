"""On a real cluster, two nodes of this machine: every item ends as done or lost, whoever dies, and nobody else gets in.

Run with `pytest -m cluster -n 0`: all tests share the cluster, which has a CPU a node.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cluster_tasks
import pytest

from impasto.errors import ImpastoError
from impasto.jobs.executors import ray as ray_module
from impasto.jobs.executors import ray_cluster
from impasto.jobs.executors.executor import TRIES, Begun, Done, Lost, News
from impasto.jobs.executors.local import LocalExecutor
from impasto.jobs.executors.ray import RayExecutor

HERE = Path(__file__).parent
STORE = 80 * 2**20
PATIENCE = 120

pytestmark = pytest.mark.cluster


def mapped(executor: Any, task: str, items: list[Any], meanwhile: Callable[[], None] = lambda: None) -> list[News]:
    """All news; `meanwhile` is called with each, and where there are none."""
    heard = []
    for news in executor.map(f"cluster_tasks:{task}", items):
        if news is not None:
            heard.append(news)
        meanwhile()
    return heard


def done(news: list[News]) -> dict[int, Any]:
    return {one.number: one.result for one in news if isinstance(one, Done)}


def lost(news: list[News]) -> dict[int, str]:
    return {one.number: one.fault for one in news if isinstance(one, Lost)}


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_all_items_are_done_and_their_results_are_those_of_the_local_executor(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    items = [{"number": number, "text": "a b/ü\n"} for number in range(20)]
    news = mapped(RayExecutor(cluster.address, threads=1), "doubled", items)
    assert sorted(one.number for one in news if isinstance(one, Begun)) == list(range(20))
    assert done(news) == done(mapped(LocalExecutor(1, 1, tmp_path / "log"), "doubled", items))
    assert done(news)[7]["nested"] == [items[7], None, 0.1]
    assert len(news) == 40


def test_tasks_have_the_threads_that_were_asked_for_and_short_waits(cluster):
    news = mapped(RayExecutor(cluster.address, threads=1), "surroundings", [{}])
    assert done(news) == {0: {"threads": "1", "spins": "3000"}}


def test_an_item_that_raises_is_lost_and_the_others_are_done(cluster):
    news = mapped(RayExecutor(cluster.address, threads=1), "raising_where_odd", [{"number": n} for n in range(4)])
    assert lost(news) == {1: "ValueError: 1 is odd", 3: "ValueError: 3 is odd"}
    assert done(news).keys() == {0, 2}


def test_an_item_whose_process_is_killed_is_begun_again_and_ends_as_lost_where_it_always_is(cluster, tmp_path):
    deaths = [0, 1, 1000, 0, 0]
    items = [
        {"number": number, "deaths": count, "beginnings": str(tmp_path / str(number))}
        for number, count in enumerate(deaths)
    ]
    news = mapped(RayExecutor(cluster.address, threads=1), "killed", items)
    assert lost(news) == {2: f"its process or its machine died, {TRIES} times"}
    assert done(news).keys() == {0, 1, 3, 4}
    assert [len(lines(tmp_path / str(number))) for number in range(5)] == [1, 2, TRIES, 1, 1]


def test_items_of_a_node_that_dies_are_done_by_another(cluster, tmp_path, capfd):
    beginnings, go = tmp_path / "beginnings", tmp_path / "go"
    victim = cluster.nodes[0]
    said = {"beginnings": str(beginnings), "go": str(go), "victim": victim.node_id}
    items = [{"number": number, **said} for number in range(5)]

    def kill_when_both_work() -> None:
        if not go.exists() and len(lines(beginnings)) == 2:
            assert any(line.endswith(victim.node_id) for line in lines(beginnings))
            cluster.remove(victim, allow_graceful=False)
            go.touch()

    try:
        news = mapped(RayExecutor(cluster.address, threads=1), "held", items, kill_when_both_work)
    finally:
        cluster.nodes[0] = cluster.add()
    assert done(news) == {number: {"number": number} for number in range(5)}
    (once,) = (line for line in lines(beginnings) if line.endswith(victim.node_id))
    again = [line for line in lines(beginnings) if line.partition("@")[0] == once.partition("@")[0]]
    assert len(again) == 2
    assert capfd.readouterr().out == ""


def test_inputs_travel_once_a_content_and_outputs_come_back(cluster, tmp_path, monkeypatch):
    import ray

    put, puts = ray.put, []
    monkeypatch.setattr(ray, "put", lambda data: puts.append(data) or put(data))
    items = []
    for number in range(6):
        of_one_name = [tmp_path / f"{number}" / "a.png", tmp_path / "style" / "a.png"]
        for path, content in zip(of_one_name, (f"content {number}", "style"), strict=True):
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        items.append({"inputs": [str(p) for p in of_one_name], "output": f"{tmp_path / f'{number}.out'}", "bytes": 50})
    news = mapped(RayExecutor(cluster.address, threads=1, parcel=cluster_tasks.MixParcel()), "mixed", items)
    assert lost(news) == {}
    for number, result in done(news).items():
        assert (tmp_path / f"{number}.out").read_bytes() == cluster_tasks.mixture(
            [f"content {number}".encode(), b"style"], 50
        )
        moved = [*result["read"], result["wrote"]]
        assert not any(path.startswith(str(tmp_path)) for path in moved)
        assert [Path(path).name for path in moved] == ["a.png", "a.png", f"{number}.out"]
        assert not any(Path(path).exists() for path in moved)
    assert len(done(news)) == 6
    assert 7 <= len(puts) <= 9  # the style again only where no item in flight needed it


def test_what_cannot_be_read_or_written_is_lost_alone(cluster, tmp_path):
    there = tmp_path / "there"
    there.write_text("content")
    outputs = (tmp_path / "1.out", tmp_path / "2.out", tmp_path / "no folder" / "3.out")
    inputs = (there, tmp_path / "missing", there)
    items = [{"inputs": [str(i)], "output": str(o), "bytes": 9} for i, o in zip(inputs, outputs, strict=True)]
    news = mapped(RayExecutor(cluster.address, threads=1, parcel=cluster_tasks.MixParcel()), "mixed", items)
    assert done(news).keys() == {0}
    assert lost(news) == {
        1: "an input couldn't be read: No such file or directory",
        2: "its output couldn't be written: No such file or directory",
    }


def test_parcels_that_are_together_larger_than_the_store_all_travel_and_none_needs_the_disk(cluster, tmp_path):
    size, items, spilled = 5 * 2**20, [], set()
    for number in range(30):
        (tmp_path / f"{number}").write_bytes(secrets.token_bytes(size))
        items.append(
            {"inputs": [str(tmp_path / f"{number}")], "output": f"{tmp_path / f'{number}.out'}", "bytes": size}
        )
    assert size * len(items) > 1.5 * STORE
    news = mapped(
        RayExecutor(cluster.address, threads=1, parcel=cluster_tasks.MixParcel()),
        "mixed",
        items,
        lambda: spilled.update(cluster.session.glob("ray_spilled_objects_*/*")),
    )
    assert done(news).keys() == set(range(30))
    for item in items:
        assert Path(item["output"]).read_bytes() == cluster_tasks.mixture([Path(item["inputs"][0]).read_bytes()], size)
    assert spilled == set()


def test_asked_to_end_it_lets_tasks_save_and_begins_no_other(cluster, tmp_path):
    beginnings = tmp_path / "beginnings"
    executor = RayExecutor(cluster.address, threads=1)

    def end_when_both_work() -> None:
        if len(lines(beginnings)) == 2:
            executor.end()

    items = [{"number": number, "beginnings": str(beginnings)} for number in range(20)]
    news = mapped(executor, "saving", items, end_when_both_work)
    assert lost(news) == {}
    assert {str(result["saved"]) for result in done(news).values()} == set(lines(beginnings))
    assert len(lines(beginnings)) == 2


def test_tasks_that_do_not_listen_are_killed_in_the_end(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_module, "PATIENCE", 1.0)
    beginnings = tmp_path / "beginnings"
    executor = RayExecutor(cluster.address, threads=1)
    items = [{"number": number, "beginnings": str(beginnings)} for number in range(2)]
    news = mapped(executor, "deaf", items, lambda: executor.end() if len(lines(beginnings)) == 2 else None)
    assert not done(news)
    assert not lost(news)
    after = mapped(RayExecutor(cluster.address, threads=1), "doubled", [{"number": 1, "text": ""}] * 2)
    assert len(done(after)) == 2  # both nodes have room again


def test_a_cluster_without_a_machine_that_is_large_enough_is_told_of(cluster, monkeypatch):
    monkeypatch.setattr(ray_module, "ROOMLESS", 1.0)
    monkeypatch.setattr(ray_module, "GLANCE", 0.5)
    with pytest.raises(ImpastoError) as refused:
        mapped(RayExecutor(cluster.address, threads=2), "doubled", [{"number": 1, "text": ""}])
    assert str(refused.value) == (
        "No machine of the Ray cluster has 2 CPUs for a task: ask for less, or add a machine."
    )


def test_a_program_that_uses_ray_itself_keeps_its_connection(cluster):
    import ray

    ray.init(cluster.address, log_to_driver=False)
    try:
        news = mapped(RayExecutor("local", threads=1), "doubled", [{"number": 1, "text": ""}])
        assert len(done(news)) == 1
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_what_a_program_does_at_sigterm_stays_and_closing_early_ends_tasks(cluster, tmp_path):
    beginnings = tmp_path / "beginnings"
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        mine = signal.getsignal(signal.SIGTERM)
        news = RayExecutor(cluster.address, threads=1).map(
            "cluster_tasks:saving", [{"number": number, "beginnings": str(beginnings)} for number in range(9)]
        )
        while not lines(beginnings):
            next(news)
        assert signal.getsignal(signal.SIGTERM) is mine
        news.close()
    finally:
        signal.signal(signal.SIGTERM, before)
    after = mapped(RayExecutor(cluster.address, threads=1), "doubled", [{"number": 1, "text": ""}] * 2)
    assert len(done(after)) == 2
    assert len(lines(beginnings)) <= 2


def drive(address: str, task: str, items: list[Any], environment: dict[str, str], **options: Any) -> subprocess.Popen:
    """A process that is not of the cluster's token, unless the environment says so."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, str(HERE / "drive.py"), address, f"cluster_tasks:{task}", json.dumps(items)],
        env=mine | {"PYTHONPATH": str(HERE)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_nobody_gets_in_without_the_token(cluster, tmp_path):
    environments = [{"RAY_AUTH_TOKEN": secrets.token_hex(32)}, {"RAY_AUTH_MODE": "disabled"}, {}]
    wrong, none = (
        f"The Ray cluster at {cluster.address} wants another token",
        f"There is no token for the Ray cluster at {cluster.address}",
    )
    processes = [drive(cluster.address, "doubled", [], {"HOME": str(tmp_path), **each}) for each in environments]
    cure = "give its own in RAY_AUTH_TOKEN, or set RAY_AUTH_MODE=disabled for a cluster without tokens"
    told = [process.communicate(timeout=PATIENCE) for process in processes]
    assert told == [("", f"{fault}: {cure}.\n") for fault in (wrong, wrong, none)]
    assert [process.returncode for process in processes] == [1, 1, 1]


def test_on_this_machine_only_it_needs_no_token_and_ctrl_c_lets_tasks_save(tmp_path):
    beginnings = tmp_path / "beginnings"
    items = [{"number": number, "beginnings": str(beginnings)} for number in range(40)]
    process = drive("local", "saving", items, {"HOME": str(tmp_path)}, start_new_session=True)
    while not lines(beginnings):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    heard = [json.loads(line) for line in out.splitlines()]
    saved = [str(news["result"]["saved"]) for kind, news in heard if kind == "Done"]
    assert sorted(saved) == sorted(lines(beginnings))
    assert saved
    assert not any(kind == "Lost" for kind, _ in heard)
    assert not (tmp_path / ".ray").exists()


def test_an_item_that_needs_more_memory_than_there_is_is_not_begun_for_ever(tmp_path):
    little = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "50", "HOME": str(tmp_path)}
    out, errors = drive("local", "hungry", [{}], little).communicate(timeout=PATIENCE)
    assert errors == ""
    assert [json.loads(line) for line in out.splitlines()] == [
        ["Begun", {"number": 0, "again": False}],
        ["Lost", {"number": 0, "fault": f"its machine had too little memory, {TRIES} times"}],
    ]


def test_an_address_where_nothing_answers_is_told_of_in_one_sentence(monkeypatch):
    monkeypatch.setattr(ray_cluster, "PROBED", 5.0)
    with socket.socket() as silent, socket.socket() as closed:
        for each in (silent, closed):
            each.bind(("127.0.0.1", 0))
        silent.listen()
        for port in (silent.getsockname()[1], closed.getsockname()[1]):
            with pytest.raises(ImpastoError) as refused:
                mapped(RayExecutor(f"127.0.0.1:{port}", threads=1), "doubled", [])
            assert str(refused.value) == (
                f"No Ray cluster answers at 127.0.0.1:{port}: start one with `ray start --head --port=6379`, "
                "and this on one of its machines."
            )


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1", "locl", ":6379"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ImpastoError, match=r"is no address of a Ray cluster: give .auto., .local. or HOST:PORT"):
        mapped(RayExecutor(address, threads=1), "doubled", [])


def test_where_ray_is_missing_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImpastoError) as refused:
        mapped(RayExecutor("local", threads=1), "doubled", [])
    assert str(refused.value) == "Ray is not installed: pip install 'impasto[ray]'"
