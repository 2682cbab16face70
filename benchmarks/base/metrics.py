"""Figures of merit and their intervals: pure functions.

``scores`` is a matrix ``[seeds, held-out domains]``. The unit of repetition is the *seed* (data split, initialisation,
order): accuracies of different held-out domains under one seed are averaged first, and the interval is taken over those
averages. A seed with a missing entry (NaN: its runs failed) is left out as a whole, so that a difference is always
taken between the same seeds and domains.

The intervals are Student's t-intervals of scipy, or bootstrap intervals that resample whole seeds. They describe other
seeds on the same data, not other data. Whatever is random takes an explicit ``numpy.random.Generator``.

A metric of a data set takes what the model says and the labels, and is the larger the better.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats
from sklearn.metrics import f1_score
from torch import Tensor

Matrix = NDArray[np.float64]

RESAMPLES = 9999
"""Of every bootstrap."""


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The fraction of examples whose largest logit is that of the label."""
    return (logits.argmax(dim=1) == labels).double().mean().item()


def macro_f1(logits: Tensor, labels: Tensor) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN); classes that neither occur nor are predicted are left out.

    Example:
        >>> macro_f1(torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 1, 1]))
        0.6666666666666666
    """
    return float(f1_score(labels.cpu().numpy(), logits.argmax(dim=1).cpu().numpy(), average="macro", zero_division=0.0))


def balanced_accuracy(logits: Tensor, labels: Tensor) -> float:
    """The mean over the classes that occur of the fraction of their examples that the largest logit is right about.

    Example:
        >>> balanced_accuracy(torch.tensor([[2.0, 0.0], [1.0, 0.0], [3.0, 0.0]]), torch.tensor([0, 0, 1]))
        0.5
    """
    # scikit-learn's own takes thirty times as long, and every checkpoint asks for it on every domain.
    counts = torch.bincount(labels)
    right = torch.bincount(labels[logits.argmax(dim=1) == labels], minlength=len(counts))
    return (right.double() / counts)[counts > 0].mean().item()


def worst_group(
    outputs: Tensor, labels: Tensor, groups: Tensor, metric: Callable[[Tensor, Tensor], float] = accuracy
) -> float:
    """The smallest value of a metric over the groups; ``groups`` ``[n]`` holds their numbers.

    Example:
        >>> logits, labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1, 1])
        >>> worst_group(logits, labels, groups=torch.tensor([7, 7, 2]))
        0.5
    """
    if not len(outputs) == len(labels) == len(groups) > 0:
        raise ValueError(
            "outputs, labels and groups must have the same number of examples, one at least, got "
            f"{len(outputs)}, {len(labels)} and {len(groups)}"
        )
    return min(metric(outputs[groups == group], labels[groups == group]) for group in torch.unique(groups))


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` seeds with its standard error and 95 % interval; NaN where ``n`` is too small to tell."""

    mean: float
    standard_error: float
    low: float
    high: float
    n: int


def estimate(values: Matrix, confidence: float = 0.95) -> Estimate:
    """The mean of ``values`` ``[n]``, its standard error and its t-interval.

    Equal values have the interval that consists of their mean.
    """
    n = len(values)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), float("nan"), 0)
    mean = float(np.mean(values))
    if n == 1:
        return Estimate(mean, float("nan"), float("nan"), float("nan"), 1)
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    if error == 0.0:
        return Estimate(mean, 0.0, mean, mean, n)
    reach = _reach(n - 1, confidence) * error
    return Estimate(mean, error, mean - reach, mean + reach, n)


@functools.lru_cache(maxsize=1024)
def _reach(freedom: float, confidence: float) -> float:
    """Half of a t-interval, in standard errors."""
    return float(special.stdtrit(freedom, 0.5 + confidence / 2))


def seed_averages(scores: Matrix) -> Matrix:
    """The average over the held-out domains of every seed that has them all: ``[seeds, domains] -> [n]``."""
    return np.asarray(scores[~np.isnan(scores).any(axis=1)].mean(axis=1))


def average(scores: Matrix) -> Estimate:
    """The average over held-out domains, with its spread over seeds."""
    return estimate(seed_averages(scores))


def paired_difference(scores: Matrix, baseline: Matrix) -> Estimate:
    """The mean of ``scores - baseline``, paired by seed and held-out domain."""
    if scores.shape != baseline.shape:
        raise ValueError(
            f"scores and baseline must hold the same seeds and domains, got shapes {scores.shape} and {baseline.shape}"
        )
    return estimate(seed_averages(scores - baseline))


