"""The matched control: the roll-out of PGrad, moved along its plain displacement.

Reptile (Nichol et al. 2018, arXiv:1803.02999), as Fish (Shi et al. 2022, arXiv:2104.09937) uses it over domains: after
T inner steps the outer optimizer takes theta_0 - theta_T as the gradient at theta_0.  Roll-out length, inner optimizer
(its moments carry over), outer optimizer and order of the batches are those of PGrad; only the aggregation differs.
Written without pgrad, so that it also checks it from outside.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Setup
from benchmarks.algorithms.optimizers import ADAM
from benchmarks.search import HParams, LogUniform, Space

ROLLOUT: Space = {**ADAM, "outer_lr": LogUniform(default=0.1, low=0.03, high=0.5)}


class Reptile(Algorithm):
    """Inner Adam for T steps, then one step of SGD from the anchor along theta_0 - theta_T."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, setup)
        self.parameters = list(model.parameters())
        self.inner = torch.optim.Adam(self.parameters, lr=hparams["lr"], fused=True)
        self.outer = torch.optim.SGD(self.parameters, lr=hparams["outer_lr"], weight_decay=hparams["weight_decay"])
        self.anchor = [parameter.detach().clone() for parameter in self.parameters]
        self.position = 0

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.inner.zero_grad()
        loss = self.setup.loss(self.model(inputs), labels)
        loss.backward()
        self.inner.step()
        self.position += 1
        if self.position == self.setup.rollout_length:
            self._outer_step()
        return loss.detach()

    @torch.no_grad()
    def _outer_step(self) -> None:
        for parameter, anchor in zip(self.parameters, self.anchor, strict=True):
            parameter.grad = anchor - parameter
            parameter.copy_(anchor)
        self.outer.step()
        for parameter, anchor in zip(self.parameters, self.anchor, strict=True):
            anchor.copy_(parameter)
        self.position = 0


ENTRIES = {
    "reptile": AlgorithmEntry(
        factory=Reptile,
        description="the matched control: the same roll-out, outer SGD along theta_0 - theta_T",
        batches="single-domain",
        space=ROLLOUT,
        source="Reptile, arXiv:1803.02999; over domains: Fish, arXiv:2104.09937",
    ),
}
