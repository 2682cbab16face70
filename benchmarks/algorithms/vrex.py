"""V-REx: the risks of the domains should be equal.

Krueger et al. 2021 (arXiv:2003.00688): ``penalty = (1/D) sum_d (R_d - mean R)^2``.
"""

from __future__ import annotations

from torch import Tensor

from benchmarks.algorithms.base import AlgorithmEntry
from benchmarks.algorithms.optimizers import ADAM
from benchmarks.algorithms.penalized import Penalized
from benchmarks.base.search import Choice, LogUniform


class VREx(Penalized):
    """The mean and the variance of the risks."""

    first_weight = 1.0

    def penalty(self, outputs: Tensor, labels: Tensor, risks: Tensor) -> Tensor:  # noqa: ARG002
        return risks.var(correction=0)


ENTRIES = {
    "vrex": AlgorithmEntry(
        factory=VREx,
        description="Adam on the mean and the variance of the domains' risks",
        use="equal risks in every domain: the best of the invariance methods here, by little",
        batches="joint",
        space={
            **ADAM,
            "penalty_weight": LogUniform(default=1.0, low=1e-1, high=1e3),
            "penalty_start": Choice(default=0.1, values=(0.0, 0.1, 0.3)),
        },
        source="Krueger et al. 2021, arXiv:2003.00688",
    ),
}
