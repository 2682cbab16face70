"""What an algorithm is to the benchmarks: something that takes mini-batches and moves a model.

**The budget.**  Every algorithm gets the same number of *gradient evaluations*, all of them on mini-batches of the same
size b. One gradient evaluation is one forward and backward pass over b examples. An update therefore costs

- 1 on a *pooled* mini-batch (drawn from all training domains together) or on one of a *single domain*,
- D on a *joint* mini-batch: one mini-batch of each of the D training domains at once, for methods that compare domains,
- each of them times `passes` for methods that visit a mini-batch several times (twice for SAM).

An algorithm that costs more makes fewer updates. What is not counted: work on matrices of D x D or T x T, second
derivatives of a penalty, and the averaging of weights.

**The data.**  Single-domain and joint mini-batches are cut from the same stream: a joint one is the next D
single-domain ones, which hold one of each domain. Algorithms of one kind see the same examples in the same order, from
the same initialisation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from benchmarks.base.losses import Loss
from benchmarks.base.search import HParams, Space

Batches = Literal["pooled", "single-domain", "joint"]
Diagnostics = dict[str, list[float]]


@dataclass(frozen=True)
class Setup:
    """What an algorithm knows of the run that it is part of.

    Attributes:
        rollout_length: Gradient evaluations of a roll-out, T = splits x domains.
        n_domains: Number D of training domains.
        updates: How many updates the run will have; for methods with a schedule.
        seed: Of random choices that the algorithm makes by itself.
        loss: The loss; the one place where it is chosen.
        inner: `inner(parameters, lr=...)` makes the optimizer that the task has been published with, its weight decay
            among it, in the place of Adam and of the weight decay of the search; None for those of the algorithm.
        groups: The parameters to train, or groups of them with options of their own; None for all that are not frozen.
        max_norm: Gradients are clipped to this norm; 0 for no clipping.
    """

    rollout_length: int
    n_domains: int
    updates: int
    seed: int = 0
    loss: Loss = cross_entropy
    inner: Callable[..., Optimizer] | None = None
    groups: Callable[[nn.Module], list[dict[str, Any]]] | None = None
    max_norm: float = 0.0

    def risk(self, model: nn.Module, inputs: Tensor, labels: Any) -> Tensor:
        """The mean loss of a mini-batch. A task whose model takes its labels as well overrides this."""
        return self.loss(model(inputs), labels)

    def parameters(self, model: nn.Module) -> list[Any]:
        """What an optimizer of this run takes: parameters, or groups of them."""
        return list(self.groups(model)) if self.groups is not None else trainable(model)

    def clip(self, model: nn.Module) -> None:
        """Clips the gradients, if they are to be clipped."""
        if self.max_norm:
            nn.utils.clip_grad_norm_(model.parameters(), self.max_norm)


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that take part in training: those that are not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def set_gradient(parameter: nn.Parameter, value: Tensor) -> None:
    """Makes `value`, of the parameter's shape or flat, its gradient, laid out as the parameter is.

    A fused optimizer of torch reads both in the order of memory, whatever their strides are, and takes the numbers of
    other entries without a word.
    """
    parameter.grad = torch.empty_like(parameter).copy_(value.view_as(parameter))


class Algorithm(ABC):
    """Holds a model and whatever is needed to move it.

    Attributes:
        model: The one that is trained.
        setup: Of the run.
        optimizer: What makes its steps; a schedule scales the learning rates of its groups.
    """

    optimizer: Optimizer

    def __init__(self, model: nn.Module, setup: Setup) -> None:
        self.model = model
        self.setup = setup

    @abstractmethod
    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Makes one update; returns the mean loss (detached) at the point where it began, without penalties.

        Args:
            inputs: ``[b, ...]``; of a joint mini-batch ``[D, b, ...]``, domain by domain.
            labels: ``[b]``; of a joint mini-batch ``[D, b]``.
        """

    def moved(self) -> None:  # noqa: B027  a hook that most methods do not need
        """Is told after an update that another algorithm made, with which this one shares model and optimizer."""

    def begin(self, domain: int) -> None:  # noqa: B027  a hook that most methods do not need
        """Is told before each update on a mini-batch of a single domain which one it is from.

        Args:
            domain: 0 .. D-1, in the order of the training domains.
        """

    def validate(self, loss: Callable[[], float]) -> None:  # noqa: B027  a hook that most methods do not need
        """Is told at every checkpoint, before `evaluated`, how to learn the validation loss of the model in training.

        Args:
            loss: Computes it when called: the mean over the validation parts of the training domains.
        """

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        """Gives the model that a user would be handed now: by default the one that is trained.

        It is asked for after whole roll-outs only.
        """
        yield self.model

    def diagnostics(self) -> Diagnostics:
        """Figures about the whole training, for the record; empty where there are none."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on bit for bit, but for the model: loads with ``weights_only=True``.

        An algorithm that keeps more than its optimizer adds it here.
        """
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken; the model has been loaded before."""
        self.optimizer.load_state_dict(state["optimizer"])


@dataclass(frozen=True)
class AlgorithmEntry:
    """One line of the registry.

    Attributes:
        factory: `factory(model, hparams, setup)` builds the algorithm.
        description: What it does, in one sentence.
        batches: What one update takes: a mini-batch from all training domains together, one of a single domain, or one
            of every training domain.
        space: The hyper-parameters: their defaults and where random search looks for others.
        source: The paper, and the library that does the work if it is not written here.
        use: When a person would choose it, or what it is there to be compared with.
        passes: Forward and backward passes over each mini-batch in one update.
        control: The algorithm that it is to be compared with: the same in everything but in what it is named after.
    """

    factory: Callable[[nn.Module, HParams, Setup], Algorithm]
    description: str
    batches: Batches
    space: Space
    source: str = ""
    use: str = ""
    passes: int = 1
    control: str = ""

    def evaluations(self, n_domains: int) -> int:
        """Gradient evaluations of one update with `n_domains` training domains."""
        return self.passes * (n_domains if self.batches == "joint" else 1)


@contextmanager
def extra(library: str) -> Iterator[None]:
    """Around the import and first use of a library that only some algorithms need."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"this algorithm comes from {library}, which is missing or incomplete ({error}); "
            "pip install 'pgrad[bench]' installs it"
        ) from error
