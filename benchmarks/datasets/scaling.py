"""Standardisation, fitted on the training examples alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def standardise(inputs: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:  # noqa: ARG001  the protocol gives both
    """A function that gives ``[n, columns]`` inputs the mean 0 and the standard deviation 1 of the examples here.

    Columns that are constant here are only moved. What is missing (NaN) becomes the mean of the examples here, 0.

    Example:
        >>> apply = standardise(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.zeros(2))
        >>> apply(torch.tensor([[2.0, 5.0], [4.0, 6.0]])).tolist()
        [[0.0, 0.0], [2.0, 1.0]]
    """
    values = inputs.double()
    mean = values.nanmean(dim=0).nan_to_num()
    deviation = (values - mean).square().nanmean(dim=0).sqrt().nan_to_num()
    scale = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    return lambda others: ((others.double() - mean) / scale).nan_to_num().float()
