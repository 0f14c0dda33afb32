"""What is wrong with a command line that was never run: the parser's findings in our sentences."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App, CycloptsError
from cyclopts.exceptions import MissingArgumentError, UnusedCliTokensError


def sentences(wrong: CycloptsError, app: App) -> list[str]:
    """A sentence for each thing that the parser of `app` found wrong."""
    command = " ".join(["impasto", *(wrong.command_chain or ())])
    if isinstance(wrong, UnusedCliTokensError) and wrong.unused_tokens:
        names = " ".join(_arguments(app, wrong.command_chain or ()))
        taken = f"{names} alone" if names else "no arguments"
        left = " ".join(f"'{word}'" for word in wrong.unused_tokens)
        are = "is" if len(wrong.unused_tokens) == 1 else "are"
        return [f"{command} takes {taken}, and {left} {are} left over: see {command} --help."]
    if isinstance(wrong, MissingArgumentError) and wrong.argument:
        help = (wrong.argument.parameter.help or "an argument more.").partition(" [")[0]  # without range and default
        what = wrong.argument.name if wrong.argument.required else f"a value for {wrong.argument.name}"
        return [f"{command} needs {what}: {help[0].lower()}{help[1:]}"]
    return str(wrong).splitlines()


def _arguments(app: App, words: Sequence[str]) -> list[str]:
    """The names of the arguments without a flag that a command takes."""
    for word in words:
        app = app[word]
    return [found.name for found in app.assemble_argument_collection() if found.name.isupper()]
