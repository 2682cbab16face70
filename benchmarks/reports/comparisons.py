"""Every algorithm against every baseline: paired differences, tests corrected for their number, verdicts in words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.base.metrics import (
    Estimate,
    Interval,
    bootstrap_improvement,
    bootstrap_mean,
    columns,
    estimate,
    holm,
    paired_difference,
    probability_of_improvement,
    wilcoxon,
)
from benchmarks.reports.constant import Constant, constant_of, nothing_learnt
from benchmarks.reports.names import control_of
from benchmarks.reports.selection import Selection, differences
from benchmarks.reports.text import number

LEVEL = 0.05
"""Of the corrected tests."""


@dataclass(frozen=True)
class Comparison:
    """An algorithm against a baseline on one data set, over the seeds that are complete on both sides.

    Attributes:
        difference: Algorithm minus baseline, averaged over the held-out sets, with its t-interval over seeds.
        domains: The same on each held-out set.
        bootstrap: Paired bootstrap interval of the difference.
        won: Seeds on which the algorithm is ahead.
        p_value: Of Wilcoxon's signed-rank test over seeds.
        p_holm: Corrected for all comparisons of the report.
        improvement: Probability of improvement.
        improvement_interval: Its bootstrap interval.
        unit: Of the difference.
        constant: The predictor that looks at no input, minus the baseline; NaN where the records do not tell.
        learnt: Whether any algorithm beats that predictor on the validation parts; without that there is no verdict.
    """

    dataset: str
    algorithm: str
    baseline: str
    difference: Estimate
    domains: dict[str, Estimate]
    bootstrap: Interval
    won: int
    p_value: float
    improvement: float
    improvement_interval: Interval
    unit: str
    constant: float = math.nan
    learnt: bool = True
    p_holm: float = math.nan

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` (corrected test), ``leans better``, ``leans worse`` (interval alone), ``no difference
        shown`` or ``cannot tell`` (fewer than two seeds); ``none`` where nothing was learnt."""
        if not self.learnt:
            return "none"
        if self.difference.n < 2:
            return "cannot tell"
        way = "better" if self.difference.mean > 0 else "worse"
        if self.p_holm < LEVEL:
            return way
        return f"leans {way}" if self.difference.low > 0 or self.difference.high < 0 else "no difference shown"

    @property
    def who(self) -> str:
        """What is compared with what, where."""
        return f"{self.algorithm} against {self.baseline} on {self.dataset}"

    @property
    def figures(self) -> str:
        """What the verdict rests on, in words."""
        found, n = self.difference, self.difference.n
        if n == 0:
            return "No seed is complete on both sides."
        mean = f"Difference {number(found.mean, 2, sign=True)}{self.unit}"
        if n == 1:
            return f"{mean} on a single seed, which has no interval."
        low, high = number(found.low, 2, sign=True), number(found.high, 2, sign=True)
        return (
            f"{mean}, 95 % interval {low} to {high}, {n} seeds, ahead on {self.won}; p = {self.p_value:.3f}, "
            f"{self.p_holm:.3f} after correction."
        )

    @property
    def sentence(self) -> str:
        """The verdict with its figures."""
        return f"{self.who}: {self.verdict}. {self.figures}"


def compare(selection: Selection, seed: int) -> list[Comparison]:
    """With the baselines; the same seed gives the same bootstrap."""
    pairs = [
        (dataset, algorithm, baseline)
        for baseline in selection.baselines
        for dataset in selection.datasets
        for algorithm in selection.rivals(dataset, baseline)
    ]
    return _all(selection, pairs, [seed])


def compare_with_controls(selection: Selection, seed: int) -> list[Comparison]:
    """Every algorithm with the one that its registry entry names as the same in everything but one thing."""
    pairs = [
        (dataset, algorithm, control_of(algorithm))
        for dataset in selection.datasets
        for algorithm in selection.algorithms_on(dataset)
        if control_of(algorithm) in selection.algorithms_on(dataset)
    ]
    return _all(selection, pairs, [seed, 2])


def _all(selection: Selection, pairs: Sequence[tuple[str, str, str]], seeds: list[int]) -> list[Comparison]:
    known = {name: (constant_of(selection, name), not nothing_learnt(selection, name)) for name, _, _ in pairs}
    found = [
        _compare(selection, *names, np.random.default_rng([*seeds, number]), *known[names[0]])
        for number, names in enumerate(pairs)
    ]
    corrected = holm([one.p_value for one in found])
    return [dataclasses.replace(one, p_holm=float(p)) for one, p in zip(found, corrected, strict=True)]


def _compare(
    selection: Selection,
    dataset: str,
    algorithm: str,
    baseline: str,
    rng: np.random.Generator,
    constant: Constant | None,
    learnt: bool,
) -> Comparison:
    ours, theirs = selection.common(dataset, algorithm, baseline)
    base = selection.scores(dataset, baseline)
    paired = differences(ours, theirs)
    nothing = Interval(math.nan, math.nan)
    return Comparison(
        dataset=dataset,
        algorithm=algorithm,
        baseline=baseline,
        difference=estimate(paired),
        domains=columns(selection.held_out(dataset), selection.scores(dataset, algorithm) - base),
        bootstrap=bootstrap_mean(paired, rng),
        won=int((paired > 0).sum()),
        p_value=wilcoxon(paired, rng) if len(paired) > 1 else math.nan,
        improvement=probability_of_improvement(ours, theirs) if len(paired) else math.nan,
        improvement_interval=bootstrap_improvement(ours, theirs, rng) if len(paired) else nothing,
        unit=" points" if selection.scale(dataset).label.endswith("%") else "",
        constant=math.nan if constant is None else paired_difference(constant.held_out, base).mean,
        learnt=learnt,
    )
