"""One optimizer step for each step that the user makes, whatever optimizers are at work inside."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

__all__ = ["inside_a_step", "without_hooks"]

_torch: Any = importlib.import_module("torch.optim.optimizer")  # torch.optim hides its name


@contextmanager
def inside_a_step() -> Iterator[None]:
    """Steps made inside are part of one: hooks on every optimizer (torch's profiler counts by one) do not see them."""
    pre, post = _torch._global_optimizer_pre_hooks, _torch._global_optimizer_post_hooks
    if not pre and not post:
        yield
        return
    _torch._global_optimizer_pre_hooks, _torch._global_optimizer_post_hooks = OrderedDict(), OrderedDict()
    try:
        yield
    finally:
        _torch._global_optimizer_pre_hooks, _torch._global_optimizer_post_hooks = pre, post


@contextmanager
def without_hooks(optimizer: Optimizer) -> Iterator[None]:
    """Hooks on this optimizer do not see the steps inside."""
    pre, post = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks = OrderedDict(), OrderedDict()
    try:
        yield
    finally:
        optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks = pre, post
