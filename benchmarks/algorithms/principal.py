"""PGrad itself, Adam inside and SGD outside as the paper has it, and three variants that switch one thing each."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

import pgrad
from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Diagnostics, Setup
from benchmarks.algorithms.reptile import ROLLOUT
from benchmarks.search import Choice, HParams


class PGrad(Algorithm):
    """`pgrad.PGrad` with one `step()` per mini-batch; keeps the spectrum and the cosine of every roll-out.

    Args:
        model, hparams, setup: As for every algorithm.
        every_component: Use all principal directions above round-off, whatever `hparams` says.
        beta1: The momentum of the inner Adam.
    """

    def __init__(
        self, model: nn.Module, hparams: HParams, setup: Setup, *, every_component: bool = False, beta1: float = 0.9
    ) -> None:
        super().__init__(model, setup)
        self.optimizer = pgrad.PGrad(
            model.parameters(),
            lr=hparams["lr"],
            rollout_length=setup.rollout_length,
            n_components=None if every_component else int(hparams["n_components"]),
            outer_lr=hparams["outer_lr"],
            inner=functools.partial(torch.optim.Adam, betas=(beta1, 0.999), fused=True),
            outer=functools.partial(torch.optim.SGD, weight_decay=hparams["weight_decay"]),
        )
        self.spectra: list[Tensor] = []
        self.cosines: list[float] = []

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.setup.loss(self.model(inputs), labels)
        loss.backward()
        self.optimizer.step()
        record = self.optimizer.last_update
        if self.optimizer.rollout_position == 0 and record is not None:
            self.spectra.append(record.explained_variance_ratio)
            self.cosines.append(record.cosine)
        return loss.detach()

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        with self.optimizer.at_anchor():
            yield self.model

    def diagnostics(self) -> Diagnostics:
        """Means over the roll-outs: explained-variance ratios ``[T]`` and the cosine of g with theta_0 - theta_T."""
        if not self.spectra:
            return {}
        return {
            "explained_variance_ratio": torch.stack(self.spectra).mean(dim=0).tolist(),
            "cosine": [sum(self.cosines) / len(self.cosines)],
        }


SPACE = {**ROLLOUT, "n_components": Choice(default=4, values=(1, 2, 4, 6))}
_SOURCE = "PGrad, arXiv:2305.01134; pgrad.PGrad"

ENTRIES = {
    "pgrad": AlgorithmEntry(
        factory=PGrad,
        description="roll-out of Adam over single-domain mini-batches, outer SGD along the principal gradient",
        batches="single-domain",
        space=SPACE,
        source=_SOURCE,
    ),
    "pgrad-full": AlgorithmEntry(
        factory=functools.partial(PGrad, every_component=True),
        description="PGrad with every principal direction",
        batches="single-domain",
        space=ROLLOUT,
        source=_SOURCE,
    ),
    "pgrad-k1": AlgorithmEntry(
        factory=PGrad,
        description="PGrad with the first principal direction alone",
        batches="single-domain",
        space={**ROLLOUT, "n_components": Choice(default=1, values=(1,))},
        source=_SOURCE,
    ),
    "pgrad-beta0": AlgorithmEntry(
        factory=functools.partial(PGrad, beta1=0.0),
        description="PGrad whose inner Adam has no momentum (beta1 = 0)",
        batches="single-domain",
        space=SPACE,
        source=_SOURCE,
    ),
}
