"""Roll-outs from a checkpoint, to look at: the model that is given stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from pgrad.analysis._objective import Loss
from pgrad.analysis.measures import Row
from pgrad.analysis.recorder import Recorder
from pgrad.optimizer import PGrad

__all__ = ["walk"]


def walk(
    model: nn.Module,
    loss: Loss,
    batches: Iterable[Any],
    *,
    lr: float,
    rollout_length: int,
    rollouts: int = 20,
    inner: Callable[..., Optimizer] = torch.optim.Adam,
) -> list[Row]:
    """Walks roll-outs from where a model stands, and returns a row for each: `diagnose` answers from them.

    A copy of the model is trained, in training mode, as a loop with `pgrad.PGrad` would: its parameters, buffers and
    gradients do not change.

    Args:
        model: At a checkpoint.
        loss: Of outputs and targets of a batch, a scalar.
        batches: ``(inputs, targets)`` or ``(inputs, targets, domain)``, each of one domain, such as a DataLoader over a
            `pgrad.DomainBatchSampler` gives; looped over again when it ends.
        lr: Of the inner optimizer.
        rollout_length: Inner steps of a roll-out, at least two.
        rollouts: How many.
        inner: Of the optimizer.

    Raises:
        TypeError: if ``model`` is none, ``batches`` cannot be looped over again, or a batch is something else.
        ValueError: if there are no batches, no parameter is to be trained, or a number is out of range.
        FloatingPointError: if a roll-out diverges.

    Example:
        >>> model, loss = nn.Linear(4, 2), nn.functional.cross_entropy
        >>> batches = [(torch.randn(8, 4) + domain, torch.arange(8) % 2, domain) for domain in range(3)]
        >>> rows = walk(model, loss, batches, lr=1e-2, rollout_length=3, rollouts=5)
        >>> [row["inner_steps"] for row in rows]
        [3, 6, 9, 12, 15]
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(batches, Iterator) or not isinstance(batches, Iterable):
        raise TypeError(
            "batches must be an iterable that can be looped over again, such as a DataLoader or a list, "
            f"got {type(batches).__name__}"
        )
    for name, value, least in (("rollout_length", rollout_length, 2), ("rollouts", rollouts, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be an int of at least {least}, got {value!r}")
    walker = copy.deepcopy(model).train()
    trained = [parameter for parameter in walker.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("model must have a parameter that requires a gradient, got none")
    opt = PGrad(trained, lr=lr, rollout_length=rollout_length, inner=inner, nonfinite="raise")
    device = trained[0].device
    given = _again_and_again(batches)
    with Recorder(opt).attach() as recorder:
        for _ in range(rollouts * rollout_length):
            inputs, targets, domain = next(given)
            opt.zero_grad()
            with torch.enable_grad():
                loss(walker(_moved(inputs, device)), _moved(targets, device)).backward()
            opt.step(domain=domain)
    return recorder.rows


def _again_and_again(batches: Iterable[Any]) -> Iterator[tuple[Any, Any, Any]]:
    while True:
        number = -1
        for number, batch in enumerate(batches):
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                what = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
                raise TypeError(
                    f"batches must give (inputs, targets) or (inputs, targets, domain), got {what} as batch {number}"
                )
            inputs, targets, *domain = batch
            yield inputs, targets, domain[0] if domain else None
        if number < 0:
            raise ValueError("batches must hold at least one batch, got none")


def _moved(values: Any, device: torch.device) -> Any:
    return values.to(device) if hasattr(values, "to") else values
