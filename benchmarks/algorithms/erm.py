"""Empirical risk minimization: an optimizer of torch on one mini-batch after the other.

The three ways to spend the T gradient evaluations of a roll-out without PGrad:

- ``erm``: T steps on mini-batches that mix the training domains;
- ``erm-small``: the roll-out itself, T steps on the same mini-batches of single domains, but no outer step;
- ``erm-large``: one step on T mixed mini-batches at once, which is how DomainBed feeds its ERM.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup
from benchmarks.algorithms.optimizers import ADAM, ADAMW, SGD, Parameters, adam, adamw, sgd, trainable
from benchmarks.base.search import HParams, LogUniform


class ERM(Algorithm):
    """One step of the optimizer for every mini-batch."""

    def __init__(
        self,
        model: nn.Module,
        hparams: HParams,
        setup: Setup,
        optimizer: Callable[[Parameters, HParams], Optimizer] = adam,
    ) -> None:
        super().__init__(model, setup)
        self.optimizer = optimizer(trainable(model), hparams)

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.setup.loss(self.model(inputs), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class LargeBatchERM(Algorithm):
    """One step of Adam for every T mini-batches, along the mean of their gradients."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, setup)
        self.optimizer = adam(trainable(model), hparams)
        self.position = 0

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        loss = self.setup.loss(self.model(inputs), labels)
        (loss / self.setup.rollout_length).backward()
        self.position += 1
        if self.position == self.setup.rollout_length:
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.position = 0
        return loss.detach()


ENTRIES = {
    "erm": AlgorithmEntry(
        factory=ERM,
        description="Adam on mini-batches that mix the training domains",
        batches="pooled",
        space=ADAM,
        source="torch.optim.Adam",
    ),
    "erm-adamw": AlgorithmEntry(
        factory=partial(ERM, optimizer=adamw),
        description="AdamW on mini-batches that mix the training domains",
        batches="pooled",
        space=ADAMW,
        source="torch.optim.AdamW",
    ),
    "erm-sgd": AlgorithmEntry(
        factory=partial(ERM, optimizer=sgd),
        description="SGD with momentum on mini-batches that mix the training domains",
        batches="pooled",
        space=SGD,
        source="torch.optim.SGD",
    ),
    "erm-small": AlgorithmEntry(
        factory=ERM,
        description="the roll-out without its outer step: Adam on mini-batches of one domain each",
        batches="single-domain",
        space=ADAM,
        source="torch.optim.Adam",
    ),
    "erm-small-sgd": AlgorithmEntry(
        factory=partial(ERM, optimizer=sgd),
        description="SGD with momentum on mini-batches of one domain each",
        batches="single-domain",
        space=SGD,
        source="torch.optim.SGD",
    ),
    "erm-large": AlgorithmEntry(
        factory=LargeBatchERM,
        description="one step of Adam on all examples of a roll-out, the training domains mixed",
        batches="pooled",
        space={**ADAM, "lr": LogUniform(default=1e-2, low=2e-3, high=1e-1)},
        source="torch.optim.Adam",
    ),
}
