"""PGrad itself, Adam inside and SGD outside as the paper has it, and others that differ in the aggregation alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import pgrad
from benchmarks.algorithms.base import AlgorithmEntry, Diagnostics, Setup
from benchmarks.algorithms.rollout import ROLLOUT, Rollout
from benchmarks.base.search import Choice, HParams, Space
from pgrad.optimizer import Aggregation

SOURCE = "PGrad, arXiv:2305.01134; pgrad.PGrad"


class PGrad(Rollout):
    """`pgrad.PGrad` with one `step()` per mini-batch; keeps the spectrum and the cosine of every roll-out.

    Args:
        model, hparams, setup: As for every algorithm.
        every_component: Use all directions above round-off, whatever `hparams` says.
        aggregation: What becomes of the roll-out.
        options: Of the walk.
    """

    def __init__(
        self,
        model: nn.Module,
        hparams: HParams,
        setup: Setup,
        *,
        every_component: bool = False,
        aggregation: Aggregation = pgrad.principal_weights,
        **options: Any,
    ) -> None:
        super().__init__(model, hparams, setup, **options)
        self.optimizer = pgrad.PGrad(
            self.parameters,
            lr=hparams["lr"],
            rollout_length=setup.rollout_length,
            n_components=None if every_component else int(hparams["n_components"]),
            outer_lr=hparams["outer_lr"],
            inner=self.inner_factory,
            outer=self.outer_factory,
            aggregation=aggregation,
        )
        self.inner = self.optimizer.inner
        self.spectra: list[Tensor] = []
        self.cosines: list[float] = []
        self.numbers: list[int] = []

    def step(self) -> None:
        self.optimizer.step()
        record = self.optimizer.last_update
        if self.optimizer.rollout_position == 0 and record is not None:
            self.spectra.append(record.explained_variance_ratio)
            self.cosines.append(record.cosine)
            self.numbers.append(record.n_components)

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        with self.optimizer.at_anchor():
            yield self.model

    def diagnostics(self) -> Diagnostics:
        """Means over the roll-outs.

        Explained-variance ratios ``[T]``, the cosine of g with theta_0 - theta_T, the number of directions in use.
        """
        if not self.spectra:
            return {}
        return {
            "explained_variance_ratio": torch.stack(self.spectra).mean(dim=0).tolist(),
            "cosine": [sum(self.cosines) / len(self.cosines)],
            "n_components": [sum(self.numbers) / len(self.numbers)],
        }


class CrossDomain(PGrad):
    """PGrad along the direction on which the steps of different domains agree most."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup, **options: Any) -> None:
        self.domains: list[int] = []  # of the steps of the roll-out in progress
        self.domain: int | None = None
        aggregation = functools.partial(pgrad.aggregation.cross_domain, domains=self.domains)
        super().__init__(model, hparams, setup, aggregation=aggregation, **options)

    def begin(self, domain: int) -> None:
        self.domain = domain

    def step(self) -> None:
        if self.domain is None:
            raise RuntimeError("begin(domain) must be called before each update: the direction depends on the domains")
        self.domains.append(self.domain)
        self.domain = None
        super().step()
        if self.optimizer.rollout_position == 0:
            self.domains.clear()


@dataclass(frozen=True)
class Way:
    """How a roll-out becomes a direction: one line of the table below."""

    description: str
    space: Space
    factory: Callable[..., PGrad] = PGrad


SPACE: Space = {**ROLLOUT, "n_components": Choice(default=4, values=(1, 2, 4, 6))}
_FIRST: Space = {**ROLLOUT, "n_components": Choice(default=1, values=(1,))}

WAYS = {
    "": Way("the principal gradient", SPACE),
    "full": Way("every principal direction", ROLLOUT, functools.partial(PGrad, every_component=True)),
    "k1": Way("the first principal direction alone", _FIRST),
    "null": Way(
        "the principal directions with more variance than in a random walk, chosen for each roll-out",
        ROLLOUT,
        functools.partial(PGrad, every_component=True, aggregation=pgrad.aggregation.above_null),
    ),
    "increments": Way(
        "the principal directions of the increments, not of the points",
        SPACE,
        functools.partial(PGrad, aggregation=pgrad.aggregation.increments),
    ),
    "crossdomain": Way("the direction on which the steps of different domains agree most", _FIRST, CrossDomain),
}
"""All of them are compared with the plain displacement of the same walk."""

ENTRIES = {
    f"pgrad-{way}".rstrip("-"): AlgorithmEntry(
        factory=line.factory,
        description=f"roll-out of Adam over single-domain mini-batches, outer SGD along {line.description}",
        batches="single-domain",
        space=line.space,
        source=SOURCE,
        control="reptile",
    )
    for way, line in WAYS.items()
}
