"""The tables of a report: the numbers for programs, and the same as text for readers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import pgrad
from benchmarks.base.metrics import (
    Estimate,
    Interval,
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
from benchmarks.reports.spectra import Agreement
from benchmarks.reports.text import between, number
from benchmarks.runs.rules import METHODS

MIB = 2**20


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Of its files.
        title, note: What it shows, and how to read it.
        numbers: One column for each number, unrounded.
        text: Cells to read.
    """

    name: str
    title: str
    note: str
    numbers: pd.DataFrame
    text: pd.DataFrame

    @property
    def headers(self) -> int:
        """How many of the first columns say what a row is about."""
        names = list(self.text.columns)
        return max([names.index(name) + 1 for name in ("data set", "baseline", "algorithm") if name in names] or [1])

    def markdown(self) -> str:
        """The title, the cells and the note."""
        body = self.text.to_markdown(index=False, disable_numparse=True)
        return f"## {self.title}\n\n{body}\n\n{self.note}\n"

    def latex(self) -> str:
        """A table for the package booktabs."""
        text = self.text.map(_latex).rename(columns=_latex)
        layout = "l" + "r" * (len(text.columns) - 1)
        body = text.to_latex(index=False, escape=False, column_format=layout)
        caption = f"{_latex(self.title)}. {_latex(self.note)}"
        return f"\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n{body}\\end{{table}}\n"


_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "±": r"$\pm$",
    "°": r"$^\circ$",
    "×": r"$\times$",
    "–": "--",
    "—": "---",
    "<": "$<$",
    ">": "$>$",
}


def _latex(cell: object) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in str(cell))


def _descending(value: float) -> float:
    """What to sort by: the largest first, what is not known last."""
    return math.inf if math.isnan(value) else -value


def _spread(found: Estimate) -> str:
    return f"{number(found.mean)} ± {number(found.standard_error)}"


def accuracies(selection: Selection, dataset: str) -> Table:
    """Score on every held-out set and on average."""
    lines, cells = [], []
    measures, constant = selection.measures(dataset), constant_of(selection, dataset)
    found_by = {
        algorithm: (
            selection.scores(dataset, algorithm),
            {name: selection.measured(dataset, algorithm, name) for name in measures},
        )
        for algorithm in selection.algorithms_on(dataset)
    }
    if constant is not None:
        found_by[constant.name] = (constant.held_out, {name: constant.measured(name) for name in measures})
    whole = selection.whole(dataset)
    for algorithm, (scores, others) in sorted(found_by.items(), key=lambda pair: _descending(average(pair[1][0]).mean)):
        mean, worst = (bounded(one, whole) if whole else one for one in (average(scores), worst_domain(scores)))
        domains = columns(selection.held_out(dataset), scores)
        domains = {name: bounded(one, whole) if whole else one for name, one in domains.items()}
        averages = {name: bounded(average(matrix), 100.0) for name, matrix in others.items()}
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


