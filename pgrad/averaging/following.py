"""Which optimizer an average follows, and which of its steps are points."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from pgrad._engine import sharding

__all__ = ["Following", "unwrapped"]

# Their wrappers call step() of the optimizer inside and do nothing more to the parameters; wrappers of other packages
# (Lookahead, SAM) do, so that a hook on the optimizer inside would come too early.
_PASS_ON = {"accelerate", "lightning", "lightning_fabric", "pytorch_lightning"}


class Following:
    """Hooks on one optimizer: ``take`` after each of its points, ``refuse`` before each of its steps.

    Args:
        optimizer: anything with the step hooks of torch.optim. One with roll-outs (an ``outer`` optimizer and a
            ``rollout_position``, as `pgrad.PGrad`) is at a point after each outer step: parameters are an anchor then.
        take: takes a point.
        refuse: raises if no step may be made now.
    """

    def __init__(self, optimizer: Optimizer, take: Callable[[], None], refuse: Callable[[], None]) -> None:
        self._optimizer: Any = optimizer
        self._take, self._refuse = take, refuse
        self._is_template = False
        outer: Any = getattr(optimizer, "outer", None)
        rolls_out = isinstance(outer, Optimizer) and hasattr(optimizer, "rollout_position")
        self._stepping: Any = outer if rolls_out else optimizer
        self._hooks = [
            optimizer.register_step_pre_hook(self._before),
            self._stepping.register_step_post_hook(self._after),
        ]

    def remove(self) -> None:
        """Take no more points."""
        for hook in self._hooks:
            hook.remove()

    def at_rest(self) -> AbstractContextManager[None]:
        """Inside, an optimizer with roll-outs is at its anchor and refuses whatever would move it.

        `pgrad.PGrad.at_anchor` does both. Without it, an outer step inside (`finish_rollout`) would be taken back with
        the parameters, and the roll-out would be lost.
        """
        if self._stepping is self._optimizer or getattr(self._optimizer, "is_at_anchor", False):
            return nullcontext()
        at_anchor: Callable[[], AbstractContextManager[None]] = getattr(self._optimizer, "at_anchor", nullcontext)
        return at_anchor()

    def _before(self, *_: Any) -> None:
        self._refuse()
        self._is_template = self._stepping is self._optimizer and _is_template_step(self._optimizer)

    def _after(self, *_: Any) -> None:
        if not self._is_template and not _is_skipped(self._stepping):
            self._take()


def unwrapped(optimizer: Any) -> Optimizer:
    """The optimizer whose hooks run: that inside the wrappers of Accelerate, Lightning and Fabric.

    Raises:
        TypeError: if it is no optimizer, or one without the hooks of torch.optim.
    """
    while _passes_on(optimizer):
        optimizer = optimizer.optimizer
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
    if not hasattr(optimizer, "_optimizer_step_post_hooks"):
        raise TypeError(
            f"optimizer must have the step hooks of torch.optim, got a {type(optimizer).__name__} without them: call "
            "update() after its steps instead"
        )
    return optimizer


def _passes_on(optimizer: Any) -> bool:
    packages = {cls.__module__.partition(".")[0] for cls in type(optimizer).__mro__}
    return bool(packages & _PASS_ON) and isinstance(getattr(optimizer, "optimizer", None), Optimizer)


def _is_skipped(optimizer: Any) -> bool:
    """Whether GradScaler found an overflow. It calls a fused optimizer nevertheless, which then does nothing."""
    overflow = getattr(optimizer, "found_inf", None)
    return isinstance(overflow, Tensor) and bool(overflow.any())


def _is_template_step(optimizer: Optimizer) -> bool:
    """Whether torch.distributed.checkpoint steps: with nothing but zeros, so that an empty optimizer gets a state."""
    if optimizer.state or any(group.get("lr") is None or float(group["lr"]) != 0.0 for group in optimizer.param_groups):
        return False
    grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    return bool(grads) and all(sharding.is_zero(grad) for grad in grads)
