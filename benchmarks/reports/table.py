"""A table of a report: the numbers for programs, and the same as text for readers."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Of its files.
        title, note: What it shows, and how to read it.
        numbers: One column for each number, unrounded.
        text: Cells to read.
    """

    name: str
    title: str
    note: str
    numbers: pd.DataFrame
    text: pd.DataFrame

    @property
    def headers(self) -> int:
        """How many of the first columns say what a row is about."""
        names = list(self.text.columns)
        return max([names.index(name) + 1 for name in ("data set", "baseline", "algorithm") if name in names] or [1])

    def markdown(self) -> str:
        """The title, the cells and the note."""
        body = self.text.to_markdown(index=False, disable_numparse=True)
        return f"## {self.title}\n\n{body}\n\n{self.note}\n"

    def latex(self) -> str:
        """A table for the package booktabs."""
        text = self.text.map(_latex).rename(columns=_latex)
        layout = "l" + "r" * (len(text.columns) - 1)
        body = text.to_latex(index=False, escape=False, column_format=layout)
        caption = f"{_latex(self.title)}. {_latex(self.note)}"
        return f"\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n{body}\\end{{table}}\n"


_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "±": r"$\pm$",
    "°": r"$^\circ$",
    "×": r"$\times$",
    "–": "--",
    "—": "---",
    "<": "$<$",
    ">": "$>$",
}


def _latex(cell: object) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in str(cell))