def comparisons(found: Iterable[Comparison], name: str = "differences", title: str = "Paired differences") -> Table:
    """Differences with their tests."""
    lines, cells = [], []
    found = list(found)
    any_constant = any(not math.isnan(one.constant) for one in found)
    for one in found:
        names = {"dataset": one.dataset, "baseline": one.baseline, "algorithm": one.algorithm}
        lines.append(
            {
                **names,
                "difference": one.difference.mean,
                "low": one.difference.low,
                "high": one.difference.high,
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
        if any_constant:
            lines[-1]["constant"] = one.constant
            cells[-1]["constant predictor"] = number(one.constant, 2, sign=True)
    note = (
        "Algorithm minus baseline, paired by seed and held-out domain; the seeds' averages are the sample. 95 % "
        "intervals: Student's t, and percentile bootstrap over seeds (too narrow with few seeds). p: Wilcoxon's "
        "signed-rank test, two-sided; Holm's correction counts every comparison of the report. P(improvement): how "
        "often a run of the algorithm beats a run of the baseline on the same domain."
    )
    if any_constant:
        note += " Constant predictor: the majority class (the mean target) of the training parts minus the baseline."
    return Table(name, title, note, pd.DataFrame(lines), pd.DataFrame(cells))


def aggregates(selection: Selection, seed: int) -> Table:
    """Interquartile mean of normalised scores, beside the plain mean and the median."""
    lines, cells = [], []
    for number_, (dataset, algorithm) in enumerate(
        (d, a) for d in selection.datasets for a in (*selection.algorithms_on(d), *_constants(selection, d))
    ):
        constant = constant_of(selection, dataset)
        is_constant = constant is not None and algorithm == constant.name
        scores = constant.held_out if is_constant and constant else selection.scores(dataset, algorithm)
        whole = scores[~np.isnan(scores).any(axis=1)]
        known = len(whole) > 0
        normal = normalised(selection, dataset, whole)
        middle = interquartile_mean(normal) if known else math.nan
        rng = np.random.default_rng([seed, 1, number_])
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


def _constants(selection: Selection, dataset: str) -> tuple[str, ...]:
    constant = constant_of(selection, dataset)
    return () if constant is None else (constant.name,)


def methods(selection: Selection) -> Table:
    """The average under every method of selection that the records allow."""
    names = selection.methods
    lines, cells = [], []
    for dataset in selection.datasets:
        for algorithm in selection.algorithms_on(dataset):
            cell = {"data set": dataset, "algorithm": algorithm}
            for name in names:
                found = average(selection.matrix(name, dataset, algorithm))
                figures = {"mean": found.mean, "standard_error": found.standard_error, "seeds": found.n}
                lines.append({"dataset": dataset, "algorithm": algorithm, "method": name, **figures})
                cell[name + (" (cheats)" if name == "oracle" else "")] = _spread(found)
            cells.append(cell)
        constant = constant_of(selection, dataset)
        if constant is not None:  # there is nothing to choose
            found = average(constant.held_out)
            figures = {"mean": found.mean, "standard_error": found.standard_error, "seeds": found.n}
            lines += [{"dataset": dataset, "algorithm": constant.name, "method": name, **figures} for name in names]
            labels = [name + (" (cheats)" if name == "oracle" else "") for name in names]
            cells.append({"data set": dataset, "algorithm": constant.name, **dict.fromkeys(labels, _spread(found))})
    note = "Average over the held-out domains ± standard error. " + "; ".join(
        f"{name}: {METHODS[name]}" for name in names
    )
    return Table(
        "selection", "The same under each method of selection", note + ".", pd.DataFrame(lines), pd.DataFrame(cells)
    )


def costs(selection: Selection) -> Table:
    """What the runs were given and what they took; means over the finished runs."""
    lines, cells = [], []
    for dataset in selection.datasets:
        for algorithm in selection.algorithms_on(dataset):
            runs = selection.of_algorithm(dataset, algorithm)
            done = [one for one in runs if one["status"] == "finished"]
            figures = {
                "points": len({one["config"]["point"] for one in runs}),
                "runs": len(runs),
                "failed": sum(one["status"] == "failed" for one in runs),
                "diverged": sum(one["status"] == "diverged" for one in runs),
                "evaluations": _mean(one.get("evaluations") for one in done),
                "wall_seconds": _mean((one.get("timings") or {}).get("wall_seconds") for one in done),
                "cpu_seconds": _mean((one.get("timings") or {}).get("cpu_seconds") for one in done),
                "resident_bytes": _mean((one.get("peak_memory") or {}).get("resident_bytes") for one in done),
                "cuda_bytes": _mean((one.get("peak_memory") or {}).get("cuda_bytes") for one in done),
            }
            lines.append({"dataset": dataset, "algorithm": algorithm, **figures})
            cells.append(
                {
                    "data set": dataset,
                    "algorithm": algorithm,
                    **{name: str(figures[name]) for name in ("points", "runs", "failed", "diverged")},
                    "gradient evaluations": number(figures["evaluations"], 0),
                    "seconds": number(figures["wall_seconds"]),
                    "CPU seconds": number(figures["cpu_seconds"]),
                    "ms per evaluation": number(_ratio(figures["wall_seconds"], figures["evaluations"], 1000.0), 2),
                    "memory, MiB": number(_ratio(figures["resident_bytes"], MIB), 0),
                    "GPU memory, MiB": number(_ratio(figures["cuda_bytes"], MIB), 0),
                }
            )
    note = (
        "Means over the finished runs. A gradient evaluation is one forward and backward pass over one mini-batch. "
        "Memory is the largest resident set of the worker's process up to the end of the run."
    )
    return Table("cost", "Budget and cost", note, pd.DataFrame(lines), pd.DataFrame(cells))


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else math.nan


def _ratio(value: float, by: float, factor: float = 1.0) -> float:
    return factor * value / by if by else math.nan


def settings(selection: Selection) -> Table:
    """How the runs were made."""
    lines = []
    for dataset in selection.datasets:
        config: Mapping[str, Any] = selection.of_dataset(dataset)[0]["config"]
        own = {name: value for name, value in config.items() if name not in _VARIED}
        seeds = ", ".join(map(str, selection.seeds(dataset)))
        lines.append(
            {"data set": dataset, "held out in turn": ", ".join(selection.held_out(dataset)), "seeds": seeds, **own}
        )
    frame = pd.DataFrame(lines)
    text = pd.DataFrame([{name: _shown(value) for name, value in line.items()} for line in lines]).fillna("")
    note = "A seed decides the data split, the initialisation and the order of the mini-batches."
    return Table("settings", "Settings", note, frame, text)


def _shown(value: Any) -> str:
    """A setting to read."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


_VARIED = ("dataset", "algorithm", "held_out", "seed", "point", "hparams")


def failures(selection: Selection) -> Table:
    """Every failed run; to read, one line for each cause."""
    names = ["dataset", "algorithm", "held_out", "seed", "point"]
    lines = [
        {
            **{name: record["config"][name] for name in names},
            "kind": record.get("failure", "error"),
            "attempts": len(record.get("attempts") or [1]),
            "error": record.get("error", ""),
        }
        for record in selection.failed
    ]
    causes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        causes.setdefault((line["kind"], line["error"]), []).append(line)
    cells = [
        {
            "error": error,
            "kind": kind,
            "runs": str(len(own)),
            "the first": ", ".join(f"{name.replace('_', ' ')} {own[0][name]}" for name in names),
        }
        for (kind, error), own in sorted(causes.items(), key=lambda pair: -len(pair[1]))
    ]
    note = (
        "A seed of an algorithm counts only if every held-out domain has a finished run to choose from. "
        f"{MOST_CAUSES} causes at most are shown; the file has every run."
    )
    text = pd.DataFrame(cells[:MOST_CAUSES], columns=["error", "kind", "runs", "the first"])
    return Table(
        "failures", "Failed runs", note, pd.DataFrame(lines, columns=[*names, "kind", "attempts", "error"]), text
    )


MOST_CAUSES = 40


def rollouts(found: Iterable[Agreement]) -> Table:
    """What the roll-outs looked like, beside a random walk."""
    lines = [
        {
            "dataset": one.dataset,
            "algorithm": one.algorithm,
            "steps": one.steps,
            "runs": one.runs,
            "first": one.spectrum[0],
            "first_null": float(pgrad.random_walk_spectrum(one.steps)[0]),
            "cosine": one.cosine,
            "cosine_null": one.null_cosine,
        }
        for one in found
    ]
    numbers = pd.DataFrame(lines)
    cells = [
        {
            "data set": line["dataset"],
            "algorithm": line["algorithm"],
            "steps": str(line["steps"]),
            "runs": str(line["runs"]),
            "first direction": f"{100 * line['first']:.1f} %",
            "of a random walk": f"{100 * line['first_null']:.1f} %",
            "cosine": number(line["cosine"], 3),
            "of a random walk ": number(line["cosine_null"], 3),
        }
        for line in lines
    ]
    note = (
        "Share of the first principal direction in the variance of a roll-out, and cosine of the principal gradient "
        "with theta_0 − theta_T; means over roll-outs, then over the runs. A random walk of as many steps has no "
        "direction that means anything."
    )
    return Table("rollouts", "Roll-outs", note, numbers, pd.DataFrame(cells))
