"""The optimizers that several methods share, and where random search looks for their settings."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

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

Parameters = Iterable[Tensor]


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that take part in training: those that are not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def adam(parameters: Parameters, hparams: HParams) -> Optimizer:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980) with L2 regularization."""
    return torch.optim.Adam(parameters, lr=hparams["lr"], weight_decay=hparams["weight_decay"], fused=True)


def adamw(parameters: Parameters, hparams: HParams) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101)."""
    return torch.optim.AdamW(parameters, lr=hparams["lr"], weight_decay=hparams["weight_decay"], fused=True)


def sgd(parameters: Parameters, hparams: HParams) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(
        parameters, lr=hparams["lr"], weight_decay=hparams["weight_decay"], momentum=hparams["momentum"]
    )
