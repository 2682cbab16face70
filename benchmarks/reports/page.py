"""The page: sections of text, tables and pictures in one file that needs nothing else."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.reports.answer import Answer
from benchmarks.reports.comparisons import Comparison
from benchmarks.reports.confirmed import Confirmed
from benchmarks.reports.forest import Forest
from benchmarks.reports.style import RC, without_warnings
from benchmarks.reports.table import Table
from benchmarks.reports.template import rendered
from benchmarks.sweeps.edges import Edge

TOLD = 24
"""Verdicts in words; of more, only those that show or lean to something."""


@dataclass(frozen=True)
class Picture:
    """One picture: the name of its files, what it shows, and the drawing; `box` is matplotlib's, of what is drawn."""

    name: str
    caption: str
    figure: Figure
    box: str | None = None

    @property
    def uri(self) -> str:
        """The picture as SVG in a data address; text is drawn as paths, so that no font is needed."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()

    @cached_property
    def svg(self) -> bytes:
        """The file."""
        buffer = io.BytesIO()
        with mpl.rc_context(RC), without_warnings():
            self.figure.savefig(buffer, format="svg", bbox_inches=self.box, metadata={"Date": None})
        return buffer.getvalue()


@dataclass(frozen=True)
class Section:
    """One part of the page; `files` are pictures that are written and not shown, for the page has the same as text."""

    title: str
    text: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    files: list[Picture] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Where links to it lead."""
        return self.title.lower().replace(" ", "-").replace(",", "")


@dataclass(frozen=True)
class Report:
    """Everything there is to say, the answer first.

    Attributes:
        title: Of the page.
        warnings: What stands before everything else: where nothing was learnt.
        cautions: What stands after them: what is missing, and what the intervals do not hold.
        answer: What stands at the top, with its picture; None where there is nothing to compare.
        others: Answers on each data set and against further baselines, with their pictures.
        facts: What one must know to read the rest.
        verdicts: All of them, over all data sets first; of the data sets on which something was learnt.
        confirmed: What the sweeps were made to confirm.
        edges: Learning rates whose best value is at the end of what was tried.
        more_seeds: The command that adds the seeds that verdicts need; empty if they have enough.
        refresh: Seconds after which the page loads itself again; 0 for never.
        progress: How far the sweep is; empty if it is done.
        sections: The rest.
    """

    title: str
    warnings: list[str]
    answer: tuple[Answer, Forest] | None
    others: list[tuple[Answer, Forest]]
    facts: list[str]
    verdicts: list[Comparison]
    sections: list[Section]
    confirmed: tuple[Confirmed, ...] = ()
    edges: tuple[Edge, ...] = ()
    more_seeds: str = ""
    refresh: int = 0
    progress: str = ""
    cautions: Sequence[str] = ()

    @property
    def told(self) -> list[Comparison]:
        """Verdicts that the page has in words: all of a few, else those that show or lean to something."""
        chosen = sorted(self.verdicts, key=lambda one: (one.rank, math.inf if math.isnan(one.p_value) else one.p_value))
        return chosen if len(chosen) <= TOLD else [one for one in chosen if one.rank < 2]

    def html(self) -> str:
        """The page."""
        return rendered("page.html.j2", report=self)

    def tables(self) -> Iterator[Table]:
        """Those of all sections."""
        for section in self.sections:
            yield from section.tables
