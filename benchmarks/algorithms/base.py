"""What an algorithm is to the benchmarks: something that takes one mini-batch at a time and moves a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor, nn

from benchmarks.search import HParams, Space

Batches = Literal["pooled", "single-domain"]
Diagnostics = dict[str, list[float]]


class Algorithm(Protocol):
    """Holds a model and whatever is needed to move it.

    One call of `update` is one gradient evaluation, the currency of the tuning budget.  The model is evaluated after
    whole roll-outs only, so what it holds then is what the algorithm would hand to a user.
    """

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Uses one mini-batch; returns its loss (detached)."""

    def diagnostics(self) -> Diagnostics:
        """Figures about the whole training, for the record; empty where there are none."""


@dataclass(frozen=True)
class AlgorithmEntry:
    """One line of the registry.

    Attributes:
        factory: `factory(model, hparams, rollout_length)` builds the algorithm.
        description: What it does, in one sentence.
        batches: Mini-batches of one domain each, or drawn from all training domains together.
        space: The hyper-parameters: their defaults and where random search looks for others.
    """

    factory: Callable[[nn.Module, HParams, int], Algorithm]
    description: str
    batches: Batches
    space: Space
