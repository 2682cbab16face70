"""Lookahead through pytorch_optimizer: Adam makes k steps, the slow weights follow by a fraction alpha.

``slow <- slow + alpha (theta - slow)``, then ``theta <- slow``. The slow weights are what is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup, extra
from benchmarks.algorithms.optimizers import ADAM, adam
from benchmarks.base.search import Choice, HParams


class Lookahead(Algorithm):
    """`pytorch_optimizer.Lookahead` around Adam."""

    optimizer: Any

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, setup)
        with extra("pytorch_optimizer"):
            import pytorch_optimizer
        inner = adam(model, hparams, setup)
        self.optimizer = pytorch_optimizer.Lookahead(inner, k=int(hparams["k"]), alpha=hparams["alpha"])

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.setup.risk(self.model, inputs, labels)
        loss.backward()
        self.setup.clip(self.model)
        self.optimizer.step()
        return loss.detach()

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        self.optimizer.backup_and_load_cache()
        try:
            yield self.model
        finally:
            self.optimizer.clear_and_load_backup()


ENTRIES = {
    "lookahead": AlgorithmEntry(
        factory=Lookahead,
        description="slow weights that follow every k steps of Adam, the training domains mixed",
        use="the displacement on mini-batches that mix the domains, by another library",
        batches="pooled",
        space={
            **ADAM,
            "k": Choice(default=5, values=(5, 10)),
            "alpha": Choice(default=0.5, values=(0.5, 0.8)),
        },
        source="Zhang et al. 2019, arXiv:1907.08610; pytorch_optimizer.Lookahead",
    ),
}
