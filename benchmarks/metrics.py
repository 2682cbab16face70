"""Figures of merit and their intervals: pure functions.

``scores`` is a matrix ``[seeds, held-out domains]``.  The unit of repetition is the *seed* (data split, initialisation,
order): accuracies of different held-out domains under one seed are averaged first, and the interval is taken over those
averages.  A seed with a missing entry (NaN: its runs failed) is left out as a whole, so that a difference is always
taken between the same seeds and domains.

The intervals are Student's t-intervals of scipy.  They describe other seeds on the same data, not other data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

Matrix = NDArray[np.float64]


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The fraction of examples whose largest logit is that of the label."""
    return (logits.argmax(dim=1) == labels).double().mean().item()


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

    Equal values have the interval that consists of their mean: scipy returns NaN there.
    """
    n = len(values)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), float("nan"), 0)
    mean = float(np.mean(values))
    if n == 1:
        return Estimate(mean, float("nan"), float("nan"), float("nan"), 1)
    error = float(stats.sem(values))
    if error == 0.0:
        return Estimate(mean, 0.0, mean, mean, n)
    low, high = stats.t.interval(confidence, df=n - 1, loc=mean, scale=error)
    return Estimate(mean, error, float(low), float(high), n)


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
            f"scores and baseline must hold the same seeds and domains, found shapes {scores.shape} and "
            f"{baseline.shape}"
        )
    return estimate(seed_averages(scores - baseline))
