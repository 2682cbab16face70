"""What PGrad and its matched control share: the walk.

T inner steps lead from the anchor theta_0 to theta_T, each on a mini-batch of one domain; then an outer optimizer steps
from the anchor.  A subclass says along what.  Every *lever* on the walk is an option here, so that it moves both:

- `inner`, the inner optimizer: Adam; Adam or RMSprop or SGD without momentum of the first moment;
- `normalised`: every gradient is divided by its norm (over all parameters) before the inner step, so that no domain
  pulls more than another;
- the hyper-parameter `warmup`: for this part of the roll-outs there are inner steps only, the model just walks on.  The
  inner optimizer keeps its moments when the roll-outs begin;
- the hyper-parameter `outer_momentum`, of the outer SGD; with `nesterov` it is Nesterov's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.algorithms.base import Algorithm, Setup
from benchmarks.algorithms.optimizers import ADAM, trainable
from benchmarks.base.search import HParams, LogUniform, Space

ROLLOUT: Space = {**ADAM, "outer_lr": LogUniform(default=0.1, low=0.03, high=0.5)}

OptimizerFactory = Callable[..., Optimizer]

INNER: dict[str, OptimizerFactory] = {
    "adam": partial(torch.optim.Adam, betas=(0.9, 0.999), fused=True),
    "beta0": partial(torch.optim.Adam, betas=(0.0, 0.999), fused=True),
    "rmsprop": partial(torch.optim.RMSprop, alpha=0.99),
    "sgd": torch.optim.SGD,
}
"""Inner optimizers: `factory(parameters, lr=...)`."""


class Rollout(Algorithm):
    """Walks; a subclass defines `step`.

    Args:
        model, hparams, setup: As for every algorithm.
        inner: A name in INNER.
        nesterov: Whether the outer momentum is Nesterov's.
        normalised: Whether gradients are divided by their norm.

    Attributes:
        parameters: Those that are trained.
        inner_factory, outer_factory: `factory(parameters, lr=...)`, for subclasses.
    """

    inner: Optimizer

    def __init__(
        self,
        model: nn.Module,
        hparams: HParams,
        setup: Setup,
        *,
        inner: str = "adam",
        nesterov: bool = False,
        normalised: bool = False,
    ) -> None:
        super().__init__(model, setup)
        self.parameters = trainable(model)
        self.inner_factory = INNER[inner]
        momentum: dict[str, Any] = {"momentum": hparams["outer_momentum"]} if "outer_momentum" in hparams else {}
        self.outer_factory: OptimizerFactory = partial(
            torch.optim.SGD, weight_decay=hparams["weight_decay"], nesterov=nesterov, **momentum
        )
        self.normalised = normalised
        rollouts = setup.updates // setup.rollout_length
        self.warmup = round(hparams.get("warmup", 0.0) * rollouts) * setup.rollout_length
        self.updates = 0

    @abstractmethod
    def step(self) -> None:
        """One inner step along the gradients as they are; the T-th also makes the outer step."""

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        for parameter in self.parameters:
            parameter.grad = None
        loss = self.setup.loss(self.model(inputs), labels)
        loss.backward()
        if self.normalised:
            normalise(self.parameters)
        if self.updates < self.warmup:
            self.inner.step()
        else:
            self.step()
        self.updates += 1
        return loss.detach()


@torch.no_grad()
def normalise(parameters: list[nn.Parameter]) -> None:
    """Divides all gradients by the norm of all of them together; a gradient of zero stays."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm().clamp_min(torch.finfo(torch.float32).tiny)
    for gradient in gradients:
        gradient.div_(norm)
