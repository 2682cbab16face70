"""Models whose training mode would make the loss another function on every call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["refuse_training", "unwritten"]


def refuse_training(model: nn.Module) -> None:
    """Refuse BatchNorm and dropout at work, by their name."""
    for name, module in model.named_modules():
        noisy = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
        if module.training and (noisy or isinstance(module, nn.modules.batchnorm._BatchNorm)):
            raise ValueError(
                f"model must be in evaluation mode, got {type(module).__name__} {name!r} in training mode: the loss "
                "would be another function on every call; call model.eval()"
            )


@contextmanager
def unwritten(model: nn.Module) -> Iterator[None]:
    """Refuse a model in training mode whose forward pass, inside, writes to its buffers, and put them back.

    Raises:
        ValueError: if it does.
    """
    modes = dict(model.named_modules())
    buffers = {name: buffer for name, buffer in model.named_buffers() if modes[name.rpartition(".")[0]].training}
    versions = {name: buffer._version for name, buffer in buffers.items()}
    copies = {name: buffer.clone() for name, buffer in buffers.items()}
    yield
    written = [name for name, buffer in buffers.items() if buffer._version != versions[name]]
    if not written:
        return
    with torch.no_grad():
        for name in written:
            buffers[name].copy_(copies[name])
    raise ValueError(
        f"model must be in evaluation mode, got one whose forward pass writes to its buffer {written[0]!r}: the loss "
        "would be another function on every call; call model.eval()"
    )
