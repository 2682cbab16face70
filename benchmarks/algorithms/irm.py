"""Invariant risk minimization: one classifier that is optimal in every domain at once.

Arjovsky et al. 2019 (arXiv:1907.02893), IRMv1: the penalty of a domain is the squared derivative of its risk with
respect to a dummy scale s of the outputs, at s = 1. The square is estimated without bias (appendix D there) by the
product over the two halves of the mini-batch::

    penalty = (1/D) sum_d  dR_d,even(s f)/ds  dR_d,odd(s f)/ds      at s = 1
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.algorithms.base import AlgorithmEntry
from benchmarks.algorithms.joint import require_pairs, risks
from benchmarks.algorithms.optimizers import ADAM
from benchmarks.algorithms.penalized import Penalized
from benchmarks.base.search import Choice, LogUniform


class IRM(Penalized):
    """The mean risk and the penalty of IRMv1."""

    first_weight = 1.0

    def penalty(self, outputs: Tensor, labels: Tensor, risks: Tensor) -> Tensor:  # noqa: ARG002
        require_pairs(labels, "irm, which halves them")
        even = self._slopes(outputs[:, ::2], labels[:, ::2])
        odd = self._slopes(outputs[:, 1::2], labels[:, 1::2])
        return (even * odd).mean()

    def _slopes(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The derivatives ``[D]`` of the risks with respect to the scale of the outputs, each domain with its own."""
        scales = torch.ones(len(outputs), *[1] * (outputs.ndim - 1), device=outputs.device, dtype=outputs.dtype)
        scales.requires_grad_()
        total = risks(self.setup.loss, outputs * scales, labels).sum()
        (slopes,) = torch.autograd.grad(total, scales, create_graph=True)
        return slopes.flatten()


ENTRIES = {
    "irm": AlgorithmEntry(
        factory=IRM,
        description="Adam on the mean risk and how far the domains want another scale of the classifier",
        use="the classic of invariance: no better than the mean here",
        batches="joint",
        space={
            **ADAM,
            "penalty_weight": LogUniform(default=1.0, low=1e-1, high=1e3),
            "penalty_start": Choice(default=0.1, values=(0.0, 0.1, 0.3)),
        },
        source="Arjovsky et al. 2019, arXiv:1907.02893",
    ),
}
