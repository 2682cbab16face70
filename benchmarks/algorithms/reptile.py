"""The matched control: the roll-out of PGrad, moved along its plain displacement.

Reptile (Nichol et al. 2018, arXiv:1803.02999), as Fish (Shi et al. 2022, arXiv:2104.09937) uses it over domains: after
T inner steps the outer optimizer takes theta_0 - theta_T as the gradient at theta_0.  Roll-out length, inner optimizer
(its moments carry over), outer optimizer and order of the batches are those of PGrad; only the aggregation differs.
Written without pgrad, so that it also checks it from outside.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmarks.algorithms.base import AlgorithmEntry, Setup
from benchmarks.algorithms.rollout import ROLLOUT, Rollout
from benchmarks.base.search import HParams

SOURCE = "Reptile, arXiv:1803.02999; over domains: Fish, arXiv:2104.09937"


class Reptile(Rollout):
    """T inner steps, then one step of SGD from the anchor along theta_0 - theta_T."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup, **options: Any) -> None:
        super().__init__(model, hparams, setup, **options)
        self.inner = self.inner_factory(self.parameters, lr=hparams["lr"])
        self.outer = self.outer_factory(self.parameters, lr=hparams["outer_lr"])
        self.anchor = [torch.empty_like(parameter) for parameter in self.parameters]
        self.position = 0

    @torch.no_grad()
    def step(self) -> None:
        if self.position == 0:
            for parameter, anchor in zip(self.parameters, self.anchor, strict=True):
                anchor.copy_(parameter)
        self.inner.step()
        self.position += 1
        if self.position == self.setup.rollout_length:
            for parameter, anchor in zip(self.parameters, self.anchor, strict=True):
                parameter.grad = anchor - parameter
                parameter.copy_(anchor)
            self.outer.step()
            self.position = 0


ENTRIES = {
    "reptile": AlgorithmEntry(
        factory=Reptile,
        description="the matched control: the same roll-out, outer SGD along theta_0 - theta_T",
        batches="single-domain",
        space=ROLLOUT,
        source=SOURCE,
    ),
}
