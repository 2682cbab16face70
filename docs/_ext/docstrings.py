"""Docstrings as they are written here: an indented paragraph is a formula, and is shown as it stands."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def with_formulas(lines: list[str]) -> list[str]:
    """The lines with a directive before every indented paragraph that follows a plain one.

    Example:
        >>> with_formulas(["It is", "", "    a = |b|", "", "where"])
        ['It is', '', '.. code-block:: text', '', '    a = |b|', '', 'where']
    """
    found: list[str] = []
    before, marked = "", False  # the last line with text, and whether a literal block is open
    for number, line in enumerate(lines):
        if line.strip():
            if _indent(line) <= _indent(before) or not found:
                marked = marked and _indent(line) > 0
            elif not lines[number - 1].strip() and not _indent(before) and not marked:
                if not before.rstrip().endswith("::"):
                    found += [".. code-block:: text", ""]
                marked = True
            before = line
        found.append(line)
    return found


def _process(_app: Sphinx, what: str, _name: str, _found: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = with_formulas(lines)
    if what in ("attribute", "property"):
        # Napoleon takes what stands before a colon in the first line for a type. An escaped end of a line is nothing.
        lines.insert(0, "\\")


def public(signature: str) -> str:
    """Without what is there for the machine: a default that means none, and the words that get an error.

    Example:
        >>> public("(lr: float = 0.1, length: int = _NOT_GIVEN, **unknown: ~typing.Any)")
        '(lr: float = 0.1, length: int = ...)'
    """
    return re.sub(r", \*\*unknown: [~.\w]+(?=\)$)", "", re.sub(r"= _[A-Z_]+\b", "= ...", signature))


def _shorten(
    _app: Sphinx, _what: str, _name: str, _found: Any, _options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    return signature and public(signature), returns


def setup(app: Sphinx) -> dict[str, bool]:
    """Comes before napoleon, which takes sections apart."""
    app.connect("autodoc-process-docstring", _process, priority=100)
    app.connect("autodoc-process-signature", _shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
