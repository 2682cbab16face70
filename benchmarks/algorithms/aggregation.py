"""Jacobian descent over domains through torchjd: PCGrad, CAGrad, UPGrad and MGDA.

The gradients of the D domains are the rows of a matrix J ``[D, parameters]``; an aggregator of torchjd makes one
vector of them, and Adam takes it as the gradient.  torchjd's PCGrad adds the projected rows up, the others average.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup, extra
from benchmarks.algorithms.optimizers import ADAM, adam, trainable
from benchmarks.base.search import Choice, HParams

Aggregator = Callable[[Tensor], Tensor]


class JacobianDescent(Algorithm):
    """Adam along ``aggregator(J)``; `name` is that of the aggregator in torchjd.aggregation."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup, *, name: str) -> None:
        super().__init__(model, setup)
        with extra("torchjd"):
            from torchjd import aggregation

            options: dict[str, Any] = {option: hparams[option] for option in ("c",) if option in hparams}
            self.aggregator: Aggregator = getattr(aggregation, name)(**options)
        self.parameters = trainable(model)
        self.optimizer = adam(self.parameters, hparams)
        self.generator = torch.Generator().manual_seed(setup.seed)

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        rows, losses = [], []
        for found, wanted in zip(inputs, labels, strict=True):
            loss = self.setup.loss(self.model(found), wanted)
            rows.append(parameters_to_vector(torch.autograd.grad(loss, self.parameters, materialize_grads=True)))
            losses.append(loss.detach())
        gradient = self._aggregate(torch.stack(rows))
        for parameter, part in zip(self.parameters, gradient.split([p.numel() for p in self.parameters]), strict=True):
            parameter.grad = part.view_as(parameter)
        self.optimizer.step()
        return torch.stack(losses).mean()

    def _aggregate(self, jacobian: Tensor) -> Tensor:
        """PCGrad projects in a random order, which it draws from torch's default generator."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(torch.randint(2**31, (), generator=self.generator)))
            return self.aggregator(jacobian)


ENTRIES = {
    "pcgrad": AlgorithmEntry(
        factory=partial(JacobianDescent, name="PCGrad"),
        description="gradient surgery: each domain's gradient loses what conflicts with another one",
        batches="joint",
        space=ADAM,
        source="Yu et al. 2020, arXiv:2001.06782; torchjd.aggregation.PCGrad",
    ),
    "cagrad": AlgorithmEntry(
        factory=partial(JacobianDescent, name="CAGrad"),
        description="near the mean gradient, the direction that the worst-off domain gains most from",
        batches="joint",
        space={**ADAM, "c": Choice(default=0.5, values=(0.2, 0.5, 0.8))},
        source="Liu et al. 2021, arXiv:2110.14048; torchjd.aggregation.CAGrad",
    ),
    "upgrad": AlgorithmEntry(
        factory=partial(JacobianDescent, name="UPGrad"),
        description="the mean of the domains' gradients, each projected to where no domain loses",
        batches="joint",
        space=ADAM,
        source="Quinton & Rey 2024, arXiv:2406.16232; torchjd.aggregation.UPGrad",
    ),
    "mgda": AlgorithmEntry(
        factory=partial(JacobianDescent, name="MGDA"),
        description="the shortest vector in the convex hull of the domains' gradients",
        batches="joint",
        space=ADAM,
        source="Désidéri 2012; Sener & Koltun 2018, arXiv:1810.04650; torchjd.aggregation.MGDA",
    ),
}
