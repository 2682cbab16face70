"""Schedule-free AdamW: the optimizer averages its own iterates, and the average is what is evaluated.

It needs neither a schedule of the learning rate nor the length of the training. The library keeps the weights at which
gradients are taken; `evaluated` exchanges them for the average, and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim import Optimizer

from benchmarks.algorithms.base import AlgorithmEntry, Setup, extra
from benchmarks.algorithms.erm import ERM
from benchmarks.algorithms.optimizers import ADAMW
from benchmarks.base.search import Choice, HParams


class ScheduleFree(ERM):
    """AdamW of the library schedulefree on mixed mini-batches."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, hparams, setup, _adamw)

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        before = [p.detach().clone() for p in parameters]  # the way there and back rounds
        self.optimizer.eval()  # type: ignore[attr-defined]
        try:
            yield self.model
        finally:
            self.optimizer.train()  # type: ignore[attr-defined]
            with torch.no_grad():
                for parameter, own in zip(parameters, before, strict=True):
                    parameter.copy_(own)


def _adamw(model: nn.Module, hparams: HParams, setup: Setup) -> Optimizer:
    with extra("schedulefree"):
        from schedulefree import AdamWScheduleFree

        optimizer: Optimizer = AdamWScheduleFree(
            setup.parameters(model),
            lr=hparams["lr"],
            weight_decay=hparams["weight_decay"],
            warmup_steps=int(hparams["warmup"] * setup.updates),
        )
    optimizer.train()  # type: ignore[attr-defined]
    return optimizer


ENTRIES = {
    "schedule-free": AlgorithmEntry(
        factory=ScheduleFree,
        description="AdamW on mini-batches that mix the training domains, evaluated at its own average of the weights",
        use="an average that is part of the optimizer: neither a schedule nor a decay to choose",
        batches="pooled",
        space={**ADAMW, "warmup": Choice(default=0.05, values=(0.0, 0.05, 0.1))},
        source="Defazio et al. 2024, arXiv:2405.15682; schedulefree.AdamWScheduleFree",
        control="erm-adamw",
    ),
}
