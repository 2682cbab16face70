"""Steps of torch.distributed.checkpoint: with nothing but zeros, so that empty optimizers get a state to load into.

Its `get_optimizer_state_dict` and `set_optimizer_state_dict` make them. None is an inner step of a roll-out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from pgrad._engine import sharding
from pgrad._engine.hooks import without_hooks

__all__ = ["is_template_step", "make_templates"]


def is_template_step(inner: Optimizer) -> bool:
    """Whether such a step is asked for: learning rates and gradients are zero, and there is no state yet."""
    if inner.state or any(group.get("lr") is None or float(group["lr"]) != 0.0 for group in inner.param_groups):
        return False
    grads = [p.grad for group in inner.param_groups for p in group["params"] if p.grad is not None]
    return bool(grads) and all(sharding.is_zero(grad) for grad in grads)


def make_templates(inner: Optimizer, outer: Optimizer | None) -> None:
    """The step; the outer optimizer, if it has no state either, gets one too, by a step without a learning rate."""
    inner.step()
    if outer is None or outer.state:
        return
    rates = [group["lr"] for group in outer.param_groups]
    for group in outer.param_groups:
        group["lr"] = torch.zeros_like(group["lr"]) if isinstance(group["lr"], Tensor) else 0.0
    with without_hooks(outer):  # they would take it for a step
        outer.step()
    for group, rate in zip(outer.param_groups, rates, strict=True):
        group["lr"] = rate
