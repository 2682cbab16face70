"""Scores that can be pooled over held-out domains: on every domain with the mean 0 and the standard deviation 1.

Pooled as they are, the middle half of all scores has none of a hard domain, whose scores are the lowest whoever made
them, and none of an easy one.
"""

from __future__ import annotations

import numpy as np

from benchmarks.base.metrics import Matrix
from benchmarks.reports.selection import Selection


def normalised(selection: Selection, dataset: str, scores: Matrix) -> Matrix:
    """``[n, held-out sets]``: minus the mean, over the standard deviation of the scores of all algorithms and seeds."""
    mean, deviation = _of(selection, dataset)
    return np.asarray((scores - mean) / deviation)


def _of(selection: Selection, dataset: str) -> tuple[Matrix, Matrix]:
    """``[held-out sets]`` each; a domain whose scores are all equal has the standard deviation 1."""
    every = np.concatenate([selection.scores(dataset, name) for name in selection.algorithms_on(dataset)])
    known = ~np.isnan(every).all(axis=0)
    mean, deviation = np.zeros(every.shape[1]), np.ones(every.shape[1])
    mean[known] = np.nanmean(every[:, known], axis=0)
    deviation[known] = np.nanstd(every[:, known], axis=0)
    deviation[deviation == 0.0] = 1.0
    return mean, deviation
