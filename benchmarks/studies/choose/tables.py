"""The tables of the study of `choose`: those that its command prints, and the page beside docs/results.md.

The page is made of ``records/study.jsonl``, lines of ``study.jsonl`` of the command ``choose-study``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.base.metrics import estimate
from benchmarks.datasets import DATASETS
from benchmarks.reports.text import between, number
from benchmarks.runs.environment import ROOT
from benchmarks.studies.choose.study import Trial, trials

RECORDS = Path(__file__).parent / "records"
PAGE = ROOT / "docs/results/choose.md"
WRITTEN = "<!-- Written by python -m benchmarks results; the words are on docs/choose.md. -->"

Value = Callable[[Trial], float]
Test = Callable[[Trial], bool]
Figure = Callable[[Sequence[Trial], bool], str]
"""Of some trials, as text; with an interval over them if it is asked for."""


def _always(_: Trial) -> bool:
    return True


def _mean(value: Value, where: Test = _always, sign: bool = True) -> Figure:
    """In points of a hundred."""

    def figure(own: Sequence[Trial], interval: bool) -> str:
        known = [100 * value(one) for one in own if where(one) and not math.isnan(value(one))]
        if not known:
            return "—"
        found = estimate(np.array(known))
        return number(found.mean, sign=sign) + (f" {between(found, sign=sign)}" if interval and len(known) > 1 else "")

    return figure


def _count(test: Test, where: Test = _always) -> Figure:
    def figure(own: Sequence[Trial], interval: bool) -> str:  # noqa: ARG001
        known = [one for one in own if where(one)]
        return f"{sum(map(test, known))} of {len(known)}"

    return figure


def _promised(one: Trial) -> bool:
    return not math.isnan(one.low)


def _shown(one: Trial) -> bool:
    return one.helps


def _unlike(one: Trial) -> bool:
    return one.unlike > one.most_unlike


def _missing(one: Trial) -> float:
    return one.promised - one.reached


def _estimate_off(one: Trial) -> float:
    return abs(one.estimate - one.accuracy)


def _guess_off(one: Trial) -> float:
    return abs(one.guess - one.accuracy)


FIGURES: dict[str, Figure] = {
    "trials": lambda own, _: str(len(own)),
    "ended early": _count(lambda one: bool(one.stopped)),
    "regret": _mean(lambda one: one.hindsight_half - one.half),
    "of validation": _mean(lambda one: one.hindsight_half - one.validation_half),
    "over validation": _mean(lambda one: one.reached - one.validation),
    "over ERM": _mean(lambda one: one.reached - one.default),
    "over fixed": _mean(lambda one: one.reached - one.fixed),
    "inside interval": _count(lambda one: one.low <= one.reached <= one.high, _promised),
    "far below ERM": _count(lambda one: one.default - one.reached > (one.high - one.low) / 2, _promised),
    "promised too much": _mean(_missing),
    "by validation": _mean(lambda one: one.validation_said - one.validation),
    "estimate off": _mean(_estimate_off, sign=False),
    "guess off": _mean(_guess_off, sign=False),
    "estimate shown": _count(_shown),
    "off where shown": _mean(_estimate_off, _shown, sign=False),
    "guess off there": _mean(_guess_off, _shown, sign=False),
    "called unlike": _count(_unlike, lambda one: not math.isnan(one.unlike)),
    "promised too much there": _mean(_missing, _unlike),
    "promised too much elsewhere": _mean(_missing, lambda one: not _unlike(one)),
}
COLUMNS = ("data set", "minutes", *FIGURES)
ALL, THREE = "all", "three or more known"
"""Rows of several data sets; with two known domains nothing is left to leave out beside one."""
EVERY = ("data set", "unseen", "minutes", "size", "taken", "reached", "promised", "ERM", "fixed", "validation", "said")


def rows(found: Sequence[Trial]) -> list[tuple[str, ...]]:
    """A row for each data set and time, and two for several of a time, with t-intervals over its trials; points of a
    hundred where a figure is a share."""
    lines = []
    for minutes in sorted({one.minutes for one in found}):
        own = [one for one in found if one.minutes == minutes]
        parts = {
            name: [one for one in own if one.dataset == name] for name in dict.fromkeys(one.dataset for one in own)
        }
        several = {ALL: own, THREE: [one for one in own if len(DATASETS[one.dataset].domains) > 3]}
        for name, part in (*parts.items(), *several.items()):
            figures = (figure(part, name in several) for figure in FIGURES.values())
            lines.append((name, f"{minutes:g}", *figures))
    return lines


def overall(found: Sequence[Trial], rungs: str = ALL) -> str:
    """Rows of several data sets, turned round: a column for each time."""
    own = [row for row in rows(found) if row[0] == rungs]
    lines = [[name, *(row[place] for row in own)] for place, name in enumerate(COLUMNS) if place > 1]
    return _table(["", *(f"{row[1]} min" for row in own)], lines)


def page(found: Sequence[Trial]) -> str:
    """Means by data set and time, and every trial."""
    parts = (
        WRITTEN,
        "# How good is choose?",
        "Means over trials, in points; the rows of several data sets have t-intervals over trials.",
        _table(COLUMNS, rows(found)),
        "Every trial, in percent; size: algorithms, learning rates, roll-outs, seeds.",
        _table(EVERY, [_every(one) for one in found]),
    )
    return "\n\n".join(parts) + "\n"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    text: str = pd.DataFrame(lines, columns=list(columns)).to_markdown(index=False, disable_numparse=True)
    return text


def _every(one: Trial) -> tuple[str, ...]:
    shares = (one.default, one.fixed, one.validation, one.validation_said)
    return (
        *(one.dataset, one.unseen, f"{one.minutes:g}", ", ".join(map(str, one.size)), one.algorithm),
        number(100 * one.reached),
        f"{number(100 * one.promised)} [{number(100 * one.low)}, {number(100 * one.high)}]",
        *(number(100 * share) for share in shares),
    )


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(trials(RECORDS)), encoding="utf-8")
