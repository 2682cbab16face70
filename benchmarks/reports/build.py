"""The report of a selection: what is compared, the answer, and the page of it."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.reports.answer import answers
from benchmarks.reports.comparisons import Comparison, compare, compare_overall
from benchmarks.reports.confirmed import confirmed
from benchmarks.reports.constant import warnings_of
from benchmarks.reports.facts import cautions_of, facts_of
from benchmarks.reports.forest import plotted
from benchmarks.reports.load import Loaded
from benchmarks.reports.page import Report
from benchmarks.reports.sections import TOGETHER, sections_confirmed, sections_of
from benchmarks.reports.selection import Selection


def build(loaded: Loaded, selection: Selection, seed: int = 0) -> Report:
    """Computes and draws the report; `seed` is that of the bootstrap."""
    found = compare(selection, seed)
    overall = compare_overall(selection, found, seed)
    plots = [(one, plotted(selection, one)) for one in answers(selection, found, overall)]
    first = plots[0] if plots else None
    confirmatory = confirmed(selection, seed)
    names = _shown(selection, first[0].ranked if first else [])
    return Report(
        title=", ".join(selection.datasets),
        warnings=warnings_of(selection),
        cautions=cautions_of(loaded, selection),
        answer=first,
        others=plots[1:],
        facts=facts_of(loaded, selection, seed, names),
        verdicts=[one for one in (*overall, *found) if one.learnt],
        sections=[*sections_confirmed(confirmatory), *sections_of(selection, found, overall, names, seed)],
        confirmed=tuple(confirmatory),
        edges=tuple(selection.edges),
    )


def _shown(selection: Selection, ranked: Sequence[Comparison]) -> tuple[str, ...]:
    """The algorithms of the pictures: all, or the baselines and the best."""
    names = selection.algorithms
    if len(names) <= TOGETHER:
        return names
    chosen = [*selection.baselines, *(one.algorithm for one in ranked)] if ranked else names
    return tuple(list(dict.fromkeys(chosen))[:TOGETHER])
