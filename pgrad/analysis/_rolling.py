"""Which optimizer a recorder hangs on."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from pgrad.averaging.following import unwrapped
from pgrad.optimizer import PGrad

__all__ = ["rolling"]


def rolling(opt: Any) -> PGrad:
    """The optimizer itself, also of the wrappers of Accelerate, Lightning and Fabric.

    Raises:
        TypeError: if it is no `pgrad.PGrad`.
    """
    found = unwrapped(opt) if isinstance(opt, Optimizer) or hasattr(opt, "optimizer") else opt
    if not isinstance(found, PGrad):
        raise TypeError(f"opt must be a pgrad.PGrad, got {type(found).__name__}: others make no roll-outs")
    return found
