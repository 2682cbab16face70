"""What a loss is to the benchmarks."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Loss(Protocol):
    """A loss with the signature of torch.nn.functional: cross_entropy, mse_loss, l1_loss, ..."""

    def __call__(self, input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:  # noqa: A002
        """The mean over the mini-batch, or what `reduction` says."""
