"""What a sweep would do, and what it would cost."""

from __future__ import annotations

import os
from dataclasses import dataclass

from benchmarks.algorithms import ALGORITHMS
from benchmarks.datasets import DATASETS
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.launcher_config import InProcess
from benchmarks.sweeps.left import Speeds, duration, seconds_left, speed_of

__all__ = ["Share", "Speeds", "duration", "number_of_workers", "plan", "seconds_left"]


@dataclass(frozen=True)
class Share:
    """The part of one data set and algorithm.

    Attributes:
        runs: How many, those that follow from the results of others too.
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
        planned = _planned(sweep, first.dataset)
        alike = [len(sweep.seeds) * number for _, _, number in planned]
        runs = [first.model_copy(update={"held_out": names, "until": until}) for names, until, _ in planned]
        evaluations = [run.evaluations(n_domains) for run in runs]
        total = sum(times * each for times, each in zip(alike, evaluations, strict=True))
        cost = [ALGORITHMS[first.algorithm].evaluations(n_domains - len(run.held_out)) for run in runs]
        speed = speed_of(speeds or {}, first.dataset, first.algorithm)
        found.append(
            Share(
                dataset=first.dataset,
                algorithm=first.algorithm,
                runs=sum(alike),
                held_out=len({names for names, _, _ in planned}),
                evaluations=total,
                updates=sum(times * (own // each) for times, own, each in zip(alike, evaluations, cost, strict=True)),
                seconds=None if speed is None else speed * total,
            )
        )
    return found


def _planned(sweep: SweepConfig, dataset: str) -> list[tuple[tuple[str, ...], int | None, int]]:
    """Held-out sets, the length of runs that are cut short, and how many points have such runs."""
    if not sweep.search.in_rounds:
        return [(names, None, number) for names, number in sweep.points_of(dataset).items()]
    full = sweep.of_dataset(dataset).rollouts
    return [
        (names, None if length == full else length, number)
        for names in sweep.held_out(dataset)
        for each in sweep.rounds(dataset)
        for length, number in zip(each.lengths, each.numbers, strict=True)
    ]


def number_of_workers(sweep: SweepConfig) -> int:
    """How many work on it at a time, where all can be had."""
    launcher = sweep.launcher
    if isinstance(launcher, InProcess):
        return 1
    chosen = launcher.workers or os.cpu_count() or 1
    return min(chosen, sweep.size())
