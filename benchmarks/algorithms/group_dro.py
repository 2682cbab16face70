"""Group distributionally robust optimization: the domains with the largest loss count most.

Sagawa et al. 2020 (arXiv:1911.08731, algorithm 1): weights q over the domains, equal at first, follow the risks by
exponentiated gradient ascent, and the model descends on the weighted risk::

    q_d <- q_d exp(eta R_d) / sum_e q_e exp(eta R_e),      min over theta of sum_d q_d R_d
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup
from benchmarks.algorithms.joint import joint_outputs, risks
from benchmarks.algorithms.optimizers import ADAM, adam
from benchmarks.base.search import HParams, LogUniform


class GroupDRO(Algorithm):
    """Adam on the risk weighted by `weights` ``[D]``."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, setup)
        self.optimizer = adam(model, hparams, setup)
        self.eta = hparams["eta"]
        self.weights = torch.full((setup.n_domains,), 1 / setup.n_domains)

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        found = risks(self.setup.loss, joint_outputs(self.model, inputs), labels)
        self.weights = torch.softmax(self.weights.to(found).log() + self.eta * found.detach(), dim=0)
        self.optimizer.zero_grad()
        (self.weights @ found).backward()
        self.setup.clip(self.model)
        self.optimizer.step()
        return found.detach().mean()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.weights = state["weights"].clone()


ENTRIES = {
    "groupdro": AlgorithmEntry(
        factory=GroupDRO,
        description="Adam on the risks of the domains, weighted towards the largest",
        use="for the worst domain rather than the mean over domains",
        batches="joint",
        space={**ADAM, "eta": LogUniform(default=1e-2, low=1e-3, high=1e-1)},
        source="Sagawa et al. 2020, arXiv:1911.08731",
    ),
}
