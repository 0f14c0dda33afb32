"""How much of a command's help is shown: what is usual by --help, in lines; everything by --help-all, in boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

ALL = "--help-all"

show_all: ContextVar[bool] = ContextVar("show_all", default=False)
"""Whether help was asked for by `ALL`."""


@contextmanager
def everything(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Arguments with `ALL`, which the parser doesn't know, made a plain --help that shows everything meanwhile."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    token = show_all.set(ALL in arguments[:end])
    try:
        yield ["--help" if word == ALL and at < end else word for at, word in enumerate(arguments)]
    finally:
        show_all.reset(token)


def show(console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
    """Print a panel of options, in boxes where all are shown."""
    from cyclopts.help.formatters import DefaultFormatter

    if show_all.get() or panel.format != "parameter":
        DefaultFormatter()(console, options, panel)
    elif panel.entries:
        from rich.table import Table

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column()
        for entry in panel.entries:
            table.add_row("  " + " ".join(entry.display_labels_with_metavar), entry.description)
        console.print(f"{panel.title}:", highlight=False, markup=False)
        console.print(table, highlight=False, markup=False)


def show_if_all(console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
    """Print a panel of options that are seldom needed."""
    if show_all.get():
        show(console, options, panel)
