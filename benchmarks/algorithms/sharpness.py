"""Sharpness-aware minimization through pytorch_optimizer, Adam as its base.

With g the gradient at theta it takes Adam's step at theta along the gradient at theta + rho g / ||g||.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup, extra
from benchmarks.algorithms.optimizers import ADAM
from benchmarks.base.search import HParams, LogUniform


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Inside, forward passes leave BatchNorm's running mean and variance alone: the weights there are not kept."""
    layers = [(layer, layer.momentum) for layer in model.modules() if isinstance(layer, _BatchNorm)]
    try:
        for layer, _ in layers:
            layer.momentum = 0.0
        yield
    finally:
        for layer, momentum in layers:
            layer.momentum = momentum


class SharpnessAware(Algorithm):
    """`pytorch_optimizer.SAM`."""

    optimizer: Any

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, setup)
        with extra("pytorch_optimizer"):
            import pytorch_optimizer
        base: Any = setup.inner or partial(torch.optim.Adam, weight_decay=hparams["weight_decay"])
        self.optimizer = pytorch_optimizer.SAM(setup.parameters(model), base, rho=hparams["rho"], lr=hparams["lr"])

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        def closure() -> Tensor:
            self.optimizer.zero_grad()
            loss = self.setup.risk(self.model, inputs, labels)
            loss.backward()
            self.setup.clip(self.model)
            return loss.detach()

        loss = closure()
        with frozen_statistics(self.model):
            self.optimizer.step(closure)
        return loss


ENTRIES = {
    "sam": AlgorithmEntry(
        factory=SharpnessAware,
        description="sharpness-aware minimization: Adam along the gradient at the worst point of a small ball",
        use="flat minima: twice the cost of a step",
        batches="pooled",
        space={**ADAM, "rho": LogUniform(default=0.05, low=0.01, high=0.2)},
        source="Foret et al. 2021, arXiv:2010.01412; pytorch_optimizer.SAM",
        passes=2,
    ),
}
