"""`impasto studio`: its flags, what it says, and how it ends."""

import socket

import httpx
import pytest
import uvicorn
from served import SMALL, Served

from impasto.cli import main
from impasto.client import StudioClient, StudioError

TOKEN = "correct horse battery"


@pytest.fixture
def served(monkeypatch):
    """The studios that would have been served: the command ends at once."""
    found = []

    def run(server, sockets):
        for each in sockets:
            each.close()
        app = server.config.app
        app.state.studio.store.close()
        app.state.lock.release()
        found.append(app.state.studio)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.delenv("IMPASTO_TOKEN", raising=False)
    return found


def test_the_command_serves_on_its_port_and_keeps_its_things_in_its_folder(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Served(tmp_path / "new" / "folder", port=port)
    assert server.address == f"http://127.0.0.1:{port}"
    assert server.client.jobs() == []
    assert (tmp_path / "new" / "folder" / "studio.sqlite").exists()
    assert (tmp_path / "new" / "folder").stat().st_mode & 0o077 == 0
    said = server.close()
    assert said == "impasto: The studio is closed; what was being painted goes on when it is opened again.\n"
    assert server.process.returncode == 0


@pytest.mark.slow
def test_others_reach_it_with_the_token_by_its_addresses_and_names(tmp_path):
    server = Served(tmp_path / "data", "--host", "0.0.0.0", "--token", TOKEN, "--name", "Studio.example")
    address, _, secret = server.address.partition("/login#")
    assert secret == TOKEN
    with pytest.raises(StudioError) as refused:
        StudioClient(address).jobs()
    assert refused.value.status == 401
    assert StudioClient(address, TOKEN).jobs() == []
    for host, status in (("studio.example", 200), ("other.example", 421)):
        headers = {"host": host, "authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{address}/api/v1/health", headers=headers).status_code == status
    server.process.send_signal(2)
    assert server.process.stdout is not None
    said = server.process.stdout.read()  # `communicate` forgets what was buffered with the first line
    server.process.communicate(timeout=60)
    assert f"http://studio.example:{server.port}/login#{TOKEN}" in said
    assert said.count("█") > 20 or said.count("▀") > 20


def test_a_token_is_made_for_an_address_that_others_reach_or_taken_from_the_environment(served, tmp_path, monkeypatch):
    for _ in range(2):
        assert main(["studio", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)]) == 0
    monkeypatch.setenv("IMPASTO_TOKEN", TOKEN)
    assert main(["studio", "--port", "0", "--data", str(tmp_path)]) == 0
    tokens = [studio.config.token for studio in served]
    assert tokens[2] == TOKEN
    assert len({*tokens}) == 3
    assert min(map(len, tokens)) > 20


def test_a_file_of_settings_is_every_jobs_start_and_a_wrong_one_is_refused(served, tmp_path, capsys):
    (good := tmp_path / "good.toml").write_text("strength = 0.9")
    (wrong := tmp_path / "wrong.toml").write_text("strength = 9")
    command = ["studio", "--port", "0", "--data", str(tmp_path), "--config"]
    assert main([*command, str(good)]) == 0
    assert served[0].orders.settings(None, SMALL).strength == 0.9
    assert main([*command, str(wrong)]) == 2
    assert "strength is 9" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--open"]])
def test_the_page_is_opened_when_asked_for(flags, served, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["studio", "--port", "0", "--data", str(tmp_path), *flags]) == 0
    assert opened == capsys.readouterr().out.splitlines()[: len(flags)]


def test_a_quiet_studio_says_nothing(served, tmp_path, capsys):
    command = ["studio", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)]
    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(command) == 0
    assert min(map(len, capsys.readouterr())) > 50


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["--host", "0.0.0.0", "--token", "short"], "--token has 5 characters"),
        (["--port", "99999"], "--port 99999 can't be listened on"),
        (["--host", "no.such.invalid", "--token", TOKEN], "can't be listened on at no.such.invalid"),
        (["--data", "file"], "file can't be made"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_sentence(flags, fault, served, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    usual = {"--port": "0", "--data": "data"} | dict(zip(flags[::2], flags[1::2], strict=True))
    assert main(["studio", *(word for pair in usual.items() for word in pair)]) in (1, 2)
    told = capsys.readouterr()
    assert told.out == ""
    assert fault in told.err
    assert told.err.count("\n") == 1


def test_a_port_that_is_taken_is_said(served, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["studio", "--port", str(port), "--data", str(tmp_path)]) == 2
    assert f"--port {port} is in use" in capsys.readouterr().err


def test_the_client_says_that_there_is_no_studio():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(StudioError, match="There is no studio at"):
        StudioClient(f"http://127.0.0.1:{port}").jobs()
