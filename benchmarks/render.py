"""Puts the tables of benchmarks/results/*.json into docs/benchmarks.md and gallery.md, between markers that name them.

python benchmarks/render.py
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import record

PAGE = record.HERE.parent / "docs" / "benchmarks.md"
GALLERY = PAGE.with_name("gallery.md")
MARKED = re.compile(r"<!-- (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=record.RESULTS)
    parser.add_argument("--pages", type=Path, nargs="+", default=[PAGE, GALLERY])
    chosen = parser.parse_args()
    for page in chosen.pages:
        page.write_text(rendered(page.read_text(encoding="utf-8"), chosen.results), encoding="utf-8")


def rendered(page: str, folder: Path) -> str:
    """The page with the text between `<!-- NAME -->` and `<!-- end -->` taken from folder/NAME.json, if it's there.

    Figures of a rehearsal are left out.
    """

    def fill(match: re.Match[str]) -> str:
        file = folder / f"{match[1]}.json"
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if not found or found.get("rehearsal"):  # of a script that only ran to be tested
            return match[0]
        return f"<!-- {match[1]} -->\n{_section(found)}\n<!-- end -->"

    return MARKED.sub(fill, page)


def _section(found: dict[str, Any]) -> str:
    rows, machine = found["table"], found["machine"]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    torch = machine["versions"]["torch"]
    gpu = f" and {found['gpu'].get('name', found['gpu'])}" if "gpu" in found else ""
    made = (
        f"`{found['command']}` on {machine['cpu']}{gpu}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{', '.join(machine['isa'])}; torch {torch}; commit {machine['commit']}, {machine['date'][:16]}; "
        f"load before and after: {machine['load']['before']}, {machine['load']['after']}."
    )
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", made])


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