def columns(names: Sequence[str], scores: Matrix) -> dict[str, Estimate]:
    """An estimate for each held-out domain, over the seeds that have it."""
    return {name: estimate(scores[~np.isnan(scores[:, i]), i]) for i, name in enumerate(names)}


def worst_domain(scores: Matrix) -> Estimate:
    """The lowest score among the held-out domains of a seed, and its mean over seeds."""
    return estimate(scores[~np.isnan(scores).any(axis=1)].min(axis=1, initial=np.inf))


# --- against a baseline


def wilcoxon(differences: Matrix, rng: np.random.Generator) -> float:
    """The two-sided p-value of Wilcoxon's signed-rank test on paired differences ``[n]``, one for each seed.

    Exact, or over random signs where ties or zeros forbid that and n is large. It cannot be below 2^(1-n).
    """
    if len(differences) == 0:
        return float("nan")
    if not np.any(differences):
        return 1.0
    ranks = np.unique(np.abs(differences))
    exact = len(ranks) == len(differences) and ranks[0] > 0
    method: Any = "exact" if exact and len(differences) <= 50 else stats.PermutationMethod(RESAMPLES, rng=rng)
    return float(stats.wilcoxon(differences, zero_method="pratt", method=method).pvalue)


def wilcoxon_of_many(differences: Matrix, rng: np.random.Generator) -> Matrix:
    """`wilcoxon` of every column of ``[n, comparisons]``, all that have neither ties nor zeros at once."""
    n, found = len(differences), np.full(differences.shape[1], np.nan)
    sizes = np.sort(np.abs(differences), axis=0)
    plain = (sizes[:1] > 0).all(axis=0) & (np.diff(sizes, axis=0) > 0).all(axis=0) & (0 < n <= 50)
    if plain.any():
        found[plain] = stats.wilcoxon(differences[:, plain], method="exact", axis=0).pvalue
    for column in np.flatnonzero(~plain):
        found[column] = wilcoxon(differences[:, column], rng)
    return found


