"""The loss of each kind of task, as WILDS has it (examples/losses.py), on a whole batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LOSSES", "batch_loss"]


def batch_loss(kind: str, model: nn.Module, x: Tensor, y: Any, device: torch.device) -> Tensor:
    """The mean loss of a training batch, for one of `benchmarks.studies.wilds.catalogue.Loss`."""
    if kind == "detection":
        targets = [{"boxes": t["boxes"].float().to(device), "labels": t["labels"].to(device)} for t in y]
        parts: dict[str, Tensor] = model(x, targets)
        return torch.stack(list(parts.values())).sum()
    return LOSSES[kind](model(x), y.to(device))


def _labelled(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor) -> Tensor:
    """Over the targets that are there; 0, with a gradient of 0, if there is none."""
    there = ~targets.isnan()
    return loss(outputs[there], targets[there]) if there.any() else outputs.sum() * 0.0


def _bce(outputs: Tensor, targets: Tensor) -> Tensor:
    return _labelled(functional.binary_cross_entropy_with_logits, outputs, targets)


def _token_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return _labelled(lambda out, target: functional.cross_entropy(out, target.long()), outputs, targets)


LOSSES: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {
        "cross_entropy": functional.cross_entropy,
        "mse": functional.mse_loss,
        "multitask_bce": _bce,
        "token_cross_entropy": _token_cross_entropy,
    }
)
