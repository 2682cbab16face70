"""Every algorithm against every baseline: paired differences, tests corrected for their number, verdicts in words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.base.hierarchical import NOTHING, Hierarchical, hierarchical
from benchmarks.base.metrics import (
    Estimate,
    Interval,
    average,
    bootstrap_data_sets,
    bootstrap_improvement,
    bootstrap_mean,
    estimate,
    holm,
    mean_of_means,
    paired_difference,
    probability_of_improvement,
    wilcoxon_of_many,
)
from benchmarks.reports.constant import Constant, constant_of, nothing_learnt
from benchmarks.reports.evidence import LEVEL
from benchmarks.reports.names import control_of
from benchmarks.reports.selection import Selection, differences
from benchmarks.reports.text import number

OVERALL = "all data sets"
"""What stands for the data set where a comparison is over several."""


@dataclass(frozen=True)
class Comparison:
    """An algorithm against a baseline on one data set, over the seeds that are complete on both sides.

    Attributes:
        difference: Algorithm minus baseline, averaged over the held-out sets, with its t-interval over seeds.
        domains: Its mean on each held-out set; over several data sets, on each of them.
        bootstrap: Paired bootstrap interval of the difference, over seeds; over several data sets, over these as well.
        won: Pairs in which the algorithm is ahead.
        pairs: That the test is made on: seeds, of each data set.
        p_value: Of Wilcoxon's signed-rank test over seeds.
        improvement: Probability of improvement.
        improvement_interval: Its bootstrap interval.
        unit: Of the difference.
        constant: The predictor that looks at no input, minus the baseline; NaN where the records do not tell.
        learnt: Whether any algorithm beats that predictor on the validation parts; without that there is no verdict.
        p_holm: `p_value` corrected for all comparisons with which it stands.
        paired: The differences of the seeds; none over several data sets.
        beyond: Over several data sets, what they say of others like them.
    """

    dataset: str
    algorithm: str
    baseline: str
    difference: Estimate
    domains: dict[str, float]
    bootstrap: Interval
    won: int
    pairs: int
    p_value: float
    improvement: float
    improvement_interval: Interval
    unit: str
    constant: float = math.nan
    learnt: bool = True
    p_holm: float = math.nan
    paired: tuple[float, ...] = ()
    beyond: Hierarchical = NOTHING

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
    def rank(self) -> int:
        """What to sort by: verdicts first, then what leans, then the rest."""
        order = {"better": 0, "worse": 0, "leans better": 1, "leans worse": 1}
        return order.get(self.verdict, 2)

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
        seeds = f"{n} seeds" if self.dataset != OVERALL else f"{self.pairs} pairs of data set and seed"
        return (
            f"{mean}, 95 % interval {low} to {high}, {seeds}, ahead on {self.won}; p = {self.p_value:.3f}, "
            f"{self.p_holm:.3f} after correction."
        )

    @property
    def sentence(self) -> str:
        """The verdict with its figures."""
        return f"{self.who}: {self.verdict}. {self.figures}"


def compare(selection: Selection, seed: int, pairs: Sequence[tuple[str, str]] | None = None) -> list[Comparison]:
    """All that the report compares, each pair once: with the baselines, then with controls that are none of them.

    The tests are corrected for all of them together; the same seed gives the same bootstrap.

    Args:
        selection: What the report is about.
        seed: Of the bootstrap.
        pairs: Algorithms and baselines to compare instead, on every data set that has both.
    """
    places = _pairs(selection) if pairs is None else _everywhere(selection, pairs)
    known = {name: (constant_of(selection, name), not nothing_learnt(selection, name)) for name in selection.datasets}
    found = [
        _compare(selection, *names, np.random.default_rng([seed, number]), *known[names[0]])
        for number, names in enumerate(places)
    ]
    return corrected(_tested(found, np.random.default_rng([seed, 4])))


def _tested(found: Sequence[Comparison], rng: np.random.Generator) -> list[Comparison]:
    """With p-values and bootstrap intervals, those of equally many seeds together: the same seeds are drawn for all."""
    done = list(found)
    for n in sorted({one.pairs for one in found} - {0, 1}):
        places = [i for i, one in enumerate(found) if one.pairs == n]
        paired = np.array([found[i].paired for i in places]).T
        intervals, p_values = bootstrap_mean(paired, rng), wilcoxon_of_many(paired, rng)
        for i, low, high, p in zip(places, intervals.low, intervals.high, p_values, strict=True):
            done[i] = dataclasses.replace(found[i], bootstrap=Interval(float(low), float(high)), p_value=float(p))
    return done


def compare_overall(selection: Selection, found: Sequence[Comparison], seed: int) -> list[Comparison]:
    """The pairs of `found` that stand on several data sets, over all of them; corrected for one another.

    Where all scores are in % the mean is that of the data sets' points; else each data set's differences are divided by
    the spread of its algorithms first.
    """
    together: dict[tuple[str, str], list[Comparison]] = {}
    for one in found:
        if one.learnt and one.difference.n:
            together.setdefault((one.algorithm, one.baseline), []).append(one)
    most = max(map(len, together.values()), default=0)
    if most < 2:
        return []
    points = all(one.unit for one in found)
    spreads = {} if points else _spreads(selection)
    groups: dict[tuple[int, ...], list[list[Comparison]]] = {}
    for own in together.values():
        if len(own) == most:
            groups.setdefault(tuple(one.pairs for one in own), []).append(own)
    made = []
    for group in groups.values():
        made += _over_all(group, points, spreads, np.random.default_rng([seed, 3, *(one.pairs for one in group[0])]))
    return corrected(made)


def corrected(found: Sequence[Comparison], named: int = 0) -> list[Comparison]:
    """With p-values corrected for their number by Holm's method.

    Args:
        found: The comparisons.
        named: How many there were to be, if more: those that are missing count as p = 1.
    """
    p_values = [one.p_value for one in found] + [1.0] * (named - len(found))
    return [
        dataclasses.replace(one, p_holm=float(p)) for one, p in zip(found, holm(p_values)[: len(found)], strict=True)
    ]


def against_controls(found: Sequence[Comparison]) -> list[Comparison]:
    """Those with the algorithm that the registry names as the same in everything but one thing."""
    return [one for one in found if one.baseline == control_of(one.algorithm)]


def _pairs(selection: Selection) -> list[tuple[str, str, str]]:
    pairs = [
        (dataset, algorithm, baseline)
        for baseline in selection.baselines
        for dataset in selection.datasets
        for algorithm in selection.rivals(dataset, baseline)
    ]
    known = {(dataset, frozenset(pair)) for dataset, *pair in pairs}
    for dataset in selection.datasets:
        for algorithm in selection.algorithms_on(dataset):
            control = control_of(algorithm)
            if control in selection.algorithms_on(dataset) and (dataset, frozenset((algorithm, control))) not in known:
                pairs.append((dataset, algorithm, control))
                known.add((dataset, frozenset((algorithm, control))))
    return pairs


def _everywhere(selection: Selection, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [
        (dataset, *pair)
        for pair in pairs
        for dataset in selection.datasets
        if set(pair) <= set(selection.algorithms_on(dataset))
    ]


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
    apart = selection.scores(dataset, algorithm) - base
    known = np.asarray(~np.isnan(apart).all(axis=0))
    domains = dict(zip(selection.held_out(dataset), np.full(len(known), math.nan), strict=True))
    means = np.nanmean(apart[:, known], axis=0).tolist()
    domains |= dict(zip((name for name, there in zip(domains, known, strict=True) if there), means, strict=True))
    return Comparison(
        dataset=dataset,
        algorithm=algorithm,
        baseline=baseline,
        difference=estimate(paired),
        domains=domains,
        bootstrap=nothing,
        won=int((paired > 0).sum()),
        pairs=len(paired),
        p_value=math.nan,
        improvement=probability_of_improvement(ours, theirs) if len(paired) else math.nan,
        improvement_interval=bootstrap_improvement(ours, theirs, rng) if len(paired) else nothing,
        unit=" points" if selection.scale(dataset).label.endswith("%") else "",
        constant=math.nan if constant is None else paired_difference(constant.held_out, base).mean,
        learnt=learnt,
        paired=tuple(paired.tolist()),
    )


def _over_all(
    group: Sequence[Sequence[Comparison]], points: bool, spreads: dict[str, float], rng: np.random.Generator
) -> list[Comparison]:
    """Pairs of algorithms that have equally many seeds on each of the data sets."""

    def scaled(one: Comparison, value: float) -> float:
        return value if points else value / spreads[one.dataset]

    by_set = [  # [seeds, pairs of algorithms] for each data set
        np.array([[scaled(one, value) for value in one.paired] for one in lines]).T
        for lines in zip(*group, strict=True)
    ]
    # For the ranks every data set weighs the same; its size depends on no sign, so that the test stays exact.
    sizes = [np.sqrt(np.mean(own**2, axis=0)) for own in by_set]
    ranked = np.concatenate([own / np.where(size > 0, size, 1.0) for own, size in zip(by_set, sizes, strict=True)])
    pairs, intervals = len(ranked), bootstrap_data_sets(by_set, rng)
    p_values = wilcoxon_of_many(ranked, rng) if pairs > 1 else np.full(len(group), math.nan)
    return [
        Comparison(
            dataset=OVERALL,
            algorithm=own[0].algorithm,
            baseline=own[0].baseline,
            difference=mean_of_means([values[:, i] for values in by_set]),
            domains={one.dataset: scaled(one, one.difference.mean) for one in own},
            bootstrap=Interval(float(low), float(high)),
            won=int((ranked[:, i] > 0).sum()),
            pairs=pairs,
            p_value=float(p),
            improvement=float(np.mean([one.improvement for one in own])),
            improvement_interval=Interval(math.nan, math.nan),
            unit=" points" if points else " standard deviations between algorithms",
            constant=float(np.mean([scaled(one, one.constant) for one in own])),
            beyond=hierarchical([values[:, i] for values in by_set]),
        )
        for i, (own, low, high, p) in enumerate(zip(group, intervals.low, intervals.high, p_values, strict=True))
    ]


def _spreads(selection: Selection) -> dict[str, float]:
    """The standard deviation between the averages of the algorithms on each data set."""
    found = {}
    for dataset in selection.datasets:
        means = [average(selection.scores(dataset, name)).mean for name in selection.algorithms_on(dataset)]
        known = np.array([mean for mean in means if not math.isnan(mean)])
        found[dataset] = (float(np.std(known, ddof=1)) if len(known) > 1 else 0.0) or 1.0
    return found
