"""Sharpness-aware gradient matching, written from its paper: no library has it.

Wang et al. 2023 (CVPR, arXiv:2303.10353) minimize the loss and the loss at a perturbed point that is also pulled back
along the gradient, which aligns the two gradients. With g the gradient at theta::

    min L(theta) + L(theta + rho g / ||g|| - alpha g)

The perturbation is not differentiated. The two gradients are averaged, as in the authors' code (the paper adds them;
Adam sees no difference but in the strength of the weight decay).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup, set_gradient, trainable
from benchmarks.algorithms.optimizers import ADAM, adam
from benchmarks.algorithms.sharpness import frozen_statistics
from benchmarks.base.search import Choice, HParams, LogUniform


class SAGM(Algorithm):
    """Adam along the mean of the gradients at theta and at theta + (rho / ||g|| - alpha) g."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, setup)
        self.parameters = trainable(model)
        self.optimizer = adam(model, hparams, setup)
        self.rho = hparams["rho"]
        self.alpha = hparams["alpha"]

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        loss = self.setup.risk(self.model, inputs, labels)
        gradients = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        scale = self.rho / norm.clamp_min(1e-12) - self.alpha
        kept = [parameter.detach().clone() for parameter in self.parameters]
        with torch.no_grad():
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.add_(scale * gradient)
        with frozen_statistics(self.model):
            loss_there = self.setup.risk(self.model, inputs, labels)
            perturbed = torch.autograd.grad(loss_there, self.parameters, materialize_grads=True)
        with torch.no_grad():
            for parameter, value, one, other in zip(self.parameters, kept, gradients, perturbed, strict=True):
                parameter.copy_(value)
                set_gradient(parameter, (one + other) / 2)
        self.setup.clip(self.model)
        self.optimizer.step()
        return loss.detach()


ENTRIES = {
    "sagm": AlgorithmEntry(
        factory=SAGM,
        description="sharpness-aware gradient matching: Adam on the loss and its perturbed, pulled-back twin",
        use="flat minima whose gradients agree: twice the cost of a step",
        batches="pooled",
        space={
            **ADAM,
            "rho": LogUniform(default=0.05, low=0.01, high=0.2),
            "alpha": Choice(default=1e-3, values=(1e-3, 1e-2, 2e-2, 5e-2, 1e-1)),
        },
        source="Wang et al. 2023, arXiv:2303.10353",
        passes=2,
    ),
}
