"""Jacobian descent over domains through torchjd.

The gradients of the D domains are the rows of a matrix J ``[D, parameters]``; an aggregator of torchjd makes one
vector of them, and Adam takes it as the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup, extra, set_gradient, trainable
from benchmarks.algorithms.optimizers import ADAM, adam
from benchmarks.base.search import HParams

Aggregator = Callable[[Tensor], Tensor]


class JacobianDescent(Algorithm):
    """Adam along ``aggregator(J)``; `name` is that of the aggregator in torchjd.aggregation."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup, *, name: str) -> None:
        super().__init__(model, setup)
        with extra("torchjd"):
            from torchjd import aggregation

            self.aggregator: Aggregator = getattr(aggregation, name)()
        self.parameters = trainable(model)
        self.optimizer = adam(model, hparams, setup)

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        rows, losses = [], []
        for own, wanted in zip(inputs, labels, strict=True):
            loss = self.setup.loss(self.model(own), wanted)
            found = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
            rows.append(torch.cat([gradient.flatten() for gradient in found]))
            losses.append(loss.detach())
        gradient = self.aggregator(torch.stack(rows))
        for parameter, part in zip(self.parameters, gradient.split([p.numel() for p in self.parameters]), strict=True):
            set_gradient(parameter, part)
        self.setup.clip(self.model)
        self.optimizer.step()
        return torch.stack(losses).mean()


ENTRIES = {
    "upgrad": AlgorithmEntry(
        factory=partial(JacobianDescent, name="UPGrad"),
        description="the mean of the domains' gradients, each projected to where no domain loses",
        use="stands for the methods that combine the domains' gradients at one point: the best of those tried",
        batches="joint",
        space=ADAM,
        source="Quinton & Rey 2024, arXiv:2406.16232; torchjd.aggregation.UPGrad",
    ),
}
