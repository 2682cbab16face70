"""Refusals of what `pgrad.PGrad` can not work with: which argument, what was found, what is allowed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pgrad._engine import sharding as _sharding
from pgrad.principal import PrincipalWeights

__all__ = [
    "Loss",
    "check_lr",
    "check_params",
    "check_rollout_length",
    "check_trajectory_dtype",
    "check_update",
    "refuse_closure",
    "refuse_nonfinite",
    "scalar",
]

Loss = Tensor | float


def check_update(update: Any, steps: int) -> None:
    if not isinstance(update, PrincipalWeights):
        raise TypeError(f"aggregation must return a pgrad.PrincipalWeights, got {type(update).__name__}")
    if update.weights.shape != (steps + 1,) or not update.weights.isfinite().all():
        raise ValueError(f"aggregation must give {steps + 1} finite weights, one for each point, got {update.weights}")


def refuse_closure(name: str, optimizer: Optimizer) -> None:
    parameters = list(inspect.signature(optimizer.step).parameters.values())
    if any(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters):
        raise ValueError(f"{name} must step without a closure, but {type(optimizer).__name__}.step needs one")


def check_lr(name: str, lr: float | Tensor) -> None:
    number = isinstance(lr, (int, float)) and not isinstance(lr, bool)
    if not number and not (isinstance(lr, Tensor) and lr.numel() == 1):
        raise TypeError(f"{name} must be a number, got {lr!r}")
    if not 0.0 <= float(lr) < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {float(lr)}")


def check_rollout_length(rollout_length: int | None) -> None:
    if rollout_length is None:
        return
    if isinstance(rollout_length, bool) or not isinstance(rollout_length, int):
        raise TypeError(
            f"rollout_length must be a positive int, or None with rollout(closures), got {rollout_length!r}"
        )
    if rollout_length < 1:
        raise ValueError(f"rollout_length must be at least 1, or None with rollout(closures), got {rollout_length}")


def check_trajectory_dtype(dtype: torch.dtype | None) -> None:
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise TypeError(f"trajectory_dtype must be a torch.dtype or None, got {dtype!r}")
    if dtype not in (None, torch.float64, torch.float32, torch.bfloat16):
        raise ValueError(
            f"trajectory_dtype must be torch.float64, float32 or bfloat16 (displacements are tiny: they need the range "
            f"of float32), got {dtype}"
        )


def check_params(params: Iterable[Tensor]) -> None:
    seen: set[Tensor] = set()
    for p in params:
        if p.is_meta:
            raise ValueError(
                f"a parameter of shape {tuple(p.shape)} is on the meta device, without values: materialise the model "
                "(to_empty and initialise) before making the optimizer"
            )
        if p.layout != torch.strided:
            raise ValueError(f"parameters must be strided (dense) tensors, got layout {p.layout}")
        _sharding.check_param(p)
        if p in seen:
            raise ValueError(f"a parameter of shape {tuple(p.shape)} is listed twice in one group")
        seen.add(p)


def scalar(index: int, loss: Loss) -> Loss:
    if isinstance(loss, Tensor) and loss.numel() == 1:
        return loss.detach()
    if isinstance(loss, (int, float)) and not isinstance(loss, bool):
        return loss
    found = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
    raise TypeError(f"closures[{index}] must return the loss as a scalar tensor or a number, got {found}")


def refuse_nonfinite(losses: dict[int, Loss]) -> None:
    for index, loss in losses.items():
        if not math.isfinite(float(loss)):
            raise ValueError(
                f"closures[{index}] must return a finite loss, got {float(loss)}; the roll-out was dropped"
            )
