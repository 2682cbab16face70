"""The tables of runs: what they cost, how they were made, why they failed, what their roll-outs looked like."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

import pgrad
from benchmarks.reports.selection import Selection
from benchmarks.reports.spectra import Agreement
from benchmarks.reports.table import Table
from benchmarks.reports.text import number

MIB = 2**20

MOST_CAUSES = 40
"""Of failures, to read."""

_VARIED = ("dataset", "algorithm", "held_out", "seed", "point", "hparams")


def costs(selection: Selection) -> Table:
    """What the runs were given and what they took; means over the finished runs."""
    lines, cells = [], []
    for dataset in selection.datasets:
        for algorithm in selection.algorithms_on(dataset):
            runs = selection.of_algorithm(dataset, algorithm)
            done = [one for one in runs if one["status"] == "finished"]
            runs = [*runs, *selection.cut_of(dataset, algorithm)]
            figures = {
                "points": len({(one["config"]["algorithm"], one["config"]["point"]) for one in runs}),
                "runs": len(runs),
                "failed": sum(one["status"] == "failed" for one in runs),
                "diverged": sum(one["status"] == "diverged" for one in runs),
                "all_evaluations": sum(one.get("evaluations") or 0 for one in runs),
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
                    "evaluations of all": f"{figures['all_evaluations']:,}",
                    "gradient evaluations": number(figures["evaluations"], 0),
                    "seconds": number(figures["wall_seconds"]),
                    "CPU seconds": number(figures["cpu_seconds"]),
                    "ms per evaluation": number(_ratio(figures["wall_seconds"], figures["evaluations"], 1000.0), 2),
                    "memory, MiB": number(_ratio(figures["resident_bytes"], MIB), 0),
                    "GPU memory, MiB": number(_ratio(figures["cuda_bytes"], MIB), 0),
                }
            )
    note = (
        "Means over the finished runs of full length; points, runs and the evaluations of all count those that were "
        "cut short as well. A gradient evaluation is one forward and backward pass over one mini-batch. "
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
