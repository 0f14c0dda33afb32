"""The man page says what the commands' own help says."""

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]


def test_the_man_page_is_what_its_tool_writes_of_the_help_of_today():
    tool = runpy.run_path(str(HOUSE / "tools/manpage.py"))
    assert tool["written"]() == tool["PAGE"].read_text("utf-8"), "run python tools/manpage.py"


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_shows_it_without_a_warning():
    command = ["man", "--warnings", "--local-file", str(HOUSE / "docs/impasto.1")]
    told = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={"MANWIDTH": "100", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    assert told.stderr == ""
    assert "--strength X" in told.stdout
