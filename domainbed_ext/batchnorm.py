"""BatchNorm statistics of the anchor, not of points that are taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["collects_statistics", "statistics_of_the_anchor"]


def collects_statistics(network: nn.Module) -> bool:
    """Whether a forward pass moves the running statistics of a BatchNorm (a frozen one is in evaluation mode)."""
    return any(m.training and m.track_running_stats for m in network.modules() if isinstance(m, _BatchNorm))


@contextmanager
def statistics_of_the_anchor(network: nn.Module, inputs: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the network makes its inner steps; afterwards its buffers are those from before, and one forward pass of
    each of `inputs` has moved them at the point where the parameters are then. Does nothing where no statistics are
    collected.
    """
    if not collects_statistics(network):
        yield
        return
    kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        for buffer, before in kept:
            buffer.copy_(before)
    with torch.no_grad():
        for x in inputs:
            network(x)
