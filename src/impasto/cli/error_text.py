"""How the command line writes the names of settings and arguments: the one place that knows of its dashes."""

from __future__ import annotations

import re

from impasto.errors import KNOB, ImpastoError


def flag(name: str) -> str:
    """'style_weight' -> '--style-weight', and 'from_', as Python has its own `from`, -> '--from'."""
    return "--" + name.rstrip("_").replace("_", "-")


def spelled(error: ImpastoError) -> str:
    """An error's sentences, a line each, with flags."""
    return "\n".join(error.sentences(flag))


def with_flags(text: str) -> str:
    """A text of the library with flags for the settings in backticks."""
    return re.sub(KNOB, lambda found: flag(found[1]), text)
