"""A hook of mkdocs: what the site has beside docs/, the repository's own pages and every command's help."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

HOUSE = Path(__file__).parents[1]

PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages that lie outside of docs/, and what they are called in the site."""

ELSEWHERE = {"examples": "start/developer.md", "decisions": "decisions.md"}
"""Folders that the repository's pages point to, and where the site has them."""

SHOWN = {"comfyui": "nodes.py", "krita": "impasto_krita/extension.py"}
"""Folders of integrations/, and the file that the site shows for each."""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that docs/ lacks."""
    for name, called in PAGES.items():
        text = (HOUSE / name).read_text("utf-8").replace("](docs/", "](")
        for folder, page in ELSEWHERE.items():
            text = text.replace(f"]({folder})", f"]({page})")
        files.append(File.generated(config, called, content=text))
    for path in (*HOUSE.glob("examples/*.ipynb"), *HOUSE.glob("integrations/**/*.py")):
        files.append(File.generated(config, str(path.relative_to(HOUSE)), abs_src_path=str(path)))
    files.append(File.generated(config, "commands.md", content=commands()))
    files.append(File.generated(config, "decisions.md", content=decisions()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links that leave docs/ to the pages that stand for them."""
    folder = posixpath.dirname(page.file.src_uri)
    for name, called in PAGES.items():
        there = posixpath.relpath(called, folder or ".")
        markdown = re.sub(
            rf"\]\((?:\.\./)*{name}(#[\w-]+)?\)", lambda found, to=there: f"]({to}{found[1] or ''})", markdown
        )
    for folder, file in SHOWN.items():
        markdown = markdown.replace(f"](../integrations/{folder})", f"](../integrations/{folder}/{file})")
    return markdown.replace("](../examples/", "](examples/").replace("](../integrations/", "](integrations/")


def commands() -> str:
    """The reference of the command line, by the commands' own help."""
    from impasto.cli.app import app

    text = app.generate_docs(output_format="markdown", heading_level=1)
    return re.sub(r"^impasto (\w+) (impasto \1)", r"\2", text, flags=re.MULTILINE)  # a usage of its own


def decisions() -> str:
    """The records of what was decided, by their titles."""
    text = "# Decisions\n\nWhat was decided, why, and what lost.\n\n"
    for path in sorted((HOUSE / "docs/decisions").glob("*.md")):
        title = path.read_text("utf-8").split("\n", 1)[0].removeprefix("# ")
        text += f"- [{title.replace('. ', ' – ', 1)}](decisions/{path.name})\n"
    return text
