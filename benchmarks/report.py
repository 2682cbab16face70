"""Tables of a comparison, from its records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

import pgrad
from benchmarks.algorithms import BASELINE, CONTROL
from benchmarks.datasets import DATASETS
from benchmarks.metrics import Estimate, Matrix, average, estimate, paired_difference
from benchmarks.protocol import select

AVERAGE = "average"
REFERENCES = (BASELINE, CONTROL)
NOTES = (
    "Accuracy in %, the mean over seeds; a seed sets data split, initialisation and order of the batches.",
    "± is the standard error of the average over seeds.",
    "Differences are paired by seed and held-out domain; the 95 % t-interval over the seeds' averages is in brackets.",
    "An interval speaks of other seeds on the same data, not of other domains.",
    "Validation on 20 % of the training domains chooses the point of random search and the checkpoint.",
    "Every algorithm has the same number of points, of gradient evaluations and of examples in each.",
    "erm draws its batches from all training domains together, pgrad and reptile from one domain at a time.",
)


def selections(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """What validation chose: one row for each data set, algorithm, held-out domain and seed."""
    groups: dict[tuple[str, str, str, int], list[Mapping[str, Any]]] = {}
    for record in records:
        config = record["config"]
        group = (config["dataset"], config["algorithm"], config["held_out"], config["seed"])
        groups.setdefault(group, []).append(record)
    rows = []
    for (dataset, algorithm, held_out, seed), members in groups.items():
        selected = select(members)
        if selected is not None:
            rows.append(
                {
                    "dataset": dataset,
                    "algorithm": algorithm,
                    "held_out": held_out,
                    "seed": seed,
                    "point": selected.point,
                    "step": selected.step,
                    "validation_accuracy": selected.validation,
                    "held_out_accuracy": selected.held_out,
                }
            )
    return pd.DataFrame(
        rows,
        columns=[
            *("dataset", "algorithm", "held_out", "seed", "point", "step"),
            *("validation_accuracy", "held_out_accuracy"),
        ],
    )


def score_matrix(selected: pd.DataFrame, dataset: str, algorithm: str, seeds: int) -> Matrix:
    """``[seeds, held-out domains]``, in percent; NaN where no run finished."""
    rows = selected[(selected["dataset"] == dataset) & (selected["algorithm"] == algorithm)]
    table = rows.pivot_table(index="seed", columns="held_out", values="held_out_accuracy")
    table = table.reindex(index=range(seeds), columns=list(DATASETS[dataset].domains))
    return 100 * np.asarray(table, dtype=np.float64)


@dataclass(frozen=True)
class Row:
    """One algorithm on one data set: domain by domain and on average, and its difference to each reference."""

    dataset: str
    algorithm: str
    domains: dict[str, Estimate]
    average: Estimate
    differences: dict[str, Estimate]
    domain_differences: dict[str, dict[str, Estimate]]


def summarize(selected: pd.DataFrame, datasets: Sequence[str], algorithms: Sequence[str], seeds: int) -> list[Row]:
    """The rows of the table, data set by data set."""
    rows = []
    for dataset in datasets:
        names = DATASETS[dataset].domains
        scores = {name: score_matrix(selected, dataset, name, seeds) for name in algorithms}
        for algorithm in algorithms:
            others = [name for name in REFERENCES if name in scores and name != algorithm]
            rows.append(
                Row(
                    dataset=dataset,
                    algorithm=algorithm,
                    domains=_by_domain(names, scores[algorithm]),
                    average=average(scores[algorithm]),
                    differences={name: paired_difference(scores[algorithm], scores[name]) for name in others},
                    domain_differences={name: _by_domain(names, scores[algorithm] - scores[name]) for name in others},
                )
            )
    return rows


def _by_domain(names: Sequence[str], scores: Matrix) -> dict[str, Estimate]:
    columns = {name: scores[:, i] for i, name in enumerate(names)}
    return {name: estimate(column[~np.isnan(column)]) for name, column in columns.items()}


def headline(rows: Iterable[Row]) -> pd.DataFrame:
    """The table to read, of one data set: text cells."""
    cells = [
        {
            "algorithm": row.algorithm,
            **{name: _number(domain.mean) for name, domain in row.domains.items()},
            AVERAGE: f"{_number(row.average.mean)} ± {_number(row.average.standard_error)}",
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


def markdown(rows: Sequence[Row], failures: int) -> str:
    """The tables of all data sets, with what the figures mean."""
    parts = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        table = headline(row for row in rows if row.dataset == dataset)
        body = table.to_markdown(index=False, disable_numparse=True)
        parts.append(f"## {dataset}\n\n{DATASETS[dataset].description}\n\n{body}\n")
    notes = [*NOTES, f"Failed runs: {failures}."]
    return "\n".join(parts) + "\n" + "\n".join(f"- {note}" for note in notes) + "\n"


def mean_spectra(records: Iterable[Mapping[str, Any]], dataset: str) -> dict[str, Matrix]:
    """Explained-variance ratios ``[T]`` by algorithm: the mean over all roll-outs of its runs with default settings."""
    found = _diagnostics(records, dataset, "explained_variance_ratio")
    return {name: np.mean(np.array(values), axis=0) for name, values in found.items()}


def rollout_summary(records: Iterable[Mapping[str, Any]], dataset: str) -> str:
    """The first component against the random walk, and the cosine of g with theta_0 - theta_T; empty without any."""
    records = list(records)
    cosines = _diagnostics(records, dataset, "cosine")
    lines = []
    for name, spectrum in mean_spectra(records, dataset).items():
        null = float(pgrad.random_walk_spectrum(len(spectrum))[0])
        lines.append(
            f"{dataset}, {name}, roll-outs of {len(spectrum)} steps: first component {spectrum[0]:.1%} of the variance "
            f"(random walk {null:.1%}), cosine of g with theta_0 - theta_T {np.mean(cosines[name]):.3f}"
        )
    return "\n".join(lines)


def _diagnostics(records: Iterable[Mapping[str, Any]], dataset: str, key: str) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for record in records:
        config = record["config"]
        value = record.get("diagnostics", {}).get(key)
        if value is not None and config["dataset"] == dataset and config["point"] == 0:
            found.setdefault(config["algorithm"], []).append(value)
    return found


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.1f}"


def _difference(value: Estimate | None) -> str:
    if value is None:
        return "—"
    if value.n == 0:
        return "n/a"
    return f"{value.mean:+.1f} " + ("[n/a]" if value.n == 1 else f"[{value.low:+.1f}, {value.high:+.1f}]")
