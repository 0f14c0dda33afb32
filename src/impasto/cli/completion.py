"""`impasto --install-completion`: lets the shell complete commands and flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from impasto.cli.terminal import tell
from impasto.errors import ImpastoError, SettingsError
from impasto.storage.files import quoted


def install_completion(
    *,
    shell: Annotated[
        # In the order that cyclopts has them in: typing keeps one object for both, of the order that came first.
        Literal["zsh", "bash", "fish", "powershell"] | None,
        Parameter(help="Default: the one that this runs in."),
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(name=("--output", "-o"), help="Write the script here, and leave the shell's own files alone."),
    ] = None,
) -> None:
    """Let the shell complete commands and flags; run again after an update."""
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    from impasto.cli.app import app

    try:
        shell = shell or detect_shell()
    except ShellDetectionError:
        raise SettingsError("Nothing here tells which shell this is", "say it by `shell`", knob="shell") from None
    if output is not None and not _is_ours(output):
        raise ImpastoError(f"{quoted(output)} exists, and isn't such a script", "choose another place by `output`")
    try:
        path = app.install_completion(shell=shell, output=output, add_to_startup=output is None)
    except OSError as error:
        where = error.filename or output
        raise ImpastoError(f"{where} can't be written ({error.strerror})", "choose another place by `output`") from None
    tell(f"{path}: begin a new shell, and it completes." if output is None else str(path))


def _is_ours(output: Path) -> bool:
    """Whether a file may be replaced: it is a script of an earlier version, it is empty, or there is none."""
    try:
        if not output.is_file():  # /dev/stdout, which nobody is to be read from
            return True
        with output.open("rb") as file:
            begin = file.read(400)
    except OSError:
        return True  # which writing will say
    return not begin or b"impasto" in begin
