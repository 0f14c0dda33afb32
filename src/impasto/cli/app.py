"""The commands, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError, Parameter

from impasto.cli.bench import bench
from impasto.cli.demo import demo
from impasto.cli.doctor import doctor
from impasto.cli.paint import paint
from impasto.cli.plan import plan
from impasto.cli.presets import presets
from impasto.cli.recipes import inspect, rerun
from impasto.cli.reconstruct import reconstruct
from impasto.cli.resume import resume
from impasto.cli.spelling import spelled
from impasto.cli.swatches import swatches
from impasto.cli.sweep import sweep
from impasto.cli.terminal import abandon_stdout, flush, note, prepare
from impasto.cli.texture import texture
from impasto.cli.weights import weights
from impasto.errors import ImpastoError, SettingsError
from impasto.storage import process

FAILED, USAGE, INTERRUPTED = 1, 2, 130

app = App(
    name="impasto",
    help="Paint a photo in the manner of a painting, by neural style transfer.\n\n"
    "Try: impasto paint photo.jpg watercolour",
    version=lambda: version("impasto"),
    default_parameter=Parameter(negative="", show_default=False),
    help_format="plaintext",  # markdown costs a tenth of the start
    suppress_keyboard_interrupt=False,
)
app.command(paint, usage="Usage: impasto paint [OPTIONS] CONTENT STYLE…")
app.command(sweep, usage="Usage: impasto sweep [OPTIONS] CONTENT STYLE… --vary KNOB=VALUES")
for command in (resume, texture, reconstruct, plan, presets, swatches, weights, inspect, rerun, demo, doctor, bench):
    app.command(command)


@process.owned()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: the process's own) and return its exit code."""
    prepare()
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        flush()
    except CycloptsError as error:
        note(str(error))
        return USAGE
    except ImpastoError as error:
        note(spelled(error))
        return USAGE if isinstance(error, SettingsError) else FAILED
    except KeyboardInterrupt:
        note("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone, as head does
        abandon_stdout()
        return FAILED
    return code if isinstance(code, int) else 0
