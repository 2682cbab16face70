"""The algorithms of ``python -m benchmarks wilds``: the same steps on the same data, another rule for the weights.

A roll-out walks with the optimizer that WILDS publishes for the data set, weight decay included, and the outer step is
plain SGD. So `erm`, `pgrad` and `reptile` differ in nothing else than what the mini-batches are and what is done
after every T of them. (The preset of the PGrad paper has Adam inside and the weight decay outside.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

import pgrad

__all__ = ["METHODS", "Method", "Reptile"]

Parameters = list[dict[str, Any]]
Inner = Callable[..., Optimizer]


class Reptile(Optimizer):
    """The matched control of PGrad: after T steps of the inner optimizer, an SGD step along theta_0 - theta_T.

    Reptile (Nichol et al. 2018, arXiv:1803.02999), which over domains is Fish (Shi et al. 2022, arXiv:2104.09937):
    theta <- theta_0 - outer_lr (theta_0 - theta_T). ``state`` and ``param_groups`` are those of the inner optimizer.
    """

    def __init__(self, params: Parameters, lr: float, rollout_length: int, outer_lr: float, inner: Inner) -> None:
        self.inner = inner(params, lr=lr)
        super().__init__(self.inner.param_groups, self.inner.defaults)
        self.state, self.param_groups = self.inner.state, self.inner.param_groups
        self.rollout_length, self.outer_lr = rollout_length, outer_lr
        self.rollout_position = 0
        self.anchor = [p.detach().clone() for p in self._parameters()]

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.inner.param_groups for p in group["params"]]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One inner step; the `rollout_length`-th one also makes the outer step."""
        if closure is not None:
            raise TypeError("closure must be None: Reptile takes the gradients as they are")
        self.inner.step()
        self.rollout_position += 1
        if self.rollout_position == self.rollout_length:
            for p, anchor in zip(self._parameters(), self.anchor, strict=True):
                anchor.lerp_(p, self.outer_lr)
                p.copy_(anchor)
            self.rollout_position = 0

    @contextmanager
    def at_anchor(self) -> Iterator[None]:
        """Inside, the parameters hold the anchor."""
        walking = [p.detach().clone() for p in self._parameters()]
        self._set(self.anchor)
        try:
            yield
        finally:
            self._set(walking)

    @torch.no_grad()
    def _set(self, values: list[Tensor]) -> None:
        for p, value in zip(self._parameters(), values, strict=True):
            p.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        own = {"position": self.rollout_position, "anchor": self.anchor}
        return {"inner": self.inner.state_dict(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.inner.load_state_dict(state_dict["inner"])
        self.state, self.param_groups = self.inner.state, self.inner.param_groups
        self.rollout_position = state_dict["position"]
        with torch.no_grad():
            for anchor, saved in zip(self.anchor, state_dict["anchor"], strict=True):
                anchor.copy_(saved)


@dataclass(frozen=True)
class Method:
    """One line of the table.

    Attributes:
        build: ``build(params, inner, lr, rollout_length, outer_lr, n_components)`` makes the optimizer; if it has an
            ``at_anchor``, the model is evaluated inside it.
        batches: "pooled" from all training domains together, or of a "single-domain" each.
        description: in one sentence.
    """

    build: Callable[[Parameters, Inner, float, int, float, int], Optimizer]
    batches: Literal["pooled", "single-domain"]
    description: str


def _erm(params: Parameters, inner: Inner, lr: float, *_: Any) -> Optimizer:
    return inner(params, lr=lr)


def _pgrad(params: Parameters, inner: Inner, lr: float, length: int, outer_lr: float, k: int) -> Optimizer:
    return pgrad.PGrad(params, lr=lr, rollout_length=length, n_components=k, outer_lr=outer_lr, inner=inner)


def _reptile(params: Parameters, inner: Inner, lr: float, length: int, outer_lr: float, _: int) -> Optimizer:
    return Reptile(params, lr, length, outer_lr, inner)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "erm": Method(_erm, "pooled", "the published optimizer on mini-batches that mix the training domains"),
        "pgrad": Method(_pgrad, "single-domain", "roll-outs of it, outer SGD along the principal gradient"),
        "reptile": Method(_reptile, "single-domain", "the same roll-outs, outer SGD along theta_0 - theta_T (control)"),
    }
)
"""Adding an algorithm is adding an entry here."""
