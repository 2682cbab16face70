"""Mixup between domains: examples of two domains are mixed, and so are their losses.

Zhang et al. 2018 (arXiv:1710.09412); between domains Xu et al. 2020 (arXiv:1912.01805). The domains stand in a random
circle and each is mixed with the next one, with a fraction drawn from Beta(alpha, alpha) for every pair::

    x = w x_d + (1 - w) x_e,      loss = w l(f(x), y_d) + (1 - w) l(f(x), y_e)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup
from benchmarks.algorithms.joint import joint_outputs, risks
from benchmarks.algorithms.optimizers import ADAM, adam
from benchmarks.base.search import HParams, LogUniform


class Mixup(Algorithm):
    """Adam on the mean loss of D mixed mini-batches."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, setup)
        self.optimizer = adam(model, hparams, setup)
        self.alpha = hparams["alpha"]
        self.rng = np.random.default_rng(setup.seed)

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        if not inputs.is_floating_point():
            raise TypeError(f"mixup mixes inputs, which must be floating-point numbers, got {inputs.dtype}")
        order = torch.from_numpy(self.rng.permutation(len(inputs)))
        partner = order.roll(-1)
        fraction = torch.from_numpy(self.rng.beta(self.alpha, self.alpha, size=len(inputs))).to(inputs.dtype)
        weight = fraction.view(-1, *[1] * (inputs.ndim - 1)).to(inputs.device)
        outputs = joint_outputs(self.model, weight * inputs[order] + (1 - weight) * inputs[partner])
        weight = weight.flatten()
        loss = weight @ risks(self.setup.loss, outputs, labels[order])
        loss = (loss + (1 - weight) @ risks(self.setup.loss, outputs, labels[partner])) / len(inputs)
        self.optimizer.zero_grad()
        loss.backward()
        self.setup.clip(self.model)
        self.optimizer.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.rng.bit_generator.state = state["rng"]


ENTRIES = {
    "mixup": AlgorithmEntry(
        factory=Mixup,
        description="Adam on examples and losses mixed between pairs of domains",
        use="data augmentation between domains: for inputs that may be mixed",
        batches="joint",
        space={**ADAM, "alpha": LogUniform(default=0.2, low=0.1, high=10.0)},
        source="Zhang et al. 2018, arXiv:1710.09412; between domains arXiv:1912.01805",
    ),
}
