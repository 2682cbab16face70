"""The tables of scores and differences."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from benchmarks.base.metrics import (
    Estimate,
    Interval,
    Matrix,
    average,
    bootstrap_interquartile_mean,
    bounded,
    columns,
    interquartile_mean,
    worst_domain,
)
from benchmarks.reports.comparisons import Comparison
from benchmarks.reports.constant import constant_of
from benchmarks.reports.normalised import normalised
from benchmarks.reports.selection import Selection
from benchmarks.reports.table import Table
from benchmarks.reports.text import between, number
from benchmarks.runs.rules import ORACLE, Rule


def _descending(value: float) -> float:
    """What to sort by: the largest first, what is not known last."""
    return math.inf if math.isnan(value) else -value


def _spread(found: Estimate) -> str:
    return f"{number(found.mean)} ± {number(found.standard_error)}"


def _scores(selection: Selection, dataset: str) -> dict[str, Matrix]:
    """``[seeds, held-out sets]`` of each algorithm, then of the predictor that looks at no input, if it is known."""
    found = {algorithm: selection.scores(dataset, algorithm) for algorithm in selection.algorithms_on(dataset)}
    constant = constant_of(selection, dataset)
    return found if constant is None else {**found, constant.name: constant.held_out}


def accuracies(selection: Selection, dataset: str) -> Table:
    """Score on every held-out set and on average."""
    lines, cells = [], []
    measures, constant = selection.measures(dataset), constant_of(selection, dataset)
    measured = {
        algorithm: {name: selection.measured(dataset, algorithm, name) for name in measures}
        for algorithm in selection.algorithms_on(dataset)
    }
    if constant is not None:
        measured[constant.name] = {name: constant.measured(name) for name in measures}
    whole, by_name = selection.whole(dataset), _scores(selection, dataset)
    for algorithm, scores in sorted(by_name.items(), key=lambda pair: _descending(average(pair[1]).mean)):
        mean, worst = (bounded(one, whole) if whole else one for one in (average(scores), worst_domain(scores)))
        domains = columns(selection.held_out(dataset), scores)
        domains = {name: bounded(one, whole) if whole else one for name, one in domains.items()}
        averages = {name: bounded(average(matrix), 100.0) for name, matrix in measured[algorithm].items()}
        for held_out, found in [*domains.items(), ("average", mean), ("worst", worst), *averages.items()]:
            figures = {"mean": found.mean, "standard_error": found.standard_error, "low": found.low, "high": found.high}
            lines.append(
                {"dataset": dataset, "algorithm": algorithm, "held_out": held_out, **figures, "seeds": found.n}
            )
        cells.append(
            {
                "algorithm": algorithm,
                **{name: _spread(found) for name, found in domains.items()},
                "average": _spread(mean),
                "95 % interval": between(mean),
                "worst domain": _spread(worst),
                **{f"{name}, %": _spread(found) for name, found in averages.items()},
                "seeds": str(mean.n),
            }
        )
    scale = selection.scale(dataset)
    note = (
        f"{scale.label[0].upper()}{scale.label[1:]} on the held-out domain, mean over seeds ± standard error; the "
        f"interval is Student's t over the seeds' averages{', on the scale of logits' if whole else ''}. Worst domain: "
        "the lowest of a seed's held-out scores, averaged over seeds."
    )
    if constant is not None:
        note += f" {constant.note}"
    title = f"{dataset}: held-out {scale.label.removesuffix(', %')}"
    return Table(f"accuracy-{dataset}", title, note, pd.DataFrame(lines), pd.DataFrame(cells))


def comparisons(
    found: Iterable[Comparison],
    name: str = "differences",
    title: str = "Paired differences",
    counted: str = "every comparison of the report",
) -> Table:
    """Differences with their tests; `counted` says what these were corrected for."""
    lines, cells = [], []
    found = list(found)
    any_constant = any(not math.isnan(one.constant) for one in found)
    any_beyond = any(not math.isnan(one.beyond.mean) for one in found)
    other_units = any(one.unit != " points" for one in found)
    for one in found:
        names = {"dataset": one.dataset, "baseline": one.baseline, "algorithm": one.algorithm}
        lines.append(
            {
                **names,
                "difference": one.difference.mean,
                "low": one.difference.low,
                "high": one.difference.high,
                "unit": one.unit.strip(),
                "bootstrap_low": one.bootstrap.low,
                "bootstrap_high": one.bootstrap.high,
                "seeds": one.difference.n,
                "seeds_won": one.won,
                "p_wilcoxon": one.p_value,
                "p_holm": one.p_holm,
                "probability_of_improvement": one.improvement,
                "improvement_low": one.improvement_interval.low,
                "improvement_high": one.improvement_interval.high,
                "verdict": one.verdict,
            }
        )
        cells.append(
            {
                "data set": one.dataset,
                "baseline": one.baseline,
                "algorithm": one.algorithm,
                "difference": number(one.difference.mean, 2, sign=True),
                "t-interval": between(one.difference, 2, sign=True),
                "bootstrap": between(one.bootstrap, 2, sign=True),
                "ahead": f"{one.won} of {one.pairs}",
                "p": number(one.p_value, 3),
                "p (Holm)": number(one.p_holm, 3),
                "P(improvement)": f"{number(one.improvement, 2)} {between(one.improvement_interval, 2)}",
                "verdict": one.verdict,
            }
        )
        if other_units:
            cells[-1]["unit"] = one.unit.strip() or "score"
        if any_beyond:
            beyond = one.beyond
            mean, further = Interval(beyond.low, beyond.high), Interval(beyond.next_low, beyond.next_high)
            lines[-1] |= {f"beyond_{name}": value for name, value in vars(beyond).items()}
            cells[-1] |= {
                "of such data sets": f"{number(beyond.mean, 2, sign=True)} {between(mean, 2, sign=True)}",
                "from set to set": number(beyond.spread, 2),
                "on one more": between(further, 2, sign=True),
            }
        if any_constant:
            lines[-1]["constant"] = one.constant
            cells[-1]["constant predictor"] = number(one.constant, 2, sign=True)
    note = (
        "Algorithm minus baseline, paired by seed and held-out domain; the seeds' averages are the sample. 95 % "
        "intervals: Student's t, and percentile bootstrap over seeds (too narrow with few seeds). p: Wilcoxon's "
        f"signed-rank test, two-sided; Holm's correction counts {counted}. P(improvement): how often a run of the "
        "algorithm beats a run of the baseline on the same domain."
    )
    if any_beyond:
        note += (
            " Over several data sets the bootstrap draws these too. Of such data sets: the mean of a hierarchical "
            "model in which the differences scatter from data set to data set, by the standard deviation beside it, "
            "with its interval of Hartung and Knapp; on one more: where the difference on a further data set lies."
        )
    if any_constant:
        note += " Constant predictor: the majority class (the mean target) of the training parts minus the baseline."
    return Table(name, title, note, pd.DataFrame(lines), pd.DataFrame(cells))


def aggregates(selection: Selection, seed: int) -> Table:
    """Interquartile mean of normalised scores, beside the plain mean and the median."""
    lines, cells = [], []
    every = [
        (dataset, algorithm, scores)
        for dataset in selection.datasets
        for algorithm, scores in _scores(selection, dataset).items()
    ]
    for place, (dataset, algorithm, scores) in enumerate(every):
        whole = scores[~np.isnan(scores).any(axis=1)]
        known = len(whole) > 0
        normal = normalised(selection, dataset, whole)
        middle = interquartile_mean(normal) if known else math.nan
        rng = np.random.default_rng([seed, 1, place])
        interval = bootstrap_interquartile_mean(normal, rng) if known else Interval(math.nan, math.nan)
        mean, median = average(scores).mean, float(np.median(whole)) if known else math.nan
        figures = {"iqm": middle, "iqm_low": interval.low, "iqm_high": interval.high, "mean": mean, "median": median}
        lines.append({"dataset": dataset, "algorithm": algorithm, **figures, "seeds": len(whole)})
        cells.append(
            {
                "data set": dataset,
                "algorithm": algorithm,
                "interquartile mean": f"{number(middle, 2, sign=True)} {between(interval, 2, sign=True)}",
                "mean": number(mean),
                "median": number(median),
            }
        )
    order = sorted(
        range(len(lines)), key=lambda i: (selection.datasets.index(lines[i]["dataset"]), _descending(lines[i]["iqm"]))
    )
    note = (
        "Over all pairs of seed and held-out domain. Interquartile mean: of scores normalised on every held-out domain "
        "(mean 0, standard deviation 1 of all its scores), with its 95 % percentile bootstrap over seeds; mean and "
        "median: of the scores as they are."
    )
    return Table(
        "aggregates",
        "Aggregates",
        note,
        pd.DataFrame([lines[i] for i in order]),
        pd.DataFrame([cells[i] for i in order]),
    )


def methods(selection: Selection) -> Table:
    """The average under every method of selection that the records allow."""
    names = selection.methods
    lines, cells = [], []
    for dataset in selection.datasets:
        every = {
            algorithm: {name: average(selection.matrix(name, dataset, algorithm)) for name in names}
            for algorithm in selection.algorithms_on(dataset)
        }
        constant = constant_of(selection, dataset)
        if constant is not None:  # there is nothing to choose
            every[constant.name] = dict.fromkeys(names, average(constant.held_out))
        for algorithm, found in every.items():
            place = {"dataset": dataset, "algorithm": algorithm}
            lines += [
                {**place, "method": name, "mean": one.mean, "standard_error": one.standard_error, "seeds": one.n}
                for name, one in found.items()
            ]
            spreads = {name + (" (cheats)" if name == ORACLE else ""): _spread(one) for name, one in found.items()}
            cells.append({"data set": dataset, "algorithm": algorithm, **spreads})
    note = "Average over the held-out domains ± standard error. " + "; ".join(
        f"{name}: {Rule.named(name).description}" for name in names
    )
    return Table(
        "selection", "The same under each method of selection", note + ".", pd.DataFrame(lines), pd.DataFrame(cells)
    )
