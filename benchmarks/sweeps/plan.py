"""What a sweep would do, and what it would cost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.algorithms import ALGORITHMS
from benchmarks.datasets import DATASETS
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.launcher_config import InProcess

Speeds = Mapping[tuple[str, str], float]
"""(data set, algorithm) -> seconds of a gradient evaluation."""


@dataclass(frozen=True)
class Share:
    """The part of one data set and algorithm.

    Attributes:
        runs: How many.
        held_out: Different sets of held-out domains.
        evaluations: Gradient evaluations of all runs.
        updates: Updates that they pay for.
        seconds: Of one worker, from earlier records; None without any.
    """

    dataset: str
    algorithm: str
    runs: int
    held_out: int
    evaluations: int
    updates: int
    seconds: float | None


def plan(sweep: SweepConfig, speeds: Speeds | None = None) -> list[Share]:
    """The shares of a sweep, data set by data set."""
    found = []
    for first in sweep.first_runs():
        # Runs that differ in seed, point and hyper-parameters cost the same.
        n_domains = len(DATASETS[first.dataset].domains)
        sets = sweep.training_sets(first.dataset)
        alike = len(sweep.seeds) * sweep.points
        runs = [first.model_copy(update={"held_out": held_out}) for held_out in sets]
        evaluations = [run.evaluations(n_domains) for run in runs]
        cost = [ALGORITHMS[first.algorithm].evaluations(n_domains - len(run.held_out)) for run in runs]
        speed = _speed(speeds or {}, first.dataset, first.algorithm)
        found.append(
            Share(
                dataset=first.dataset,
                algorithm=first.algorithm,
                runs=alike * len(runs),
                held_out=len(runs),
                evaluations=alike * sum(evaluations),
                updates=alike * sum(total // each for total, each in zip(evaluations, cost, strict=True)),
                seconds=None if speed is None else speed * alike * sum(evaluations),
            )
        )
    return found


def number_of_workers(sweep: SweepConfig) -> int:
    """How many work on it at a time, where all can be had."""
    launcher = sweep.launcher
    if isinstance(launcher, InProcess):
        return 1
    chosen = launcher.workers or os.cpu_count() or 1
    return min(chosen, sweep.size())


def seconds_left(ahead: Iterable[Mapping[str, Any]], speeds: Speeds, workers: int) -> float | None:
    """Seconds until the sweep is done, if every run takes as long as those before; None if there were none.

    Args:
        ahead: Rows with ``dataset``, ``algorithm``, ``status`` and ``evaluations``; running ones count half.
        speeds: Of earlier runs.
        workers: At work.
    """
    total = 0.0
    for row in ahead:
        speed = _speed(speeds, row["dataset"], row["algorithm"])
        if speed is None:
            return None
        total += speed * (row["evaluations"] or 0) * (0.5 if row["status"] == "running" else 1.0)
    return total / workers


def _speed(speeds: Speeds, dataset: str, algorithm: str) -> float | None:
    """Of this algorithm on this data set; if it is new there, the mean of the others."""
    if (dataset, algorithm) in speeds:
        return speeds[dataset, algorithm]
    others = [speed for (where, _), speed in speeds.items() if where == dataset]
    return sum(others) / len(others) if others else None


def duration(seconds: float) -> str:
    """Seconds to read.

    Example:
        >>> duration(42.4), duration(330), duration(9000)
        ('42 s', '6 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
