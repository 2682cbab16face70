"""The tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from benchmarks.algorithms import BASELINE, CONTROL
from benchmarks.base.metrics import Estimate, average, columns, paired_difference
from benchmarks.datasets import DATASETS
from benchmarks.reports.constant import constant_of
from benchmarks.reports.selection import Selection
from benchmarks.reports.text import between, number

AVERAGE = "average"
REFERENCES = (BASELINE, CONTROL)
NOTES = (
    "Accuracy in %, the mean over seeds; a seed sets data split, initialisation and order of the batches.",
    "± is the standard error of the average over seeds.",
    "Differences are paired by seed and held-out domain; the 95 % t-interval over the seeds' averages is in brackets.",
    "An interval speaks of other seeds on the same data, not of other domains.",
    "Validation on 20 % of the training domains chooses the point of random search and the checkpoint.",
    "Every algorithm has the same number of points, of gradient evaluations and of examples in each.",
    "The majority class of the training parts is what a model must beat that looks at its inputs.",
    "erm draws its batches from all training domains together, pgrad and reptile from one domain at a time.",
)


@dataclass(frozen=True)
class Row:
    """One algorithm on one data set: domain by domain and on average, and its difference to each reference."""

    dataset: str
    algorithm: str
    domains: dict[str, Estimate]
    average: Estimate
    differences: dict[str, Estimate]
    domain_differences: dict[str, dict[str, Estimate]]


def summarize(selection: Selection, datasets: Sequence[str], algorithms: Sequence[str]) -> list[Row]:
    """The rows of the table, data set by data set; the last one is the predictor that looks at no input."""
    rows = []
    for dataset in datasets:
        scores = {name: selection.scores(dataset, name) for name in algorithms}
        constant = constant_of(selection, dataset)
        if constant is not None:
            scores[constant.name] = constant.held_out
        for algorithm in scores:
            others = [name for name in REFERENCES if name in scores and name != algorithm]
            gaps = {name: scores[algorithm] - scores[name] for name in others}
            rows.append(
                Row(
                    dataset=dataset,
                    algorithm=algorithm,
                    domains=columns(selection.held_out(dataset), scores[algorithm]),
                    average=average(scores[algorithm]),
                    differences={name: paired_difference(scores[algorithm], scores[name]) for name in others},
                    domain_differences={name: columns(selection.held_out(dataset), gaps[name]) for name in others},
                )
            )
    return rows


def headline(rows: Iterable[Row]) -> pd.DataFrame:
    """The table to read, of one data set: text cells."""
    cells = [
        {
            "algorithm": row.algorithm,
            **{name: number(domain.mean) for name, domain in row.domains.items()},
            AVERAGE: f"{number(row.average.mean)} ± {number(row.average.standard_error)}",
            **{f"− {name} [95 %]": _difference(row.differences.get(name)) for name in REFERENCES},
        }
        for row in rows
    ]
    return pd.DataFrame(cells)


def long_table(rows: Iterable[Row]) -> pd.DataFrame:
    """All figures in percent, one line for each data set, algorithm and held-out domain or average."""
    lines = []
    for row in rows:
        for domain, level in [*row.domains.items(), (AVERAGE, row.average)]:
            line: dict[str, str | float] = {
                "dataset": row.dataset,
                "algorithm": row.algorithm,
                "held_out": domain,
                "accuracy": level.mean,
                "standard_error": level.standard_error,
                "seeds": level.n,
            }
            for name in REFERENCES:
                differences = {**row.domain_differences.get(name, {})}
                if name in row.differences:
                    differences[AVERAGE] = row.differences[name]
                if domain in differences:
                    figures = asdict(differences[domain])
                    line |= {f"minus_{name}_{key}": figures[key] for key in ("mean", "low", "high")}
            lines.append(line)
    return pd.DataFrame(lines)


def markdown(rows: Sequence[Row], failures: int, warnings: Sequence[str] = ()) -> str:
    """The tables of all data sets, with what the figures mean; what makes them worthless stands first."""
    parts = [f"**{text}**\n" for text in warnings]
    for dataset in dict.fromkeys(row.dataset for row in rows):
        table = headline(row for row in rows if row.dataset == dataset)
        body = table.to_markdown(index=False, disable_numparse=True)
        parts.append(f"## {dataset}\n\n{DATASETS[dataset].description}\n\n{body}\n")
    notes = [*NOTES, f"Failed runs: {failures}."]
    return "\n".join(parts) + "\n" + "\n".join(f"- {note}" for note in notes) + "\n"


def _difference(value: Estimate | None) -> str:
    if value is None:
        return "—"
    return "n/a" if value.n == 0 else f"{number(value.mean, sign=True)} {between(value, sign=True)}"
