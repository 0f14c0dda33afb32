"""The documentation's site can be built: every link leads somewhere, every command and public name is in it."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import impasto
from impasto.cli.app import SUMMARIES

HOUSE = Path(__file__).parents[2]


class Links(HTMLParser):
    """Where a page points to, what its parts are called, and all its text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()
        self.text = ""
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.names |= {value for name in ("id", "name") if (value := found.get(name))}
        self.targets += [value for name in ("href", "src") if (value := found.get(name))]

    def handle_data(self, data):
        self.text += data


@pytest.mark.slow
def test_the_site_is_whole(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=HOUSE, capture_output=True, text=True, check=False, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    pages = {path: Links(path) for path in tmp_path.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 40
    for page, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or target.startswith("//"):
                assert parts.scheme in ("https", "mailto", "data"), (page, target)
                continue
            there = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert there.exists(), (page, target)
            if parts.fragment and there.suffix == ".html":
                assert unquote(parts.fragment) in pages[there].names, (page, target)
    commands, reference = pages[tmp_path / "commands.html"].text, pages[tmp_path / "reference.html"].names
    assert [name for name in SUMMARIES if f"impasto {name}" not in commands] == []
    documented = {name.rsplit(".", 1)[-1] for name in reference}
    assert set(impasto.__all__) - {"Knobs"} <= documented
