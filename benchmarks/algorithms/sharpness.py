"""Sharpness-aware minimization through pytorch_optimizer, Adam as its base.

With g the gradient at theta, both take Adam's step at theta along the gradient at a perturbed point::

    SAM:          theta + rho g / ||g||
    Friendly SAM: theta + rho h / ||h||,   h = g - sigma m,   m <- lambda m + (1 - lambda) g  (m = g at first)

In its first step the library's Friendly SAM has no m yet to subtract and takes h = g.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup, extra
from benchmarks.algorithms.optimizers import ADAM, trainable
from benchmarks.base.search import Choice, HParams, LogUniform, Space


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
    """An optimizer of the SAM family from pytorch_optimizer, by its name there."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup, *, name: str) -> None:
        super().__init__(model, setup)
        with extra("pytorch_optimizer"):
            import pytorch_optimizer
        options = {option: hparams[option] for option in ("rho", "sigma", "lmbda") if option in hparams}
        self.optimizer = getattr(pytorch_optimizer, name)(
            trainable(model), torch.optim.Adam, **options, lr=hparams["lr"], weight_decay=hparams["weight_decay"]
        )

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        def closure() -> Tensor:
            self.optimizer.zero_grad()
            loss = self.setup.loss(self.model(inputs), labels)
            loss.backward()
            return loss.detach()

        loss = closure()
        with frozen_statistics(self.model):
            self.optimizer.step(closure)
        return loss


SAM: Space = {**ADAM, "rho": LogUniform(default=0.05, low=0.01, high=0.2)}

ENTRIES = {
    "sam": AlgorithmEntry(
        factory=partial(SharpnessAware, name="SAM"),
        description="sharpness-aware minimization: Adam along the gradient at the worst point of a small ball",
        batches="pooled",
        space=SAM,
        source="Foret et al. 2021, arXiv:2010.01412; pytorch_optimizer.SAM",
        passes=2,
    ),
    "friendly-sam": AlgorithmEntry(
        factory=partial(SharpnessAware, name="FriendlySAM"),
        description="SAM whose perturbation leaves out what the gradients have in common",
        batches="pooled",
        space={
            **SAM,
            "sigma": Choice(default=1.0, values=(0.5, 1.0)),
            "lmbda": Choice(default=0.9, values=(0.6, 0.9)),
        },
        source="Li et al. 2024, arXiv:2403.12350; pytorch_optimizer.FriendlySAM",
        passes=2,
    ),
}
