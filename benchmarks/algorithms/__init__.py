"""The algorithms, by name.

All of them get the same budget: as many points of random search, as many gradient evaluations, mini-batches of the same
size.  The shared hyper-parameters have the same distributions and, at the same point, the same values.

Example:
    >>> from benchmarks.algorithms import ALGORITHMS
    >>> sorted(ALGORITHMS["reptile"].space)
    ['lr', 'outer_lr', 'weight_decay']
"""

from __future__ import annotations

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Batches, Diagnostics
from benchmarks.algorithms.erm import ERM
from benchmarks.algorithms.principal import PGrad
from benchmarks.algorithms.reptile import Reptile
from benchmarks.search import Choice, LogUniform, Space

_COMMON: Space = {
    "lr": LogUniform(default=1e-2, low=2e-3, high=3e-2),
    "weight_decay": LogUniform(default=1e-5, low=1e-6, high=1e-2),
}
_ROLLOUT: Space = {**_COMMON, "outer_lr": LogUniform(default=0.1, low=0.03, high=0.5)}

BASELINE = "erm"
CONTROL = "reptile"

ALGORITHMS: dict[str, AlgorithmEntry] = {
    "erm": AlgorithmEntry(
        factory=ERM,
        description="Adam on mini-batches that mix the training domains",
        batches="pooled",
        space=_COMMON,
    ),
    "pgrad": AlgorithmEntry(
        factory=PGrad,
        description="roll-out of Adam over single-domain mini-batches, outer SGD along the principal gradient",
        batches="single-domain",
        space={**_ROLLOUT, "n_components": Choice(default=4, values=(1, 2, 4, 6))},
    ),
    "reptile": AlgorithmEntry(
        factory=Reptile,
        description="the matched control: the same roll-out, outer SGD along theta_0 - theta_T",
        batches="single-domain",
        space=_ROLLOUT,
    ),
}
"""Adding an algorithm is adding an entry here."""

__all__ = [
    "ALGORITHMS",
    "BASELINE",
    "CONTROL",
    "Algorithm",
    "AlgorithmEntry",
    "Batches",
    "Diagnostics",
]
