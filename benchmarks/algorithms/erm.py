"""Empirical risk minimization: an optimizer of torch on one mini-batch after the other.

``erm`` takes mini-batches that mix the training domains. ``erm-small`` is the roll-out of PGrad without its outer
step: the same mini-batches of single domains, and no anchor.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup
from benchmarks.algorithms.optimizers import ADAM, ADAMW, SGD, Base, adam, adamw, sgd
from benchmarks.base.search import HParams


class ERM(Algorithm):
    """One step of the optimizer for every mini-batch."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup, optimizer: Base = adam) -> None:
        super().__init__(model, setup)
        self.optimizer = optimizer(model, hparams, setup)

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.setup.risk(self.model, inputs, labels)
        loss.backward()
        self.setup.clip(self.model)
        self.optimizer.step()
        return loss.detach()


ENTRIES = {
    "erm": AlgorithmEntry(
        factory=ERM,
        description="Adam on mini-batches that mix the training domains",
        use="the baseline, and a good choice once its learning rate is searched and its weights are averaged",
        batches="pooled",
        space=ADAM,
        source="torch.optim.Adam",
    ),
    "erm-adamw": AlgorithmEntry(
        factory=partial(ERM, optimizer=adamw),
        description="AdamW on mini-batches that mix the training domains",
        use="the usual optimizer of transformers",
        batches="pooled",
        space=ADAMW,
        source="torch.optim.AdamW",
    ),
    "erm-sgd": AlgorithmEntry(
        factory=partial(ERM, optimizer=sgd),
        description="SGD with momentum on mini-batches that mix the training domains",
        use="another inner optimizer to choose from: the best on digits, not on features that come trained",
        batches="pooled",
        space=SGD,
        source="torch.optim.SGD",
    ),
    "erm-small": AlgorithmEntry(
        factory=ERM,
        description="the roll-out without its outer step: Adam on mini-batches of one domain each",
        use="tells what mini-batches of one domain do by themselves, without roll-outs",
        batches="single-domain",
        space=ADAM,
        source="torch.optim.Adam",
        control="erm",
    ),
}
