"""Fishr: the gradients of single examples should have the same variance in every domain.

Rame et al. 2022 (arXiv:2109.02934), written from the paper: the one library for it, backpack, does not run on the
present torch.  v_d is the variance, weight by weight, of the gradients of single examples of domain d with respect to
the classifier (the last linear layer), followed by a moving average over the updates, through whose present term the
penalty is differentiated::

    a_d <- ema a_d + (1 - ema) v_d,      penalty = (1/D) sum_d mean_i (u_d - mean_e u_e)_i^2,      u_d = a_d / (1 - ema)

The mean over the weights and the factor 1 / (1 - ema), which makes the slope in v_d independent of ema, are those of
the authors' code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from benchmarks.algorithms.base import AlgorithmEntry, Setup
from benchmarks.algorithms.joint import Features, require_pairs
from benchmarks.algorithms.optimizers import ADAM
from benchmarks.algorithms.penalized import Penalized
from benchmarks.base.losses import Loss
from benchmarks.base.search import Choice, HParams, LogUniform


def example_gradients(layer: nn.Linear, loss: Loss, features: Tensor, labels: Tensor) -> Tensor:
    """The gradient of every example's loss with respect to the parameters of `layer`: ``[n, d], [n] -> [n, m]``."""

    def one_loss(parameters: dict[str, Tensor], feature: Tensor, label: Tensor) -> Tensor:
        return loss(functional_call(layer, parameters, (feature[None],)), label[None])

    gradients = vmap(grad(one_loss), in_dims=(None, 0, 0))(dict(layer.named_parameters()), features, labels)
    return torch.cat([gradient.flatten(1) for gradient in gradients.values()], dim=1)


class Fishr(Penalized):
    """The mean risk and the spread over domains of the variances of gradients."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, hparams, setup)
        self.features = Features(model)
        self.ema = hparams["ema"]
        self.average: Tensor | float = 0.0

    def penalty(self, outputs: Tensor, labels: Tensor, risks: Tensor) -> Tensor:  # noqa: ARG002
        require_pairs(labels, "fishr, which takes the variance of their gradients")
        gradients = example_gradients(
            self.features.classifier, self.setup.loss, self.features.take(), labels.flatten(0, 1)
        )
        variances = gradients.view(*labels.shape[:2], -1).var(dim=1, correction=0)
        average = self.ema * self.average + (1 - self.ema) * variances
        self.average = average.detach()
        return (average / (1 - self.ema)).var(dim=0, correction=0).mean()


ENTRIES = {
    "fishr": AlgorithmEntry(
        factory=Fishr,
        description="Adam on the mean risk and how the variance of gradients differs between domains",
        batches="joint",
        space={
            **ADAM,
            "penalty_weight": LogUniform(default=1e2, low=1e1, high=1e4),
            "penalty_start": Choice(default=0.3, values=(0.0, 0.1, 0.3, 0.6)),
            "ema": Choice(default=0.95, values=(0.9, 0.95, 0.99)),
        },
        source="Rame et al. 2022, arXiv:2109.02934",
    ),
}
