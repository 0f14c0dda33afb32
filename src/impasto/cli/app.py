"""The commands, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve
from cyclopts import App, CycloptsError, Group, Parameter

from impasto.cli.error_text import flag
from impasto.cli.terminal import abandon_stdout, flush, note, prepare
from impasto.errors import ImpastoError, SettingsError
from impasto.storage import process

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

MORE = "--help-all shows every setting."

FAILED, USAGE, INTERRUPTED = 1, 2, 130

SUMMARIES = {
    "paint": "Paint a photo in the manner of one or more paintings.",
    "sweep": "Paint a photo over one or two varied settings, and put the pictures on one labelled sheet.",
    "batch": "Paint many photos in many styles, into a folder; run again, it paints only what is missing.",
    "video": "Paint a film in the manner of one or more paintings, with its sound.",
    "studio": "Open the studio: paint in the browser, with a queue that survives closing the page and the machine.",
    "resume": "Go on with an unfinished run from its last saved state, to the same picture as if nothing had happened.",
    "texture": "Fill a canvas with the texture of a painting, from noise, without a photo.",
    "reconstruct": "Paint a picture from noise by what one layer knows of its content, or layers up to one of its "
    "style.",
    "plan": "Show how a photo or a film would be painted: sizes, tiles, memory and time, without painting it.",
    "presets": "List the named starting points, show one, or save one of your own.",
    "swatches": "List the bundled styles, or write them as pictures.",
    "weights": "List, verify, download or convert VGG19's weights.",
    "inspect": "Show how a picture was painted: settings, inputs, weights and versions.",
    "rerun": "Paint a picture again from its own recipe, the same to the bit on the same machine and versions.",
    "demo": "Paint a photograph from scikit-image in a bundled style, in under 3 minutes on 2 cores.",
    "doctor": "Check versions, devices, weights and the cache, and paint something tiny; exit code 1 if something is "
    "broken.",
    "bench": "Measure the speed of this machine: a matrix product, and a step of each engine; in under a minute.",
    "--install-completion": "Let the shell complete commands and flags; run again after an update.",
}
"""The first sentence of each command's own help, for the list of all commands, which loads none of them."""


def list_commands(console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
    """Print a panel of commands, with their summaries where cyclopts knows no help as they aren't loaded."""
    from cyclopts.help import InlineText
    from cyclopts.help.formatters import DefaultFormatter

    entries = [
        entry.copy(description=InlineText.from_format(SUMMARIES[name], format="plaintext"))
        if (name := " ".join(entry.positive_names)) in SUMMARIES
        else entry
        for entry in panel.entries
    ]
    DefaultFormatter()(console, options, panel.copy(entries=entries))


def list_options(console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
    """Print a panel of options; loaded when there is one."""
    from impasto.cli.help import show

    show(console, options, panel)


def _version() -> str:
    from importlib.metadata import version

    return version("impasto")


app = App(
    name="impasto",
    help="Paint a photo in the manner of a painting, by neural style transfer.\n\n"
    "Try: impasto paint photo.jpg watercolour",
    version=_version,
    default_parameter=Parameter(negative="", show_default=False),
    help_format="plaintext",  # markdown costs a tenth of the start
    group_commands=evolve(Group.create_default_commands(), help_formatter=list_commands),
    help_formatter=list_options,
    suppress_keyboard_interrupt=False,
)
# By the names of their modules: cyclopts loads one when its command is called.
app.command("impasto.cli.paint:paint", usage="Usage: impasto paint [OPTIONS] CONTENT STYLE…", help_epilogue=MORE)
app.command(
    "impasto.cli.sweep:sweep",
    usage="Usage: impasto sweep [OPTIONS] CONTENT STYLE… --vary KNOB=VALUES",
    help_epilogue=MORE,
)
app.command(
    "impasto.cli.batch:batch",
    usage="Usage: impasto batch [OPTIONS] CONTENT… --styles STYLE… -o DIR",
    help_epilogue=MORE,
)
app.command(
    "impasto.cli.video:video",
    usage="Usage: impasto video [OPTIONS] FILM STYLE… -o OUT",
    help_epilogue=MORE,
)
app.command("impasto.cli.studio:studio")
app.command("impasto.cli.resume:resume")
for path in ("texture:texture", "reconstruct:reconstruct", "plan:plan"):
    app.command(f"impasto.cli.{path}", help_epilogue=MORE)
for path in (
    "presets:presets",
    *("swatches:swatches", "weights:weights", "recipes:inspect", "recipes:rerun"),
    *("demo:demo", "doctor:doctor", "bench:bench"),
):
    app.command(f"impasto.cli.{path}")
app.command("impasto.cli.completion:install_completion", name="--install-completion")


def _run(arguments: list[str]) -> object:
    """What the command line's command returns."""
    if "--help-all" not in arguments:
        return app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    from impasto.cli.help import everything

    with everything(arguments) as understood:
        return app(understood, exit_on_error=False, print_error=False, result_action="return_value")


@process.owned()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own) and return its exit code."""
    prepare()
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        flush()
    except CycloptsError as wrong:
        from impasto.cli.wrong_use import sentences

        for sentence in sentences(wrong, app):
            note(sentence)
        return USAGE
    except ImpastoError as error:
        for sentence in error.sentences(flag):
            note(sentence)
        return USAGE if isinstance(error, SettingsError) else FAILED
    except KeyboardInterrupt:
        note("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone, as head does
        abandon_stdout()
        return FAILED
    return code if isinstance(code, int) else 0
