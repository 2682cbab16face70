"""The frame of the methods that add a penalty to the mean risk over the domains.

    min  (1/D) sum_d R_d + weight x penalty

The penalty starts late: for the first `penalty_start` of the updates its weight is `first_weight`, then
`penalty_weight`. Adam is made anew at that moment, as its moments know only gradients of another size; so does
DomainBed. The default weights are smaller than there, where runs are longer (irm and vrex: so is the range).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from benchmarks.algorithms.base import Algorithm, Setup
from benchmarks.algorithms.joint import joint_outputs, risks
from benchmarks.algorithms.optimizers import adam
from benchmarks.base.search import HParams


class Penalized(Algorithm):
    """Adam on the mean risk and a penalty, which a subclass defines.

    Attributes:
        first_weight: The weight of the penalty before it starts.
    """

    first_weight = 0.0

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, setup)
        self.hparams = hparams
        self.optimizer = adam(model, hparams, setup)
        self.start = round(hparams.get("penalty_start", 0.0) * setup.updates)
        self.updates = 0

    @abstractmethod
    def penalty(self, outputs: Tensor, labels: Tensor, risks: Tensor) -> Tensor:
        """The penalty, a scalar, from outputs ``[D, b, outputs]``, labels ``[D, b]`` and risks ``[D]``."""

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        outputs = joint_outputs(self.model, inputs)
        found = risks(self.setup.loss, outputs, labels)
        penalty = self.penalty(outputs, labels, found)
        if self.updates == self.start > 0:
            self.optimizer = adam(self.model, self.hparams, self.setup)
        weight = self.hparams["penalty_weight"] if self.updates >= self.start else self.first_weight
        self.updates += 1
        self.optimizer.zero_grad()
        (found.mean() + weight * penalty).backward()
        self.setup.clip(self.model)
        self.optimizer.step()
        return found.detach().mean()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.updates = state["updates"]
