"""The picture of docs/results.md: what the ladder says to three questions, setting by setting."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.algorithms import BASELINE, CONTROL
from benchmarks.base.metrics import Estimate
from benchmarks.reports.style import COLOURS, RC
from benchmarks.reports.text import number, side

PICTURE = "short.svg"
SHOWN = {
    f"pgrad − {CONTROL}": "PGrad − its control",
    f"pgrad − {BASELINE}": "PGrad − ERM",
    f"erm-swad − {BASELINE}": "ERM with SWAD − ERM",
}
"""The questions, and how the picture calls them."""

REACH = 9.0
"""Points to either side of zero; what lies beyond stands at the edge as a number."""

Answered = Mapping[str, Mapping[str, Estimate | None]]
"""Setting -> question -> difference."""


def draw(found: Answered) -> Figure:
    """A panel for each question, a line for each setting; filled where the interval lies on one side of zero."""
    with mpl.rc_context(RC):
        figure = Figure(figsize=(8.4, 0.9 + 0.25 * len(found)), layout="constrained")
        panels = figure.subplots(1, len(SHOWN), sharey=True)
        for axes, (question, heading) in zip(panels, SHOWN.items(), strict=True):
            _panel(axes, heading, [own.get(question) for own in found.values()])
        panels[0].set_yticks(range(len(found)), list(found))
        panels[0].set_ylim(len(found) - 0.5, -0.5)
    return figure


def _panel(axes: Axes, heading: str, lines: list[Estimate | None]) -> None:
    axes.set_title(heading, fontsize=9)
    axes.axvline(0.0, color="0.4", linewidth=0.8)
    axes.set_xlim(-REACH, REACH)
    axes.set_xlabel("points")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    for place, one in enumerate(lines):
        if one is None or not one.n:
            continue
        beyond = abs(one.mean) > REACH
        if beyond:
            edge = REACH if one.mean > 0 else -REACH
            text = f"{number(one.mean, sign=True)} →" if one.mean > 0 else f"← {number(one.mean, sign=True)}"
            axes.text(edge, place, text, ha="right" if edge > 0 else "left", va="center", fontsize=8)
            continue
        colour = COLOURS[{1: 3, 0: 0, -1: 1}[side(one)]]
        axes.plot([one.low, one.high], [place, place], color=colour, linewidth=1.4)
        axes.plot(one.mean, place, "o", color=colour, markerfacecolor=colour if side(one) else "white")
