"""The algorithms, by name.

All of them get the same budget: as many points of random search, as many gradient evaluations, mini-batches of the same
size (`benchmarks.algorithms.base` says what is counted). The shared hyper-parameters have the same distributions
unless a method needs another scale, and, at the same point, the same values.

Example:
    >>> from benchmarks.algorithms import ALGORITHMS
    >>> sorted(ALGORITHMS["reptile"].space)
    ['lr', 'outer_lr', 'weight_decay']
    >>> ALGORITHMS["pgrad-nesterov"].control
    'reptile-nesterov'
    >>> sam, upgrad = ALGORITHMS["sam"], ALGORITHMS["upgrad"]
    >>> sam.batches, sam.evaluations(n_domains=5), upgrad.batches, upgrad.evaluations(n_domains=5)
    ('pooled', 2, 'joint', 5)
"""

from __future__ import annotations

from benchmarks.algorithms import (
    averaging,
    coral,
    erm,
    fine_tuning,
    genie,
    group_dro,
    irm,
    jacobian,
    lookahead,
    mixup,
    rollouts,
    sagm,
    schedule_free,
    sharpness,
    vrex,
)
from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Batches, Diagnostics, Setup

BASELINE = "erm"
CONTROL = "reptile"
QUICK = (BASELINE, "pgrad", CONTROL)

ALGORITHMS: dict[str, AlgorithmEntry] = {
    **erm.ENTRIES,
    **rollouts.ENTRIES,
    **lookahead.ENTRIES,
    **sharpness.ENTRIES,
    **sagm.ENTRIES,
    **genie.ENTRIES,
    **jacobian.ENTRIES,
    **group_dro.ENTRIES,
    **irm.ENTRIES,
    **vrex.ENTRIES,
    **coral.ENTRIES,
    **mixup.ENTRIES,
    **averaging.ENTRIES,
    **schedule_free.ENTRIES,
    **fine_tuning.ENTRIES,
}
"""Adding an algorithm is adding a file with its ENTRIES, a line here, and its names in `benchmarks.base.names`."""

__all__ = [
    "ALGORITHMS",
    "BASELINE",
    "CONTROL",
    "QUICK",
    "Algorithm",
    "AlgorithmEntry",
    "Batches",
    "Diagnostics",
    "Setup",
]
