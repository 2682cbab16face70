"""Several sweeps and data sets side by side on one page: what is better where, and the answer of each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.reports.answer import Answer, answers
from benchmarks.reports.comparisons import Comparison, compare
from benchmarks.reports.files import put
from benchmarks.reports.forest import SIGNS, Forest, plotted
from benchmarks.reports.request import Request
from benchmarks.reports.template import rendered
from benchmarks.reports.text import between, number


@dataclass(frozen=True)
class Column:
    """One data set of one source.

    Attributes:
        source: Its short name.
        answer: Against the first baseline.
        plot: Of it.
    """

    source: str
    answer: Answer
    plot: Forest

    @property
    def title(self) -> str:
        """The data set, and where it is from."""
        return f"{self.answer.where} ({self.source})"

    def of(self, algorithm: str) -> Comparison | None:
        """What the column says of an algorithm."""
        return next((one for one in self.answer.ranked if one.algorithm == algorithm and one.difference.n), None)


@dataclass(frozen=True)
class Overview:
    """The page.

    Attributes:
        title: Of it.
        columns: In the order of the sources.
        rows: Algorithm and the cells of its columns; those that stand in most columns first, then the best.
    """

    title: str
    columns: list[Column]
    rows: list[tuple[str, list[str]]]

    def html(self) -> str:
        """The page."""
        return rendered("overview.html.j2", page=self)


def overview(request: Request) -> Overview:
    """Each source is a report of its own: settings may differ, and no test is made over several of them.

    Raises:
        ValueError: if there is nothing to compare in any source.
    """
    columns = []
    names = _short(request.sources)
    for name, source in zip(names, request.sources, strict=True):
        _, selection = dataclasses.replace(request, sources=(source,)).chosen()
        found = compare(selection, request.seed)
        columns += [
            Column(name, answer, plotted(selection, answer))
            for answer in answers(selection, found, [])
            if answer.baseline == selection.baselines[0]
        ]
    if not columns:
        raise ValueError(f"{', '.join(request.sources)}: nothing to compare, no source has a baseline and a rival")
    algorithms = dict.fromkeys(one.algorithm for column in columns for one in column.answer.ranked)
    ranked = sorted(algorithms, key=lambda name: _order([column.of(name) for column in columns]))
    rows = [(name, [_cell(column.of(name)) for column in columns]) for name in ranked]
    return Overview(f"{len(columns)} data sets side by side", columns, rows)


def _order(cells: Sequence[Comparison | None]) -> tuple[int, float]:
    known = [one.difference.mean for one in cells if one is not None]
    return -len(known), -float(np.mean(known)) if known else math.inf


def _cell(one: Comparison | None) -> str:
    if one is None:
        return ""
    return (
        f"{number(one.difference.mean, sign=True)} {between(one.difference, sign=True)} {SIGNS.get(one.verdict, '·')}"
    )


def _short(sources: Sequence[str]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [Path(source.split("@")[-1]).parts for source in sources]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(one[-depth:]).removesuffix(".xz").removesuffix(".jsonl") for one in parts]
        if len(set(names)) == len(set(sources)):
            return names
    return list(sources)


def write(request: Request, folder: Path) -> Path:
    """The page of a request; returns its path."""
    made = overview(request)
    folder.mkdir(parents=True, exist_ok=True)
    put(folder / "overview.html", made.html().encode())
    return folder / "overview.html"
