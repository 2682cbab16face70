"""What the training loop drives: something that takes mini-batches, moves a model, and can be saved at any time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.studies.wilds.losses import batch_loss
from benchmarks.studies.wilds.methods import METHODS

__all__ = ["PEERS", "Learner", "Peer", "Single", "batches_of"]

PEERS = (
    *("erm-small", "pcgrad", "cagrad", "upgrad", "mgda", "groupdro", "irm", "vrex", "coral", "mixup"),
    *("sam", "friendly-sam", "sagm", "fishr", "lookahead"),
)
"""Algorithms of `benchmarks.algorithms` that work on WILDS and resume bit for bit; a test holds them to it."""

_BY_DOMAIN = ("groupdro", "fishr")  # these keep figures of each domain


def batches_of(algorithm: str) -> str:
    """ "pooled", "single-domain" or "joint": what a mini-batch of the algorithm is.

    Raises:
        ValueError: if there is no such algorithm here.
    """
    if algorithm in METHODS:
        return METHODS[algorithm].batches
    if algorithm not in PEERS:
        raise ValueError(f"algorithm must be one of {', '.join((*METHODS, *PEERS))}; got {algorithm!r}")
    return ALGORITHMS[algorithm].batches


class Learner(Protocol):
    """Moves a model.

    Attributes:
        width: mini-batches that one update takes.
        cost: gradient evaluations of one update.
    """

    width: int
    cost: int

    def update(self, x: Tensor, y: Any) -> Tensor:
        """One update; ``x`` has the mini-batches along a new first dimension if `width` is more than 1."""

    def evaluated(self) -> contextlib.AbstractContextManager[nn.Module]:
        """The model to evaluate, inside the context."""

    def cosine(self) -> float | None:
        """Of the last outer step, if the last update made one that tells."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Single:
    """A method of `benchmarks.studies.wilds.methods`: one step of its optimizer for every mini-batch."""

    width = cost = 1

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, factor: Callable[[int], float], loss: str, max_norm: float
    ) -> None:
        self.model, self.optimizer, self.loss, self.max_norm = model, optimizer, loss, max_norm
        self.scheduler = LambdaLR(optimizer, factor)

    def update(self, x: Tensor, y: Any) -> Tensor:
        self.optimizer.zero_grad()
        loss = batch_loss(self.loss, self.model, x, y, x.device)
        loss.backward()
        if self.max_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()
        self.scheduler.step()
        return loss.detach()

    @contextlib.contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        with getattr(self.optimizer, "at_anchor", contextlib.nullcontext)():
            yield self.model

    def cosine(self) -> float | None:
        record = getattr(self.optimizer, "last_update", None)
        return record.cosine if record is not None and getattr(self.optimizer, "rollout_position", 1) == 0 else None

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])


class Peer:
    """An algorithm of `benchmarks.algorithms`, with Adam at a constant learning rate as it is there.

    Raises:
        ValueError: if it cannot be trained on such a task, or needs the same domains all the time.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        loss: str,
        hparams: Mapping[str, float],
        *,
        rollout_length: int,
        n_domains: int,
        drawn: bool,
        steps: int,
        seed: int,
    ) -> None:
        losses: dict[str, Any] = {"cross_entropy": nn.functional.cross_entropy, "mse": nn.functional.mse_loss}
        if loss not in losses:
            raise ValueError(f"algorithm {name} must have a task with {' or '.join(losses)}; this one has {loss}")
        if name in _BY_DOMAIN and drawn:
            raise ValueError(f"algorithm {name} must see the same domains all the time: --groups 0, not a drawn number")
        entry = ALGORITHMS[name]
        self.width = n_domains if entry.batches == "joint" else 1
        self.cost = entry.evaluations(n_domains)
        chosen = {**{key: choice.default for key, choice in entry.space.items()}, **hparams}
        setup = Setup(rollout_length, n_domains, -(-steps // self.cost), seed, losses[loss])
        self.algorithm = entry.factory(model, chosen, setup)
        self.model = model

    def update(self, x: Tensor, y: Tensor) -> Tensor:
        return self.algorithm.update(x, y.to(x.device))

    def evaluated(self) -> contextlib.AbstractContextManager[nn.Module]:
        return self.algorithm.evaluated()

    def cosine(self) -> float | None:
        return None

    def state_dict(self) -> dict[str, Any]:
        return {name: _state(value) for name, value in self._attributes()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, value in self._attributes():
            if isinstance(value, torch.Generator):
                value.set_state(state[name].cpu())
            elif isinstance(value, np.random.Generator):
                value.bit_generator.state = state[name]
            elif hasattr(value, "load_state_dict"):
                value.load_state_dict(state[name])
            else:
                setattr(self.algorithm, name, state[name])

    def _attributes(self) -> list[tuple[str, Any]]:
        """Those of the algorithm that change: optimizers, generators, tensors, counters."""
        kinds = (Optimizer, torch.Generator, np.random.Generator, Tensor, int, float)
        return [
            (name, value)
            for name, value in vars(self.algorithm).items()
            if isinstance(value, kinds) and not isinstance(value, (nn.Parameter, bool))
        ]


def _state(value: Any) -> Any:
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    return value.state_dict() if hasattr(value, "state_dict") else value
