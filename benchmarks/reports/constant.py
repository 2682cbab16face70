"""The predictor that looks at no input: the line that every table and picture of scores has, and what is below it.

It answers with the majority class (or the mean target) of the training parts. Records hold what it reaches; older ones
do not, and reports on them have no such line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.base.metrics import Matrix, average, estimate
from benchmarks.base.records import HINDSIGHT, MAJORITY, MEAN, constant_key
from benchmarks.reports import names
from benchmarks.reports.load import Run
from benchmarks.reports.selection import Selection
from benchmarks.reports.text import number

STREAMED = "wilds:"
"""What the names of data sets begin with that another command trains on."""

CONFIDENCE = 0.9
"""Of the two-sided t-interval whose lower end must be above zero: one-sided 95 %."""

FEW = 4


@dataclass(frozen=True)
class Constant:
    """On one data set; matrices are ``[seeds, held-out sets]``, scaled, NaN where no record tells.

    Attributes:
        name: ``majority class``, ``mean target``, or what the data set's own is called.
        record: The one of the first two under which records have it.
        validation: On the validation parts of the training domains.
        held_out: On the held-out domains.
        measures: By other figures, on the held-out domains, in %.
    """

    name: str
    record: str
    validation: Matrix
    held_out: Matrix
    measures: Mapping[str, Matrix]

    @property
    def note(self) -> str:
        """What the line means."""
        said = {MAJORITY: "the largest class", MEAN: "the mean target"}.get(self.name, f"the {self.name}")
        return f"{self.name[0].upper()}{self.name[1:]}: always says {said} of the training parts, whatever it is shown."

    def measured(self, measure: str) -> Matrix:
        """By another figure; NaN where it was not taken."""
        return self.measures.get(measure, np.full_like(self.held_out, math.nan))


def constant_of(selection: Selection, dataset: str) -> Constant | None:
    """What the records of a data set say of it; None if they do not."""
    if dataset not in selection.constants:
        selection.constants[dataset] = _constant_of(selection, dataset)
    found: Constant | None = selection.constants[dataset]
    return found


def _constant_of(selection: Selection, dataset: str) -> Constant | None:
    runs = [run for run in selection.of_dataset(dataset) if run["status"] == "finished"]
    for name in (MAJORITY, MEAN):
        if any(constant_key(name, "held out") in _figures(run) for run in runs):
            measures = {
                measure: _matrix(selection, dataset, runs, constant_key(name, "held out", measure), 100.0)
                for measure in selection.measures(dataset)
            }
            factor = selection.scale(dataset).factor
            return Constant(
                name=names.constant_of(dataset, name),
                record=name,
                validation=_matrix(selection, dataset, runs, constant_key(name, "validation"), factor),
                held_out=_matrix(selection, dataset, runs, constant_key(name, "held out"), factor),
                measures=measures,
            )
    return None


def _figures(run: Run) -> Mapping[str, Any]:
    return run.get("diagnostics") or {}


def _matrix(selection: Selection, dataset: str, runs: list[Run], key: str, factor: float) -> Matrix:
    seeds, sets = selection.seeds(dataset), selection.held_out(dataset)
    values = np.full((len(seeds), len(sets)), math.nan)
    for run in runs:  # all algorithms and points of a seed and held-out set have the same
        found = _figures(run).get(key)
        if found:
            values[seeds.index(run["config"]["seed"]), sets.index(run["config"]["held_out"])] = factor * found[0]
    return values


def nothing_learnt(selection: Selection, dataset: str) -> str:
    """What to say if no algorithm beats the constant predictor on the validation parts; empty if one does, or if the
    records do not tell.

    An algorithm beats it if the validation score of its chosen runs, averaged over the second half of their checkpoints
    (the best of many checkpoints is above it by luck alone), is above that of the best answer that is the same for all
    examples, by more than chance: the lower end of the one-sided 95 % t-interval over the runs is above zero. Of fewer
    than `FEW` runs, of which such an interval says next to nothing, each must be above.
    """
    constant = constant_of(selection, dataset)
    if constant is None:
        return ""
    means: dict[str, tuple[float, float]] = {}
    for algorithm in selection.algorithms_on(dataset):
        late, best = _late(selection, dataset, algorithm, constant.record)
        if not len(late):
            continue
        ahead = late - best
        if (ahead > 0).all() if len(ahead) < FEW else estimate(ahead, CONFIDENCE).low > 0:
            return ""
        means[algorithm] = float(np.mean(late)), float(np.mean(best))
    if not means:
        return ""
    best_of = max(means, key=means.__getitem__)
    level, unit = number(average(constant.validation).mean, 2), selection.scale(dataset).label
    unit = unit if "_" in unit else unit[0].upper() + unit[1:]
    reached, hindsight = (number(value, 2) for value in means[best_of])
    remedy = "Train longer (--rollouts), search (--points), take another --model"
    if constant.name == MAJORITY:
        remedy += "; where classes are uneven, choose by --metric balanced-accuracy"
    if dataset.startswith(STREAMED):
        remedy = "Train longer (--steps), take another --lr or --backbone"
    return (
        f"NOTHING WAS LEARNT on {dataset}: no algorithm beats an answer that is the same for all examples on the "
        f"validation parts of the training domains. {unit}: {constant.name} {level}, the best "
        f"such answer in hindsight {hindsight}, the best algorithm, {best_of}, {reached} (mean over the second half of "
        f"training, within chance). There are no verdicts on it. {remedy}."
    )


def warnings_of(selection: Selection) -> list[str]:
    """What to say first: a sentence for each data set on which nothing was learnt."""
    return [text for dataset in selection.datasets if (text := nothing_learnt(selection, dataset))]


def _late(selection: Selection, dataset: str, algorithm: str, name: str) -> tuple[Matrix, Matrix]:
    """``[n]``, ``[n]``: validation scores of the chosen runs late in training, and of the best constant answer."""
    factor = selection.scale(dataset).factor
    pairs = []
    for _, run in selection.chosen_runs(dataset, algorithm):
        told = _figures(run).get(constant_key(name, "validation", HINDSIGHT))
        curve = run["curves"]["validation"]
        score = float(np.mean(curve[len(curve) // 2 :]))
        if told and not math.isnan(score):
            pairs.append((factor * score, factor * told[0]))
    both = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
