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
from benchmarks.reports.text import between, number
from benchmarks.runs.environment import ROOT
from benchmarks.studies.choose.study import Trial, trials

RECORDS = Path(__file__).parent / "records"
PAGE = ROOT / "docs/results/choose.md"
WRITTEN = "<!-- Written by python -m benchmarks results; the words are on docs/choose.md. -->"

COLUMNS = (
    *("data set", "minutes", "trials", "ended early", "regret", "of validation", "over validation", "over ERM"),
    *(
        "over fixed",
        "inside interval",
        "far below ERM",
        "promised too much",
        "by validation",
        "estimate off",
        "guess off",
    ),
)
EVERY = ("data set", "unseen", "minutes", "size", "taken", "reached", "promised", "ERM", "fixed", "validation", "said")


def rows(found: Sequence[Trial]) -> list[tuple[str, ...]]:
    """A row for each data set and time, and one for all of a time, with t-intervals over its trials; points of a
    hundred where a figure is a share."""
    lines = []
    for minutes in sorted({one.minutes for one in found}):
        own = [one for one in found if one.minutes == minutes]
        names = dict.fromkeys(one.dataset for one in own)
        lines += [_row(name, [one for one in own if one.dataset == name]) for name in names]
        lines.append(_row("all", own, whole=True))
    return lines


def _row(dataset: str, own: Sequence[Trial], whole: bool = False) -> tuple[str, ...]:
    def mean(value: Callable[[Trial], float], sign: bool = True) -> str:
        known = [100 * value(one) for one in own if not math.isnan(value(one))]
        if not known:
            return "—"
        over = estimate(np.array(known))
        interval = f" {between(over, sign=sign)}" if whole and len(known) > 1 else ""
        return number(over.mean, sign=sign) + interval

    promised = [one for one in own if not math.isnan(one.low)]
    inside = sum(one.low <= one.reached <= one.high for one in promised)
    below = sum(one.default - one.reached > (one.high - one.low) / 2 for one in promised)
    return (
        *(dataset, f"{own[0].minutes:g}", str(len(own)), str(sum(bool(one.stopped) for one in own))),
        mean(lambda one: one.hindsight_half - one.half),
        mean(lambda one: one.hindsight_half - one.validation_half),
        mean(lambda one: one.reached - one.validation),
        mean(lambda one: one.reached - one.default),
        mean(lambda one: one.reached - one.fixed),
        *(f"{inside} of {len(promised)}", f"{below} of {len(promised)}"),
        mean(lambda one: one.promised - one.reached),
        mean(lambda one: one.validation_said - one.validation),
        mean(lambda one: abs(one.estimate - one.accuracy), sign=False),
        mean(lambda one: abs(one.guess - one.accuracy), sign=False),
    )


def overall(found: Sequence[Trial]) -> str:
    """The rows of all, turned round: a column for each time."""
    of_all = [row for row in rows(found) if row[0] == "all"]
    lines = [[name, *(row[place] for row in of_all)] for place, name in enumerate(COLUMNS) if place > 1]
    columns = ["", *(f"{row[1]} min" for row in of_all)]
    text: str = pd.DataFrame(lines, columns=columns).to_markdown(index=False, disable_numparse=True)
    return text


def page(found: Sequence[Trial]) -> str:
    """Means by data set and time, and every trial."""

    def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
        text: str = pd.DataFrame(lines, columns=list(columns)).to_markdown(index=False, disable_numparse=True)
        return text

    return (
        "\n\n".join(
            (
                WRITTEN,
                "# How good is choose?",
                "Means over trials, in points; the rows of all have t-intervals over trials.",
                table(COLUMNS, rows(found)),
                "Every trial, in percent; size: algorithms, learning rates, roll-outs, seeds.",
                table(EVERY, [_every(one) for one in found]),
            )
        )
        + "\n"
    )


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
