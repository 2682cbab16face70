"""Empirical risk minimization: Adam on mini-batches that mix the training domains."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.algorithms.base import Diagnostics
from benchmarks.search import HParams


class ERM:
    """Adam, one step per mini-batch.  `rollout_length` is not used."""

    def __init__(self, model: nn.Module, hparams: HParams, rollout_length: int) -> None:  # noqa: ARG002
        self.model = model
        self.optimizer = torch.optim.Adam(
            model.parameters(), lr=hparams["lr"], weight_decay=hparams["weight_decay"], fused=True
        )

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(inputs), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def diagnostics(self) -> Diagnostics:
        return {}
