"""What leads the published tables where a pretrained network is fine-tuned: a good start, a pull back to it, averages.

All are ERM by Adam with one thing more, at as many gradient evaluations:

- ``probe-first`` trains the last linear layer alone for a part of the updates, then everything (LP-FT).
- ``l2-sp`` pulls all but the last linear layer towards where it started: the loss has
  ``pull / 2 ||theta - theta_start||^2`` in addition.
- ``diwa`` trains several members from the same start, with an equal part of the updates each, one by one; it is
  evaluated at the mean of the weights of those that are done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.algorithms.base import AlgorithmEntry, Setup, trainable
from benchmarks.algorithms.erm import ERM
from benchmarks.algorithms.joint import last_linear
from benchmarks.algorithms.optimizers import ADAM
from benchmarks.base.search import Choice, HParams, LogUniform


class ProbeFirst(ERM):
    """The last linear layer alone, then everything."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, hparams, setup)
        self.head = [p for p in last_linear(model).parameters() if p.requires_grad]
        self.probe = torch.optim.Adam(self.head, lr=hparams["probe_lr"])
        self.left = int(hparams["probe"] * setup.updates)

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        if not self.left:
            return super().update(inputs, labels)
        self.left -= 1
        self.optimizer.zero_grad()
        loss = self.setup.risk(self.model, inputs, labels)
        loss.backward()
        self.setup.clip(self.model)
        self.probe.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "probe": self.probe.state_dict(), "left": self.left}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.probe.load_state_dict(state["probe"])
        self.left = state["left"]


class StartingPoint(ERM):
    """A pull towards the weights at the start."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, hparams, setup)
        head = set(last_linear(model).parameters())
        self.pulled = [p for p in trainable(model) if p not in head]
        self.start = [p.detach().clone() for p in self.pulled]
        self.pull = hparams["pull"]
        self.optimizer.register_step_pre_hook(self._pull)

    @torch.no_grad()
    def _pull(self, *_: Any) -> None:
        for parameter, start in zip(self.pulled, self.start, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(parameter - start, alpha=self.pull)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "start": self.start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        for mine, saved in zip(self.start, state["start"], strict=True):
            mine.copy_(saved)


class Members(ERM):
    """The mean of the weights of runs from one start.

    All members have the same hyper-parameters and none is left out; those of the source differ, and are chosen among.
    """

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, hparams, setup)
        self.parameters: list[Tensor] = [*trainable(model)]
        self.start = [p.detach().clone() for p in self.parameters]
        self.mean = [torch.zeros_like(p) for p in self.parameters]
        self.length = max(setup.updates // int(hparams["members"]), 1)
        self.done = 0

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        members, into = divmod(self.done, self.length)
        if members and not into:
            self._begin_again()
        loss = super().update(inputs, labels)
        self.done += 1
        if self.done % self.length == 0:
            self._take(self.done // self.length)
        return loss

    @torch.no_grad()
    def _begin_again(self) -> None:
        torch._foreach_copy_(self.parameters, self.start)
        self.optimizer.state.clear()

    @torch.no_grad()
    def _take(self, members: int) -> None:
        torch._foreach_lerp_(self.mean, self.parameters, 1 / members)

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        if self.done < self.length:
            yield self.model
            return
        own = [p.detach().clone() for p in self.parameters]
        with torch.no_grad():
            torch._foreach_copy_(self.parameters, self.mean)
        try:
            yield self.model
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self.parameters, own)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "start": self.start, "mean": self.mean, "done": self.done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        for mine, saved in ((self.start, state["start"]), (self.mean, state["mean"])):
            for one, other in zip(mine, saved, strict=True):
                one.copy_(other)
        self.done = state["done"]


ENTRIES = {
    "probe-first": AlgorithmEntry(
        factory=ProbeFirst,
        description="Adam on the last linear layer alone, then on everything",
        use="fine-tuning: a start that does not pull good features apart",
        batches="pooled",
        space={
            **ADAM,
            "probe": Choice(default=0.2, values=(0.1, 0.2, 0.4)),
            "probe_lr": LogUniform(default=3e-3, low=3e-4, high=3e-2),
        },
        source="Kumar et al. 2022, arXiv:2202.10054",
        control="erm",
    ),
    "l2-sp": AlgorithmEntry(
        factory=StartingPoint,
        description="Adam with a pull towards the pretrained weights",
        use="fine-tuning: keeps what the pretrained network knows",
        batches="pooled",
        space={**ADAM, "pull": LogUniform(default=1e-2, low=1e-4, high=1.0)},
        source="Li et al. 2018, arXiv:1802.01483",
        control="erm",
    ),
    "diwa": AlgorithmEntry(
        factory=Members,
        description="the mean of the weights of several runs of Adam from one start, which share the budget",
        use="fine-tuning: averages over runs; on networks from scratch the runs end too far apart",
        batches="pooled",
        space={**ADAM, "members": Choice(default=3, values=(2, 3, 4))},
        source="Rame et al. 2022, arXiv:2205.09739",
        control="erm",
    ),
}
