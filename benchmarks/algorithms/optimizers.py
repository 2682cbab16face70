"""The optimizers that several methods share, and where random search looks for their settings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from benchmarks.algorithms.base import Setup
from benchmarks.base.search import Choice, HParams, LogUniform, Space

ADAM: Space = {
    "lr": LogUniform(default=1e-2, low=2e-3, high=3e-2),
    "weight_decay": LogUniform(default=1e-5, low=1e-6, high=1e-2),
}
ADAMW: Space = {
    "lr": LogUniform(default=1e-2, low=2e-3, high=3e-2),
    "weight_decay": LogUniform(default=1e-2, low=1e-3, high=1.0),
}
SGD: Space = {
    "lr": LogUniform(default=0.1, low=1e-2, high=0.5),
    "weight_decay": LogUniform(default=1e-5, low=1e-6, high=1e-2),
    "momentum": Choice(default=0.9, values=(0.0, 0.9)),
}

Base = Callable[[nn.Module, HParams, Setup], Optimizer]
"""Makes the optimizer of a run."""


def published(model: nn.Module, hparams: HParams, setup: Setup) -> Optimizer | None:
    """The optimizer that the task has been published with, if it has one."""
    return None if setup.inner is None else setup.inner(setup.parameters(model), lr=hparams["lr"])


def adam(model: nn.Module, hparams: HParams, setup: Setup) -> Optimizer:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980) with L2 regularization."""
    lr, decay = hparams["lr"], hparams["weight_decay"]
    own = published(model, hparams, setup)
    return own or torch.optim.Adam(setup.parameters(model), lr=lr, weight_decay=decay, fused=True)


def adamw(model: nn.Module, hparams: HParams, setup: Setup) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101)."""
    lr, decay = hparams["lr"], hparams["weight_decay"]
    return torch.optim.AdamW(setup.parameters(model), lr=lr, weight_decay=decay, fused=True)


def sgd(model: nn.Module, hparams: HParams, setup: Setup) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(
        setup.parameters(model), lr=hparams["lr"], weight_decay=hparams["weight_decay"], momentum=hparams["momentum"]
    )
