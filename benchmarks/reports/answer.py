"""The answer of a report: one line, what it rests on, and the comparisons that its picture ranks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.reports.comparisons import OVERALL, Comparison
from benchmarks.reports.evidence import by_chance, impossible, seeds_needed
from benchmarks.reports.selection import Selection
from benchmarks.reports.text import between, number


@dataclass(frozen=True)
class Answer:
    """To one question: what is better than the baseline?

    Attributes:
        where: A data set, or all of them.
        baseline: What the others are compared with.
        line: The answer.
        notes: What one must know to believe it.
        ranked: The comparisons, the best first.
        constant: Difference of the predictor that looks at no input; NaN where it is not known.
        seeds: Of each data set, without which no verdict is possible; 0 if one is.
    """

    where: str
    baseline: str
    line: str
    notes: list[str]
    ranked: list[Comparison]
    constant: float
    seeds: int = 0


def answers(selection: Selection, found: Sequence[Comparison], overall: Sequence[Comparison]) -> list[Answer]:
    """Over all data sets first, where there are several; then each of them; the first baseline before the others."""
    made = []
    for where, lines in ((OVERALL, overall), *((name, found) for name in selection.datasets)):
        for baseline in selection.baselines:
            own = [one for one in lines if one.dataset == where and one.baseline == baseline and one.learnt]
            if own:
                made.append(_answer(selection, where, baseline, own, len(lines)))
    return made


def _answer(selection: Selection, where: str, baseline: str, own: Sequence[Comparison], comparisons: int) -> Answer:
    ranked = sorted(own, key=lambda one: -one.difference.mean if one.difference.n else math.inf)
    verdicts = Counter(one.verdict for one in ranked)
    settled = verdicts["better"] + verdicts["worse"]
    if len(ranked) == 1:
        line = f"{ranked[0].algorithm} against {baseline} on {where}: {ranked[0].verdict}"
    else:
        line = (
            f"Of {len(ranked)} algorithms {verdicts['better']} {_is(verdicts['better'])} better than {baseline} on "
            f"{where}, {verdicts['worse']} worse, {len(ranked) - settled} open"
        )
    best = ranked[0]
    if best.difference.n:
        named = "" if len(ranked) == 1 else f"best: {best.algorithm} "
        interval = between(best.difference, sign=True)
        line += f"; {named}{number(best.difference.mean, sign=True)} {interval}{best.unit}"
    known = [one.difference.n for one in ranked if one.difference.n > 1]
    sets = len(selection.datasets) if where == OVERALL else 1
    none = impossible(max(known), sets, comparisons) if known else ""
    return Answer(
        where=where,
        baseline=baseline,
        line=line + ".",
        notes=[none] * bool(none) + _notes(ranked),
        ranked=ranked,
        constant=best.constant,
        seeds=seeds_needed(sets, comparisons) if none else 0,
    )


def _is(number_: int) -> str:
    return "is" if number_ == 1 else "are"


def _notes(ranked: Sequence[Comparison]) -> list[str]:
    notes = []
    known = [one for one in ranked if one.difference.n > 1]
    up, down = (sum(one.verdict == f"leans {way}" for one in known) for way in ("better", "worse"))
    if len(known) > 1 and (up or down):
        notes.append(
            f"Of the open ones {up} {_lean(up)} better and {down} {_lean(down)} worse: the 95 % interval is on one "
            f"side of zero. By chance alone {number(by_chance(len(known)))} of {len(known)} would be on each side."
        )
    return notes


def _lean(number_: int) -> str:
    return "leans" if number_ == 1 else "lean"
