"""PGrad itself: Adam inside, SGD outside, as the paper has it."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import pgrad
from benchmarks.algorithms.base import Diagnostics
from benchmarks.search import HParams


class PGrad:
    """`pgrad.PGrad` with one `step()` per mini-batch; keeps the spectrum and the cosine of every roll-out."""

    def __init__(self, model: nn.Module, hparams: HParams, rollout_length: int) -> None:
        self.model = model
        self.optimizer = pgrad.PGrad(
            model.parameters(),
            lr=hparams["lr"],
            rollout_length=rollout_length,
            n_components=int(hparams["n_components"]),
            outer_lr=hparams["outer_lr"],
            inner=functools.partial(torch.optim.Adam, fused=True),
            outer=functools.partial(torch.optim.SGD, weight_decay=hparams["weight_decay"]),
        )
        self.spectra: list[Tensor] = []
        self.cosines: list[float] = []

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(inputs), labels)
        loss.backward()
        self.optimizer.step()
        record = self.optimizer.last_update
        if self.optimizer.rollout_position == 0 and record is not None:
            self.spectra.append(record.explained_variance_ratio)
            self.cosines.append(record.cosine)
        return loss.detach()

    def diagnostics(self) -> Diagnostics:
        """Means over the roll-outs: explained-variance ratios ``[T]`` and the cosine of g with theta_0 - theta_T."""
        if not self.spectra:
            return {}
        return {
            "explained_variance_ratio": torch.stack(self.spectra).mean(dim=0).tolist(),
            "cosine": [sum(self.cosines) / len(self.cosines)],
        }
