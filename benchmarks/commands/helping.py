"""How help and refused options look: plain lines, in a terminal of any width and in a pipe.

A name is never broken: where two columns do not fit, the description goes below its name.
"""

from __future__ import annotations

import textwrap
from typing import Any

from cyclopts import CycloptsError
from cyclopts.help import HelpEntry, HelpPanel
from rich.console import Console, ConsoleOptions
from rich.text import Text

from benchmarks.base.called import SCRIPT

WIDEST = 100
"""Columns of a help page; longer lines are hard to read."""

LABEL = 26
"""Columns of the names, where the descriptions stand beside them."""


class Help:
    """Renders the help of a command, panel by panel."""

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:  # noqa: ARG002
        """The line that begins with "Usage"."""
        _print(console, f"Usage: {' '.join(_text(usage).removeprefix('Usage:').split())}", hanging="    ")
        console.print()

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:  # noqa: ARG002
        """What the command does; an indented part stays as it is."""
        for paragraph in _text(description).split("\n\n"):
            if any(line.startswith(" ") for line in paragraph.splitlines()):
                console.print(paragraph, markup=False, highlight=False, soft_wrap=True)
            else:
                _print(console, " ".join(paragraph.split()))
            console.print()

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:  # noqa: ARG002
        """A heading, and every entry below it."""
        if not panel.entries:
            return
        console.print(Text(f"{_text(panel.title)}:", style="bold"))
        labels = [_label(entry) for entry in panel.entries]
        beside = _width(console) >= 72
        column = min(LABEL, max(map(len, labels)) + 4) if beside else 8
        for entry, label in zip(panel.entries, labels, strict=True):
            own = beside and len(label) + 4 <= column
            first = f"  {label:<{column - 2}}" if own else " " * column
            if not own:
                console.print(f"  {label}", markup=False, highlight=False, soft_wrap=True)
            said = _described(entry)
            if said or own:
                _print(console, said, first=first, hanging=" " * column)
        console.print()


def usage_error(error: CycloptsError) -> Text:
    """What is wrong with the words, and where to read on."""
    chain = " ".join((SCRIPT, *(error.command_chain or ())))
    text = Text.assemble(("error: ", "bold red"), (str(error).strip(), ""))
    return text.append(f"\nhelp: {chain} --help")


def _label(entry: HelpEntry) -> str:
    """The name of a positional argument; else the names of an option and what its value is.

    cyclopts 4, the last one for Python 3.10, has no label and no metavar: the label is its first name there.
    """
    positives = [*entry.positive_names, *entry.positive_shorts]
    label = getattr(entry, "positional_label", None)
    metavar = getattr(entry, "metavar", None)
    if label:
        return str(label)
    if len(positives) > 1 and positives[1].startswith("--") and not positives[0].startswith("-"):
        return positives[0]
    if entry.negative_names and entry.default == "True":
        return f"--[no-]{positives[0].removeprefix('--')}"
    if metavar and positives:
        positives[-1] += f" {metavar}"
    return ", ".join(positives)


def _described(entry: HelpEntry) -> str:
    parts = [" ".join(_text(entry.description).split())]
    if entry.choices:
        parts.append(f"[one of: {', '.join(entry.choices)}]")
    if entry.default not in (None, "False", "()", "''"):
        default = "on" if entry.default == "True" else entry.default.strip("()").replace("',", "").replace("'", "")
        parts.append(f"[default: {default}]")
    if entry.required:
        parts.append("[required]")
    return " ".join(part for part in parts if part)


def _text(content: Any) -> str:
    """The plain text of what the parser hands over: a string, rich's Text, or something that prints itself."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content.strip("\n")
    if isinstance(content, Text):
        return content.plain.strip("\n")
    paper = Console(width=10_000, no_color=True, force_terminal=False)
    with paper.capture() as captured:
        paper.print(content, end="", soft_wrap=True)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).strip("\n")


def _width(console: Console) -> int:
    return min(console.width, WIDEST)


def _print(console: Console, text: str, first: str = "", hanging: str = "") -> None:
    filled = textwrap.fill(
        text,
        max(_width(console), len(hanging) + 20),
        initial_indent=first,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    console.print(filled or first.rstrip(), markup=False, highlight=False, soft_wrap=True)
