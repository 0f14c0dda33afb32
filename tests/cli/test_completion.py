"""`impasto --install-completion`: what a shell completes then, and what is said where it can't be written."""

import shutil
import subprocess
from pathlib import Path

import pytest

from impasto.cli import main

COMPLETE = """
source {script}
function=$(complete -p impasto | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE="{words}"
$function impasto "${{COMP_WORDS[$COMP_CWORD]}}" "${{COMP_WORDS[$((COMP_CWORD - 1))]}}"
echo "${{COMPREPLY[@]}}"
"""
"""What bash does when the tab key is pressed behind these words."""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("impasto sw", {"swatches", "sweep"}),
        ("impasto paint --strength", {"--strength", "--strength-map"}),
        ("impasto batch --watc", {"--watch"}),
    ],
)
def test_bash_completes_commands_and_flags(words, found, tmp_path):
    script = tmp_path / "impasto.bash"
    assert main(["--install-completion", "--shell", "bash", "--output", str(script)]) == 0
    told = subprocess.run(
        ["bash", "-c", COMPLETE.format(script=script, words=words)], capture_output=True, text=True, check=True
    )
    assert set(told.stdout.split()) == found, told.stderr


@pytest.mark.thin(3)
@pytest.mark.parametrize(("shell", "startup"), [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", None)])
def test_the_script_goes_where_the_shell_looks_and_is_loaded_by_it_once(shell, startup, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ZSH_CUSTOM", raising=False)
    for _ in range(2):
        assert main(["--install-completion", "--shell", shell]) == 0
    path = capsys.readouterr().out.splitlines()[-1].split(": begin a new shell")[0]
    assert path.startswith(str(tmp_path))
    assert "strength" in Path(path).read_text("utf-8")
    if startup is not None:
        lines = (tmp_path / startup).read_text("utf-8").splitlines()
        assert len([line for line in lines if not line.startswith("#") and line.strip()]) == 1
        assert [line for line in lines if str(Path(path).parent) in line]
    if program := shutil.which(shell):
        assert subprocess.run([program, "-n", path], check=False).returncode == 0


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("", "utf-8")
    place = tmp_path / "file" / "impasto.bash"
    assert main(["--install-completion", "--shell", "bash", "--output", str(place)]) == 1
    told = capsys.readouterr().err
    assert "can't be written" in told
    assert "--output" in told
    assert len(told.strip().splitlines()) == 1


def test_a_file_that_is_no_such_script_is_never_replaced_by_one(tmp_path, capsys):
    photo, script = tmp_path / "photo.jpg", tmp_path / "script"
    photo.write_bytes(b"a photo")
    assert main(["--install-completion", "--shell", "zsh", "--output", str(photo)]) == 1
    assert "exists, and isn't such a script: choose another place by --output" in capsys.readouterr().err
    assert photo.read_bytes() == b"a photo"
    script.touch()
    for shell in ("bash", "zsh", "fish", "powershell"):  # over the one before too
        assert main(["--install-completion", "--shell", shell, "--output", str(script)]) == 0
