"""A hierarchical model of differences on several data sets: what holds beyond these.

On data set i the difference that many seeds would show is theta_i, and the theta_i of data sets scatter normally about
mu with the variance tau^2; the mean over the n_i seeds that there are scatters about theta_i with the variance
s_i^2 / n_i. This is the random-effects model of meta-analysis, a data set being a study.

- tau^2 is the one with which the weighted squares add up to their expectation (Paule and Mandel 1982), 0 if they are
  too small for any.
- mu is the mean with the weights w_i = 1 / (tau^2 + s_i^2 / n_i). Its interval is that of Hartung and Knapp (2001):
  Student's t with k - 1 degrees of freedom for k data sets, and the variance
  sum w_i (y_i - mu)^2 / ((k - 1) sum w_i). It keeps its promise with few data sets, where it is wide, and the bootstrap
  over data sets does not.
- A further data set lies within mu -+ t_(k-1) sqrt(tau^2 + that variance) (Higgins, Thompson and Spiegelhalter 2009),
  with few data sets somewhat less often than the level says: few tell tau^2 badly.

The s_i^2 count as known though few seeds tell them; with many data sets that matters little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from benchmarks.base.metrics import Matrix


@dataclass(frozen=True)
class Hierarchical:
    """What differences on several data sets say of data sets like them.

    Attributes:
        mean: Of the differences on all data sets that there might be.
        low, high: Interval of that mean.
        spread: Standard deviation of the differences from data set to data set, noise of the seeds apart.
        next_low, next_high: Where the difference on one more data set lies.
    """

    mean: float
    low: float
    high: float
    spread: float
    next_low: float
    next_high: float


NOTHING = Hierarchical(*[math.nan] * 6)


def hierarchical(values: Sequence[Matrix], confidence: float = 0.95) -> Hierarchical:
    """The model of ``[n_i]`` differences on each of k data sets; NaN with fewer than two data sets or seeds of one.

    Example:
        >>> found = hierarchical([np.array([1.0, 1.2]), np.array([3.0, 3.2]), np.array([2.0, 2.2])])
        >>> round(found.mean, 3), round(found.spread, 3)
        (2.1, 0.995)
    """
    if len(values) < 2 or min(map(len, values)) < 2:
        return NOTHING
    means = np.array([float(np.mean(own)) for own in values])
    noise = np.array([float(np.var(own, ddof=1)) / len(own) for own in values])
    least = 1e-12 * float(np.var(means) + noise.max())  # of the noise where all seeds agree
    if least == 0.0:
        return Hierarchical(means[0], means[0], means[0], 0.0, means[0], means[0])
    noise = np.maximum(noise, least)
    between = _between(means, noise)
    weights = 1.0 / (between + noise)
    mean = float(np.average(means, weights=weights))
    freedom = len(means) - 1
    variance = float(np.average((means - mean) ** 2, weights=weights)) / freedom
    reach = float(stats.t.ppf(0.5 + confidence / 2, freedom))
    error, further = reach * math.sqrt(variance), reach * math.sqrt(between + variance)
    return Hierarchical(mean, mean - error, mean + error, math.sqrt(between), mean - further, mean + further)


def _between(means: Matrix, noise: Matrix) -> float:
    def excess(between: float) -> float:
        weights = 1.0 / (between + noise)
        centre = np.average(means, weights=weights)
        return float(np.sum(weights * (means - centre) ** 2)) - (len(means) - 1)

    if excess(0.0) <= 0.0:
        return 0.0
    # With this variance every weight is so small that the squares cannot add up to more.
    most = float(np.sum((means - means.mean()) ** 2)) / (len(means) - 1)
    return float(optimize.brentq(excess, 0.0, most, xtol=1e-14 * most, rtol=1e-12))
