"""The tables of docs/results/outer-step.md, from the committed records."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.base.metrics import Estimate, Matrix, estimate
from benchmarks.reports.load import load
from benchmarks.reports.selection import Selection
from benchmarks.reports.text import difference, number
from benchmarks.studies.results.tables import BESIDE, budget, write

PAGE = BESIDE / "outer-step.md"
RECORDS = Path(__file__).parent / "ladder.jsonl.xz"
BEGIN, END = "<!-- tables of the outer step: python -m benchmarks results -->", "<!-- end of them -->"
KINDS = {"pgrad": "PGrad", "reptile": "The displacement"}


class OuterStep(NamedTuple):
    """What the outer optimizer is, as the records have it; they sort as the tables do.

    Attributes:
        momentum: Nesterov's, or 0.
        lr: outer_lr.
    """

    momentum: float
    lr: float


DEFAULT = OuterStep(momentum=0.0, lr=1.0)
"""What the others are compared with."""


def selection() -> Selection:
    """What training-domain validation chose in the records."""
    return Selection.of(load([str(RECORDS)]).records)


def outer_steps(found: Selection, kind: str) -> dict[OuterStep, str]:
    """The names of the variants of an aggregation."""
    steps = {}
    for record in found.records:
        name, hparams = record["config"]["algorithm"], record["config"]["hparams"]
        if name.startswith(f"{kind}-"):
            steps[OuterStep(hparams.get("outer_momentum", 0.0), hparams["outer_lr"])] = name
    return dict(sorted(steps.items()))


def over_the_ladder(found: Selection, algorithm: str, column: str = "held_out_accuracy") -> Matrix:
    """``[seeds, data sets]``, %: the mean over the held-out domains of each; NaN where one of them is missing."""
    return np.stack([found.scores(dataset, algorithm, column).mean(axis=1) for dataset in found.datasets], axis=1)


def mean_of_sets(values: Matrix) -> Estimate:
    """The mean over the data sets of the means over seeds: ``[seeds, data sets]``, NaN for what is missing.

    Seeds of different data sets have nothing in common, so the squared standard errors of the D means add up:
    s^2 = sum_d s_d^2 / D^2, with the degrees of freedom of Welch and Satterthwaite for the t-interval. What is true of
    the data sets is not drawn: the interval is for other seeds on the same ones.

    Example:
        >>> found = mean_of_sets(np.array([[1.0, 10.0], [3.0, 10.5]]))
        >>> round(found.mean, 3), round(found.standard_error, 3), found.n
        (6.125, 0.515, 4)
    """
    columns = [column[~np.isnan(column)] for column in values.T]
    if min(map(len, columns)) < 2:
        return estimate(np.array([]))
    mean = float(np.mean([column.mean() for column in columns]))
    squares = np.array([stats.sem(column) ** 2 for column in columns])
    error = float(np.sqrt(squares.sum()) / len(columns))
    n = sum(map(len, columns))
    if error == 0.0:
        return Estimate(mean, 0.0, mean, mean, n)
    parts = [square**2 / (len(column) - 1) for square, column in zip(squares, columns, strict=True)]
    freedom = squares.sum() ** 2 / sum(parts)
    low, high = stats.t.interval(0.95, df=freedom, loc=mean, scale=error)
    return Estimate(mean, error, float(low), float(high), n)


def chosen_lrs(found: Selection, algorithm: str) -> list[float]:
    """The inner learning rate of every choice: one for each data set, seed and held-out domain."""
    return [
        float(run["config"]["hparams"]["lr"])
        for dataset in found.datasets
        for _, run in found.chosen_runs(dataset, algorithm)
    ]


def tables(found: Selection) -> str:
    """A table for each aggregation, PGrad beside its matched control, the budget of each data set."""
    budgets = "\n".join(f"- {dataset}: {budget(found, dataset)}" for dataset in found.datasets)
    return "\n\n".join([*(_by_outer_step(found, kind) for kind in KINDS), _controls(found), budgets])


def _by_outer_step(found: Selection, kind: str) -> str:
    steps = outer_steps(found, kind)
    others = [name for name in found.algorithms if not name.startswith(tuple(KINDS))]
    lines = [_line(found, name, steps[DEFAULT]) for name in (*steps.values(), *others)]
    return f"### {KINDS[kind]} by its outer step\n\n{_table(lines)}"


def _line(found: Selection, name: str, reference: str) -> dict[str, str]:
    mean, lrs = mean_of_sets(over_the_ladder(found, name)), chosen_lrs(found, name)
    grid = [record["config"]["hparams"]["lr"] for record in found.records]
    validation, its = (over_the_ladder(found, each, "validation_accuracy") for each in (name, reference))
    return {
        "outer step": name,
        "held-out": f"{number(mean.mean)} ± {number(mean.standard_error)}",
        **_differences(found, name, reference, f"− {reference}"),
        "on validation": "" if name == reference else difference(mean_of_sets(validation - its)),
        "lr, median": f"{np.exp(np.median(np.log(lrs))):.2g}",
        "lr at its ends": f"{lrs.count(min(grid))} low, {lrs.count(max(grid))} high of {len(lrs)}",
    }


def _controls(found: Selection) -> str:
    ours, theirs = (outer_steps(found, kind) for kind in KINDS)
    lines = [
        {"outer step": name, **_differences(found, name, theirs[step], "− reptile")} for step, name in ours.items()
    ]
    return f"### PGrad against the displacement with the same outer step\n\n{_table(lines)}"


def _differences(found: Selection, name: str, reference: str, heading: str) -> dict[str, str]:
    """Over the ladder and on each data set, paired by seed; empty for what would be compared with itself."""
    paired = over_the_ladder(found, name) - over_the_ladder(found, reference)
    places = {heading: list(range(len(found.datasets))), **{each: [i] for i, each in enumerate(found.datasets)}}
    if name == reference:
        return dict.fromkeys(places, "")
    return {each: difference(mean_of_sets(paired[:, place])) for each, place in places.items()}


def _table(lines: list[dict[str, str]]) -> str:
    return pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)


def main() -> None:
    """Writes the tables anew."""
    write(PAGE, BEGIN, END, tables(selection()))
