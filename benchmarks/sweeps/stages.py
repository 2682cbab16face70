"""Runs of a sweep that follow from the results of its earlier ones: rounds of the search, widened ones, then refits.

A stage is a sweep of its own in the store, so that it is claimed, killed and gone on with like any other. It holds no
state: which runs it has follows from the records of the stages before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from benchmarks.base.records import SEPARATOR
from benchmarks.datasets import DATASETS
from benchmarks.runs.config import RunConfig
from benchmarks.runs.costs import Cost, cost
from benchmarks.runs.refit import refits
from benchmarks.runs.rules import ORACLE, Rule
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.edges import widening
from benchmarks.sweeps.searching import searched
from benchmarks.sweeps.selected import Kept, SelectedRuns, key_of

Kind = Literal["searched", "widened", "refit"]


class Stage(SelectedRuns):
    """A later stage of a sweep.

    Attributes:
        stage: What it does.
        of: Key of the sweep.
    """

    stage: Kind
    of: str
    selected: tuple[RunConfig, ...] = Field(min_length=1)

    def key(self, kept: Kept | None = None) -> str:  # noqa: ARG002  nothing is drawn
        """A short name of the stage and its runs, never that of the same runs chosen by hand."""
        return key_of([self.stage, self.of, *(run.key() for run in self.selected)])


def has_stages(sweep: SweepConfig) -> bool:
    """Whether runs may follow from the results of others."""
    return bool(sweep.search.in_rounds or sweep.widen or sweep.refitted())


def next_stage(sweep: SweepConfig, records: Sequence[Mapping[str, Any]]) -> Stage | None:
    """The stage that comes next, when all runs of the sweep and of the stages before have ended; None after the last.

    Args:
        sweep: The whole.
        records: Of all runs that have ended.
    """
    runs = searched(sweep, records)
    if runs:
        return _stage(sweep, "searched", runs)
    done = {record["key"] for record in records}
    runs = widening(sweep, [record for record in records if record["config"].get("refit") is None])
    if runs:
        return _stage(sweep, "widened", runs)
    runs = chosen_again(sweep, records)
    return _stage(sweep, "refit", runs) if {run.key() for run in runs} - done else None


def chosen_again(sweep: SweepConfig, records: Sequence[Mapping[str, Any]]) -> list[RunConfig]:
    """The refits that a sweep asks for."""
    names = sweep.refitted()
    if not names:
        return []
    reported = {dataset: map(frozenset, sweep.held_out(dataset)) for dataset in sweep.datasets}
    return refits(records, sweep.selection, reported, names, sweep.families)


def _stage(sweep: SweepConfig, stage: Kind, runs: Sequence[RunConfig]) -> Stage:
    return Stage(
        datasets=tuple(dict.fromkeys(run.dataset for run in runs)),
        stage=stage,
        of=sweep.key(),
        selected=tuple(runs),
        launcher=sweep.launcher,
        plugins=sweep.plugins,
        outputs=sweep.outputs,
        max_attempts=sweep.max_attempts,
    )


def costs(sweep: SweepConfig) -> list[Cost]:
    """What each rule of a sweep pays for, before anything is widened."""
    runs = sweep.runs()
    reported = [(dataset, SEPARATOR.join(names)) for dataset in sweep.datasets for names in sweep.held_out(dataset)]
    found = []
    for rule in map(Rule.named, sweep.selection):
        points = sweep.cross_points or sweep.points if rule.crossed else sweep.points
        own = [(run.dataset, SEPARATOR.join(run.held_out), run.budget()) for run in runs if run.point < points]
        found.append(cost(rule, own, reported))
    return found


@dataclass(frozen=True)
class Most:
    """What the refits of a sweep may cost: how much shorter they are, and how many coincide, the search decides."""

    runs: int
    evaluations: int

    @property
    def sentence(self) -> str:
        """To read; empty where there are none."""
        if not self.runs:
            return ""
        return (
            f"at most {self.runs:,} more runs and {self.evaluations:,} gradient evaluations; the search decides how "
            "short they are, and rules that choose alike share them"
        )


def most_refits(sweep: SweepConfig) -> Most:
    """At most so many runs and gradient evaluations."""
    rules = sum(Rule.named(name).method != ORACLE for name in sweep.selection)
    names = set(sweep.refitted())
    # What a family chooses, one of its algorithms has chosen by itself.
    names -= {family for family, members in sweep.families.items() if names >= set(members)}
    times = rules * len(names) * len(sweep.seeds)
    runs = evaluations = 0
    for dataset in sweep.datasets:
        settings = sweep.of_dataset(dataset)
        for held_out in sweep.held_out(dataset):
            n_domains = len(DATASETS[dataset].domains) - len(held_out)
            runs += times
            evaluations += times * settings.rollouts * settings.splits * n_domains
    return Most(runs, evaluations)
