"""Writes docs/impasto.1, the man page, from the help of the commands themselves.

python tools/manpage.py
"""

import re
from pathlib import Path

from docutils.core import publish_string

from impasto.cli.app import SUMMARIES, app

PAGE = Path(__file__).parents[1] / "docs/impasto.1"

INTRODUCTION = """\
=======
impasto
=======

{subtitle}
{underline}

:Manual section: 1
:Manual group: User Commands

DESCRIPTION
===========

Paints a photo in the manner of a painting, by neural style transfer. The page in the browser is ``impasto studio``; on
the command line begin with ``impasto paint photo.jpg watercolour``. Settings come from flags, from the environment
(IMPASTO_STRENGTH), from a TOML file (\\-\\-config) and from a preset (\\-\\-preset), in this order.

COMMANDS
========

"""


def written() -> str:
    """The man page, in the roff that man reads."""
    subtitle = "neural style transfer for people who make pictures"
    text = INTRODUCTION.format(subtitle=subtitle, underline="-" * len(subtitle))
    for name, summary in SUMMARIES.items():
        text += f"**{name}**\n    {summary}\n\n"
    told = app.generate_docs(output_format="rst")
    commands = told[told.index("\npaint\n-----\n") :]
    commands = re.sub(r"^\.\. _.*:\n", "", commands, flags=re.MULTILINE)  # labels, which roff has none of
    commands = re.sub(r"^    impasto (\w+) (impasto \1)", r"    \2", commands, flags=re.MULTILINE)  # a usage of its own
    commands = re.sub(r"^([a-z-]+)\n-{3,}$", lambda found: _titled(found[1].upper(), "="), commands, flags=re.MULTILINE)
    commands = re.sub(r"^([a-z-]+)\n[~^]{3,}$", lambda found: _titled(found[1], "~"), commands, flags=re.MULTILINE)
    roff = publish_string(text + commands, writer="manpage", settings_overrides={"report_level": 2, "halt_level": 2})
    return roff.decode("utf-8")


def _titled(title: str, line: str) -> str:
    return f"{title}\n{line * len(title)}"


if __name__ == "__main__":
    PAGE.write_text(written(), "utf-8")