def holm(p_values: ArrayLike) -> Matrix:
    """P-values corrected for their number by Holm's step-down method; NaN stays NaN and does not count.

    The i-th smallest of m is multiplied by m - i + 1; none may be below the one before it, or above 1.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def probability_of_improvement(scores: Matrix, baseline: Matrix) -> float:
    """How often a run of one algorithm beats a run of the other on the same domain, ties counting half.

    The mean over the domains of U / (n m), U the statistic of Mann and Whitney: arXiv:2108.13264, section 4.3.
    """
    return float(np.mean(_wins(scores, baseline)))


def _wins(scores: Matrix, baseline: Matrix) -> Matrix:
    """``[n, m]``: for each pair of seeds, the share of the domains on which `scores` wins."""
    ahead = scores[:, None, :] - baseline[None, :, :]
    return np.asarray(((ahead > 0) + 0.5 * (ahead == 0)).mean(axis=2))


# --- over runs and domains


def interquartile_mean(scores: Matrix) -> float:
    """The mean of the middle half of all entries: arXiv:2108.13264, section 4.3."""
    return float(stats.trim_mean(scores, 0.25, axis=None))


def performance_profile(scores: Matrix, thresholds: Matrix) -> Matrix:
    """The share of all entries above each threshold: arXiv:2108.13264, section 4.2 (run-score distribution)."""
    return np.asarray((scores[..., None] > thresholds).mean(axis=(0, 1)))


# --- bootstrap over seeds


@dataclass(frozen=True)
class Interval:
    """The bounds of a percentile bootstrap interval; NaN with fewer than two seeds."""

    low: Any
    high: Any


def bootstrap_mean(values: Matrix, rng: np.random.Generator, confidence: float = 0.95) -> Interval:
    """Of the mean of ``values`` ``[n, ...]`` over n seeds. Of differences between pairs it is the paired bootstrap."""
    return _bootstrap(values, np.mean, rng, confidence)


def bootstrap_interquartile_mean(scores: Matrix, rng: np.random.Generator, confidence: float = 0.95) -> Interval:
    """Of `interquartile_mean`."""

    n = len(scores)
    if n < 2:
        return Interval(float("nan"), float("nan"))
    drawn = scores[rng.integers(0, n, size=(RESAMPLES, n))].reshape(RESAMPLES, -1)
    found = stats.trim_mean(drawn, 0.25, axis=1)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(found, [tail, 100.0 - tail])
    return Interval(float(low), float(high))


def bootstrap_improvement(
    scores: Matrix, baseline: Matrix, rng: np.random.Generator, confidence: float = 0.95
) -> Interval:
    """Of `probability_of_improvement`; both sides get the same seeds, as they were paired."""
    n = len(scores)
    if n < 2:
        return Interval(float("nan"), float("nan"))
    counts = rng.multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES) / n  # how often each seed was drawn
    found = ((counts @ _wins(scores, baseline)) * counts).sum(axis=1)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(found, [tail, 100.0 - tail])
    return Interval(float(low), float(high))


def bootstrap_data_sets(differences: Sequence[Matrix], rng: np.random.Generator, confidence: float = 0.95) -> Interval:
    """Of the mean over data sets of the mean over seeds, with both drawn again: data sets, then seeds within each.

    Args:
        differences: ``[n, ...]`` for each data set: those of its n seeds.

    NaN with fewer than two data sets or where one has fewer than two seeds.
    """
    n = len(differences)
    if n < 2 or min(map(len, differences)) < 2:
        empty = np.full(np.shape(differences[0])[1:] if n else (), np.nan)[()]
        return Interval(empty, empty)
    drawn = rng.integers(0, n, size=(RESAMPLES, n))
    means = np.empty((RESAMPLES, n, *np.shape(differences[0])[1:]))
    for number, own in enumerate(differences):
        where = drawn == number
        seeds = rng.multinomial(len(own), np.full(len(own), 1.0 / len(own)), size=int(where.sum())) / len(own)
        means[where] = np.tensordot(seeds, own, axes=1)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(means.mean(axis=1), [tail, 100.0 - tail], axis=0)
    return Interval(low, high)


def mean_of_means(values: Sequence[Matrix], confidence: float = 0.95) -> Estimate:
    """The mean over data sets of the mean over seeds, ``[n]`` for each; the data sets are what they are.

    The variances of the means add up; the degrees of freedom are those of Welch and Satterthwaite. ``n`` is the least
    number of seeds. With one data set it is `estimate`.
    """
    n = min((len(own) for own in values), default=0)
    if n == 0:
        return estimate(np.empty(0))
    mean = float(np.mean([np.mean(own) for own in values]))
    if n == 1:
        return Estimate(mean, float("nan"), float("nan"), float("nan"), 1)
    parts = np.array([float(np.var(own, ddof=1)) / len(own) for own in values]) / len(values) ** 2
    error = float(np.sqrt(parts.sum()))
    if error == 0.0:
        return Estimate(mean, 0.0, mean, mean, n)
    freedom = parts.sum() ** 2 / sum(part**2 / (len(own) - 1) for part, own in zip(parts, values, strict=True))
    reach = _reach(float(freedom), confidence) * error
    return Estimate(mean, error, mean - reach, mean + reach, n)


def bounded(found: Estimate, whole: float = 1.0, confidence: float = 0.95) -> Estimate:
    """An estimate of a share of `whole` with an interval inside 0 .. `whole`: Student's t on the scale of logits.

    The standard error goes there by the delta method; without spread the interval is the mean. For means far from both
    ends it is the plain t-interval, nearly.

    Example:
        >>> found = bounded(estimate(np.array([98.0, 99.0, 100.0])), 100.0)
        >>> round(found.low, 2), round(found.high, 2)
        (88.95, 99.92)
    """
    share, error = found.mean / whole, found.standard_error / whole
    if found.n < 2 or error == 0.0 or not 0.0 < share < 1.0:
        return found
    reach = _reach(found.n - 1, confidence) * error / (share * (1.0 - share))
    centre = float(special.logit(share))
    low, high = whole * special.expit(centre - reach), whole * special.expit(centre + reach)
    return Estimate(found.mean, found.standard_error, float(low), float(high), found.n)


def _bootstrap(data: Any, statistic: Any, rng: np.random.Generator, confidence: float) -> Interval:
    """Percentile interval; whole seeds are drawn, for what happens on one domain is not independent of the others."""
    if len(data) < 2:
        empty = np.full(np.shape(data)[1:], np.nan)[()]
        return Interval(empty, empty)
    found = stats.bootstrap(
        (data,), statistic, axis=0, vectorized=True, n_resamples=RESAMPLES, batch=500, method="percentile",
        confidence_level=confidence, rng=rng,
    )  # fmt: skip
    return Interval(found.confidence_interval.low, found.confidence_interval.high)
