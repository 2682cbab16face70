"""What every command prints in the same way: lines, refusals, tables that keep names and numbers whole."""

from __future__ import annotations

import functools
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import ParamSpec

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from benchmarks.base.errors import ConfigError

Options = ParamSpec("Options")

UNCUT = 10_000
"""Columns of what is no terminal: lines of a pipe or a log are as long as they need."""

READABLE = 24
"""Columns that text needs at least, beside other columns."""


def console(stderr: bool = False) -> Console:
    """As wide as the terminal; a pipe or a file has no width, unless COLUMNS gives it one.

    Nor is it a terminal where FORCE_COLOR is set, as in a notebook and on some servers: it has colours then, and lines.
    """
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return Console(stderr=stderr)
    fixed = None if "COLUMNS" in os.environ else UNCUT
    return Console(
        stderr=stderr,
        width=fixed,
        force_terminal=False,
        color_system="standard" if os.environ.get("FORCE_COLOR") else "auto",
    )


def line(to: Console, text: str, style: str | None = None) -> None:
    """A line as it is, nothing in it is markup; a terminal breaks it between words, a pipe nowhere."""
    if to.is_terminal:
        text = "\n".join(_broken(part, to.width) for part in text.splitlines())
    raw(to, text, style)


def raw(to: Console, text: str, style: str | None = None) -> None:
    """Lines that stay as they are everywhere, such as those of a traceback."""
    to.print(text, markup=False, highlight=False, soft_wrap=True, style=style)


def _broken(text: str, width: int) -> str:
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.fill(
        text, max(width, 20), subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False
    )


def refuse(text: str) -> int:
    """Says on stderr why nothing is done; the exit status for that, 2."""
    errors = console(stderr=True)
    text = f"error: {text}"
    if errors.is_terminal:
        text = "\n".join(_broken(part, errors.width) for part in text.splitlines())
    errors.print(Text.assemble((text[:6], "bold red"), text[6:]), soft_wrap=True)
    return 2


def refusing(command: Callable[Options, int]) -> Callable[Options, int]:
    """A command whose refusals, and troubles with files, are one message and the exit status 2."""

    @functools.wraps(command)
    def careful(*args: Options.args, **kwargs: Options.kwargs) -> int:
        try:
            return command(*args, **kwargs)
        except ConfigError as error:
            return refuse(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return refuse(f"{where}{error.strerror or error}")

    return careful


def rows(to: Console, columns: Sequence[str], content: Sequence[Sequence[str]], text: Sequence[str] = ()) -> None:
    """A table whose cells stay whole, but for the columns of `text`, which break between words.

    Where the terminal is too narrow for it, every row is a block of lines instead: its first cell, and below it the
    others by name.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        right = all(_is_number(row[number]) for row in content) and content
        longest = max((len(row[number]) for row in content), default=0)
        table.add_column(
            column,
            no_wrap=column not in text,
            min_width=min(longest, READABLE) if column in text else None,
            justify="right" if right else "left",
        )
    for row in content:
        table.add_row(*map(escape, row))
    if Measurement.get(to, to.options.update(max_width=UNCUT), table).minimum <= to.width:
        to.print(table)
        return
    for first, *others in content:
        line(to, f"{columns[0]} {first}" if _is_number(first) else first, style="bold")
        for name, cell in zip(columns[1:], others, strict=True):
            if cell:
                line(to, f"  {name}: {cell}")


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell in "?-"
