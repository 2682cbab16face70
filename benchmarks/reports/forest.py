"""The ranked forest plot, as rows of text and bars that a page lays out for any width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from benchmarks.reports.answer import Answer
from benchmarks.reports.comparisons import OVERALL, Comparison
from benchmarks.reports.constant import constant_of
from benchmarks.reports.selection import Selection
from benchmarks.reports.text import between, number

SIGNS = {"better": "▲", "worse": "▼", "leans better": "△", "leans worse": "▽"}
"""Of verdicts; the others have a dot."""

FEW = 12
"""Lines that are all shown whole; of more, the farthest twentieth on each side may reach beyond the frame."""


@dataclass(frozen=True)
class Bar:
    """Places in %, of the width of the frame.

    Attributes:
        low, high: Of the interval over seeds.
        wide_low, wide_high: Of the interval over data sets and seeds; equal to `low` and `high` where there is none.
        mean: Of the mark; inside the frame, at its edge where the mean lies beyond.
        beyond: ``left`` or ``right`` if the mean lies beyond the frame, else empty.
    """

    low: float
    high: float
    wide_low: float
    wide_high: float
    mean: float
    beyond: str


@dataclass(frozen=True)
class Row:
    """One line of the plot."""

    name: str
    kind: str
    sign: str
    verdict: str
    figures: str
    bar: Bar | None


@dataclass(frozen=True)
class Forest:
    """The plot.

    Attributes:
        rows: The best first; the baseline, and the predictor that looks at no input, among them.
        zero: Place of the baseline's line, in %.
        constant: Place of the other one's line; None where it is not known or beyond the frame.
        ticks: Place and label.
        label: Of the axis.
        wide: Whether thin bars say more than thick ones.
    """

    rows: list[Row]
    zero: float
    constant: float | None
    ticks: list[tuple[float, str]]
    label: str
    wide: bool


@dataclass(frozen=True)
class Axis:
    """What of it is shown."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """In % of the width, at the edge if it lies beyond.

        Example:
            >>> axis = Axis(-1.0, 3.0)
            >>> axis.place(0.0), axis.place(9.0), axis.beyond(9.0)
            (25.0, 100.0, 'right')
        """
        share = (value - self.low) / (self.high - self.low)
        return round(100.0 * min(1.0, max(0.0, share)), 2)

    def beyond(self, value: float) -> str:
        """On which side, if it does."""
        return "left" if value < self.low else "right" if value > self.high else ""


def plotted(selection: Selection, answer: Answer) -> Forest:
    """Of an answer, with the line of the predictor that looks at no input."""
    constants = [constant_of(selection, name) for name in selection.datasets if answer.where in (name, OVERALL)]
    return forest(answer, " / ".join(dict.fromkeys(one.name for one in constants if one is not None)))


def forest(answer: Answer, constant: str = "") -> Forest:
    """Of an answer; `constant` is the name of the predictor that looks at no input."""
    known = [one for one in answer.ranked if one.difference.n]
    axis = Axis(*_frame(known, answer.constant))
    rows = [_row(one, axis) for one in answer.ranked]
    means = [one.difference.mean for one in known]
    rows.insert(sum(mean > 0 for mean in means), _line(answer.baseline, "baseline", 0.0, axis))
    if not math.isnan(answer.constant) and constant:
        above = sum(mean > answer.constant for mean in (*means, 0.0))
        rows.insert(above, _line(constant, "constant", answer.constant, axis))
    low, high = axis.low, axis.high
    ticks = [float(tick) for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    labels = [f"{tick:+g}".replace("-", "−") if tick else "0" for tick in np.round(ticks, 10)]
    inside = low <= answer.constant <= high and bool(constant)
    return Forest(
        rows=rows,
        zero=axis.place(0.0),
        constant=axis.place(answer.constant) if inside else None,
        ticks=[(axis.place(tick), label) for tick, label in zip(ticks, labels, strict=True)],
        label=f"difference to {answer.baseline},{answer.ranked[0].unit or ' score'}",
        wide=any(map(_is_wide, known)),
    )


def _frame(known: Sequence[Comparison], constant: float) -> tuple[float, float]:
    """What of the axis is shown: all intervals, but for what lies far beyond the others; and zero."""
    lows = [value for one in known for value in (one.difference.low, one.difference.mean) if not math.isnan(value)]
    highs = [value for one in known for value in (one.difference.high, one.difference.mean) if not math.isnan(value)]
    if not lows:
        return -1.0, 1.0
    low, high = min(lows), max(highs)
    if len(known) > FEW:
        low, high = float(np.percentile(lows, 5)), float(np.percentile(highs, 95))
        best = known[0].difference
        high = max(high, best.mean if math.isnan(best.high) else best.high)
    low, high = min(low, 0.0), max(high, 0.0)
    if low > constant > low - 0.5 * (high - low):  # near enough to be shown
        low = constant
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _row(one: Comparison, axis: Axis) -> Row:
    found, verdict = one.difference, one.verdict
    if not found.n:
        return Row(one.algorithm, "open", "·", verdict, "no seed is complete", None)
    kind = verdict if verdict in ("better", "worse") else "open"
    figures = f"{number(found.mean, sign=True)} {between(found, sign=True)}" if found.n > 1 else number(found.mean)
    low, high = (found.mean, found.mean) if math.isnan(found.low) else (found.low, found.high)
    wide = (one.bootstrap.low, one.bootstrap.high) if _is_wide(one) else (low, high)
    ends = [axis.place(value) for value in (low, high, *wide)]
    bar = Bar(ends[0], ends[1], ends[2], ends[3], axis.place(found.mean), axis.beyond(found.mean))
    return Row(one.algorithm, kind, SIGNS.get(verdict, "·"), verdict, figures, bar)


def _line(name: str, kind: str, value: float, axis: Axis) -> Row:
    place = axis.place(value)
    figures = "baseline" if kind == "baseline" else number(value, sign=True)
    return Row(name, kind, "", "", figures, Bar(place, place, place, place, place, axis.beyond(value)))


def _is_wide(one: Comparison) -> bool:
    return one.dataset == OVERALL and not math.isnan(one.bootstrap.low)
