"""Standardisation, fitted on the training examples alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def standardise(inputs: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:  # noqa: ARG001  the protocol gives both
    """A function that gives ``[n, columns]`` inputs the mean 0 and the standard deviation 1 of the examples here.

    Columns that are constant here become 0 there as far as they have the same value.

    Example:
        >>> apply = standardise(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.zeros(2))
        >>> apply(torch.tensor([[2.0, 5.0], [4.0, 6.0]])).tolist()
        [[0.0, 0.0], [2.0, 1.0]]
    """
    values = inputs.double()
    mean, deviation = values.mean(dim=0), values.std(dim=0, unbiased=False)
    scale = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    return lambda others: ((others.double() - mean) / scale).float()
